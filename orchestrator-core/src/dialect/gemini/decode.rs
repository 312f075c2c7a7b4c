//! A caller's request into the hub's words.

use super::{EXTRA, decode_parts, schema};
use crate::{
    chat::{ChatRequest, Reasoning, ResponseFormat, Tool, ToolChoice},
    dialect::json::{Fields, ObjectWriter, array, array_at, must_be, string_at},
    error::Result,
};

/// The name of a schema that Gemini gives none.
const SCHEMA_NAME: &str = "response";

/// Reads a request. Errors name the path of the wrong field, as the caller spelled it.
pub(super) fn request(body: &[u8]) -> Result<ChatRequest> {
    let mut fields = Fields::body(body)?.camel_case();
    let mut request = ChatRequest::default();
    fields.take("model");
    request.messages = decode_parts::messages(&mut fields)?;
    tools(&mut fields, &mut request)?;
    tool_choice(&mut fields, &mut request)?;
    if let Some(config) = fields.object("generationConfig")? {
        generation_config(config.camel_case(), &mut request)?;
    }
    for (name, json) in fields.rest() {
        extra(&mut request, &name, json);
    }
    Ok(request)
}

fn extra(request: &mut ChatRequest, name: &str, json: &str) {
    request.extras.insert(format!("{EXTRA}{name}"), json.to_owned());
}

/// The elements of an array; Google's servers take a lone object for one of one element.
pub(super) fn list<'a>(fields: &mut Fields<'a>, name: &str) -> Result<Vec<(String, &'a str)>> {
    let path = fields.path_of(name);
    match fields.take(name) {
        None => Ok(Vec::new()),
        Some(json) if json.starts_with('{') => Ok(vec![(path, json)]),
        Some(json) => {
            let elements = array_at(json, &path)?.into_iter().enumerate();
            Ok(elements.map(|(at, json)| (format!("{path}[{at}]"), json)).collect())
        }
    }
}

fn tools(fields: &mut Fields<'_>, request: &mut ChatRequest) -> Result<()> {
    let mut others: Vec<String> = Vec::new();
    for (path, json) in list(fields, "tools")? {
        let mut entry = Fields::parse(json, &path)?.camel_case();
        for (path, json) in list(&mut entry, "functionDeclarations")? {
            request.tools.push(tool(Fields::parse(json, &path)?.camel_case())?);
        }
        let left = leftovers(entry);
        others.extend(left);
    }
    if !others.is_empty() {
        extra(request, "tools", &array(&others));
    }
    Ok(())
}

fn tool(mut function: Fields<'_>) -> Result<Tool> {
    let name = function.required_string("name")?;
    let description = function.string("description")?;
    let own = function.take("parameters").map(schema::to_json_schema);
    let parameters = function.take("parametersJsonSchema").map(str::to_owned).or(own);
    Ok(Tool { name, description, parameters: parameters.unwrap_or_default(), strict: None })
}

/// What nobody took, as one object.
pub(super) fn leftovers(fields: Fields<'_>) -> Option<String> {
    let mut left = ObjectWriter::new();
    let mut any = false;
    for (name, json) in fields.rest() {
        left.raw(&name, json);
        any = true;
    }
    any.then(|| left.finish())
}

fn tool_choice(fields: &mut Fields<'_>, request: &mut ChatRequest) -> Result<()> {
    let path = fields.path_of("toolConfig");
    let Some(json) = fields.take("toolConfig") else { return Ok(()) };
    let mut config = Fields::parse(json, &path)?.camel_case();
    let mut says_more = false;
    if let Some(calling) = config.object("functionCallingConfig")? {
        let mut calling = calling.camel_case();
        let names_path = calling.path_of("allowedFunctionNames");
        let names: Vec<String> = calling
            .array("allowedFunctionNames")?
            .unwrap_or_default()
            .into_iter()
            .enumerate()
            .map(|(at, json)| string_at(json, &format!("{names_path}[{at}]")))
            .collect::<Result<_>>()?;
        let mode = calling.take("mode").unwrap_or("\"AUTO\"").trim_matches('"').to_owned();
        // Old clients number the modes.
        request.tool_choice = match mode.as_str() {
            "ANY" | "2" => Some(match names.as_slice() {
                [only] => ToolChoice::Named(only.clone()),
                _ => ToolChoice::Required,
            }),
            "NONE" | "3" => Some(ToolChoice::None),
            _ => Some(ToolChoice::Auto),
        };
        says_more = names.len() > 1 || mode == "VALIDATED" || calling.has_more();
    }
    if says_more || config.has_more() {
        extra(request, "toolConfig", json);
    }
    Ok(())
}

