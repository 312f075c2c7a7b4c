//! A caller's request into the hub's words.

use super::{EXTRA, decode_messages};
use crate::{
    chat::{ChatRequest, Reasoning, ResponseFormat, Tool, ToolChoice},
    dialect::{
        json::{Fields, array, array_at, must_be, string_at},
        splice::{Edit, splice},
    },
    error::Result,
};

/// Reads a request. Errors name the path of the wrong field.
pub(super) fn request(body: &[u8]) -> Result<ChatRequest> {
    let mut fields = Fields::body(body)?;
    let mut request = ChatRequest { model: fields.required_string("model")?, ..ChatRequest::default() };
    request.messages = decode_messages::messages(&mut fields)?;
    sampling(&mut fields, &mut request)?;
    tools(&mut fields, &mut request)?;
    response_format(&mut fields, &mut request)?;
    streaming(&mut fields, &mut request)?;
    // Not OpenAI's, but many servers' that imitate it.
    request.top_k = fields.integer("top_k")?;
    request.service_tier = fields.string("service_tier")?;
    request.end_user = fields.string("user")?;
    let effort = fields.string("reasoning_effort")?;
    request.reasoning = effort.map(|effort| Reasoning { effort: Some(effort), ..Reasoning::default() });
    for (name, json) in fields.rest() {
        extra(&mut request, &name, json);
    }
    Ok(request)
}

fn extra(request: &mut ChatRequest, name: &str, json: &str) {
    request.extras.insert(format!("{EXTRA}{name}"), json.to_owned());
}

/// The fields that steer sampling, which legacy Completions has alike.
pub(in crate::dialect) fn sampling(fields: &mut Fields<'_>, request: &mut ChatRequest) -> Result<()> {
    // `max_tokens` is the older name of the same limit.
    let older = fields.integer("max_tokens")?;
    request.max_output_tokens = fields.integer("max_completion_tokens")?.or(older);
    request.temperature = fields.number("temperature")?;
    request.top_p = fields.number("top_p")?;
    request.frequency_penalty = fields.number("frequency_penalty")?;
    request.presence_penalty = fields.number("presence_penalty")?;
    request.seed = fields.integer("seed")?;
    request.candidate_count = fields.integer("n")?;
    request.stop = match fields.take("stop") {
        None => Vec::new(),
        Some(json) if json.starts_with('[') => {
            let texts = array_at(json, "stop")?.into_iter().enumerate();
            texts.map(|(at, json)| string_at(json, &format!("stop[{at}]"))).collect::<Result<_>>()?
        }
        Some(json) => vec![string_at(json, "stop")?],
    };
    let top_logprobs = fields.integer("top_logprobs")?;
    if fields.boolean("logprobs")? == Some(true) {
        request.top_logprobs = Some(top_logprobs.unwrap_or(0));
    }
    Ok(())
}

fn tools(fields: &mut Fields<'_>, request: &mut ChatRequest) -> Result<()> {
    let mut others: Vec<String> = Vec::new();
    for (at, json) in fields.array("tools")?.unwrap_or_default().into_iter().enumerate() {
        let mut entry = Fields::parse(json, &format!("tools[{at}]"))?;
        let kind = entry.string("type")?;
        match entry.object("function")? {
            Some(function) if kind.as_deref().is_none_or(|kind| kind == "function") => {
                request.tools.push(tool(function)?);
            }
            _ if kind.as_deref() == Some("function") => {
                return Err(must_be(&entry.path_of("function"), "an object"));
            }
            _ => others.push(json.to_owned()),
        }
    }
    // The deprecated form: functions without a wrapping.
    for (at, json) in fields.array("functions")?.unwrap_or_default().into_iter().enumerate() {
        request.tools.push(tool(Fields::parse(json, &format!("functions[{at}]"))?)?);
    }
    if !others.is_empty() {
        extra(request, "tools", &array(&others));
    }
    request.parallel_tool_calls = fields.boolean("parallel_tool_calls")?;
    if let Some(json) = fields.take("tool_choice") {
        request.tool_choice = tool_choice(json)?;
        if request.tool_choice.is_none() {
            extra(request, "tool_choice", json);
        }
    }
    if let Some(json) = fields.take("function_call") {
        request.tool_choice = function_choice(json)?;
    }
    Ok(())
}

fn tool(mut function: Fields<'_>) -> Result<Tool> {
    Ok(Tool {
        name: function.required_string("name")?,
        description: function.string("description")?,
        parameters: function.take("parameters").unwrap_or_default().to_owned(),
        strict: function.boolean("strict")?,
    })
}

/// `None`: a choice that the hub has no word for, such as `allowed_tools`.
fn tool_choice(json: &str) -> Result<Option<ToolChoice>> {
    if json.starts_with('"') {
        return Ok(match string_at(json, "tool_choice")?.as_str() {
            "none" => Some(ToolChoice::None),
            "auto" => Some(ToolChoice::Auto),
            // `any` is Mistral's.
            "required" | "any" => Some(ToolChoice::Required),
            _ => None,
        });
    }
    let mut choice =
        Fields::parse(json, "tool_choice").map_err(|_| must_be("tool_choice", "a string or an object"))?;
    if choice.string("type")?.as_deref() != Some("function") {
        return Ok(None);
    }
    let Some(mut function) = choice.object("function")? else {
        return Err(must_be("tool_choice.function", "an object"));
    };
    Ok(Some(ToolChoice::Named(function.required_string("name")?)))
}

fn function_choice(json: &str) -> Result<Option<ToolChoice>> {
    match json {
        "\"none\"" => Ok(Some(ToolChoice::None)),
        "\"auto\"" => Ok(Some(ToolChoice::Auto)),
        _ => {
            let mut choice = Fields::parse(json, "function_call")?;
            Ok(Some(ToolChoice::Named(choice.required_string("name")?)))
        }
    }
}

fn response_format(fields: &mut Fields<'_>, request: &mut ChatRequest) -> Result<()> {
    let Some(json) = fields.take("response_format") else { return Ok(()) };
    let mut format = Fields::parse(json, "response_format")?;
    let kind = format.required_string("type")?;
    request.response_format = match kind.as_str() {
        "text" => Some(ResponseFormat::Text),
        "json_object" => Some(ResponseFormat::JsonObject),
        "json_schema" => {
            let Some(mut schema) = format.object("json_schema")? else {
                return Err(must_be("response_format.json_schema", "an object"));
            };
            Some(ResponseFormat::JsonSchema {
                name: schema.required_string("name")?,
                description: schema.string("description")?,
                schema: schema.take("schema").unwrap_or_default().to_owned(),
                strict: schema.boolean("strict")?,
            })
        }
        _ => {
            extra(request, "response_format", json);
            None
        }
    };
    Ok(())
}

/// `stream` and `stream_options`; what else the options hold becomes an extra.
pub(in crate::dialect) fn streaming(fields: &mut Fields<'_>, request: &mut ChatRequest) -> Result<()> {
    request.stream = fields.boolean("stream")?.unwrap_or(false);
    let Some(json) = fields.take("stream_options") else { return Ok(()) };
    let mut options = Fields::parse(json, "stream_options")?;
    request.include_usage = options.boolean("include_usage")?.unwrap_or(false);
    if options.rest().next().is_some() {
        let others = splice(json.as_bytes(), &[Edit::Remove("include_usage".to_owned())])?;
        extra(request, "stream_options", &String::from_utf8_lossy(&others));
    }
    Ok(())
}