fn generation_config(mut config: Fields<'_>, request: &mut ChatRequest) -> Result<()> {
    request.max_output_tokens = config.integer("maxOutputTokens")?;
    request.temperature = config.number("temperature")?;
    request.top_p = config.number("topP")?;
    // Some clients write the whole number as a float.
    let top_k_path = config.path_of("topK");
    request.top_k = match config.number("topK")? {
        None => None,
        Some(number) if (0.0..=f64::from(u32::MAX)).contains(&number) => Some(number as u32),
        Some(_) => return Err(must_be(&top_k_path, "a whole number in range")),
    };
    request.frequency_penalty = config.number("frequencyPenalty")?;
    request.presence_penalty = config.number("presencePenalty")?;
    request.seed = config.integer("seed")?;
    request.candidate_count = config.integer("candidateCount")?;
    let path = config.path_of("stopSequences");
    for (at, json) in config.array("stopSequences")?.unwrap_or_default().into_iter().enumerate() {
        request.stop.push(string_at(json, &format!("{path}[{at}]"))?);
    }
    let alternatives = config.integer("logprobs")?;
    if config.boolean("responseLogprobs")? == Some(true) {
        request.top_logprobs = Some(alternatives.unwrap_or(0));
    }
    response_format(&mut config, request)?;
    if let Some(thinking) = config.object("thinkingConfig")? {
        thinking_config(thinking.camel_case(), request)?;
    }
    if let Some(left) = leftovers(config) {
        extra(request, "generationConfig", &left);
    }
    Ok(())
}

fn response_format(config: &mut Fields<'_>, request: &mut ChatRequest) -> Result<()> {
    let own = config.take("responseSchema").map(schema::to_json_schema);
    let underscored = config.take("_responseJsonSchema");
    let full = config.take("responseJsonSchema").or(underscored).map(str::to_owned);
    let mime_path = config.path_of("responseMimeType");
    let mime = config.take("responseMimeType");
    request.response_format = match (full.or(own), mime) {
        (Some(schema), _) => Some(ResponseFormat::JsonSchema {
            name: SCHEMA_NAME.to_owned(),
            description: None,
            schema,
            strict: None,
        }),
        (None, None) => None,
        (None, Some(json)) => match string_at(json, &mime_path)?.as_str() {
            "application/json" => Some(ResponseFormat::JsonObject),
            "text/plain" => Some(ResponseFormat::Text),
            _ => {
                extra(request, "responseMimeType", json);
                None
            }
        },
    };
    Ok(())
}

fn thinking_config(mut config: Fields<'_>, request: &mut ChatRequest) -> Result<()> {
    let mut reasoning =
        Reasoning { include_text: config.boolean("includeThoughts")?, ..Reasoning::default() };
    let level = config.string("thinkingLevel")?.map(|level| level.to_ascii_lowercase());
    reasoning.effort = level.filter(|level| level != "thinking_level_unspecified");
    match config.integer::<i64>("thinkingBudget")? {
        None => {}
        Some(0) => reasoning.effort = Some("none".to_owned()),
        Some(budget) => match u32::try_from(budget) {
            Ok(budget) => reasoning.budget_tokens = Some(budget),
            // -1 is Gemini's word for "as much as it takes".
            Err(_) => extra(request, "thinkingBudget", &budget.to_string()),
        },
    }
    request.reasoning = Some(reasoning);
    Ok(())
}
