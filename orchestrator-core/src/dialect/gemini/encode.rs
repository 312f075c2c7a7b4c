//! The hub's words into a request for a provider.

use bytes::Bytes;

use super::{
    EXTRA,
    encode_contents::Contents,
    schema,
    version::{self, Generation, generation},
};
use crate::{
    chat::{ChatRequest, Reasoning, ResponseFormat, Tool, ToolChoice},
    dialect::{
        EncodeTarget, Encoded,
        json::{ObjectWriter, array, array_at, checked},
        scan,
        splice::{Edit, quoted, splice},
    },
    error::Result,
};

/// The most stop sequences that Gemini takes.
const MAX_STOPS: usize = 5;

/// Extras that are woven into a field of their own instead of being set as they are. The model stands in the path.
const WOVEN: [&str; 7] = [
    "contents",
    "systemInstruction",
    "model",
    "tools",
    "generationConfig",
    "thinkingBudget",
    "responseMimeType",
];

/// Writes a request.
pub(super) fn request(request: &ChatRequest, target: &EncodeTarget<'_>) -> Result<Encoded> {
    let mut dropped = Vec::new();
    let contents = Contents::of(request, target.model, &mut dropped)?;
    let mut out = ObjectWriter::new();
    contents.write(&mut out);
    tools(request, &mut out)?;
    if !request.extras.contains_key("gemini.toolConfig")
        && let Some(choice) = &request.tool_choice
    {
        out.raw("toolConfig", &tool_config(choice));
    }
    let config = generation_config(request, target.model, &mut dropped)?;
    if config != "{}" {
        out.raw("generationConfig", &config);
    }
    not_carried(request, &mut dropped);

    let mut edits: Vec<Edit> = Vec::new();
    for (name, json) in &request.extras {
        match name.strip_prefix(EXTRA) {
            Some(field) if !WOVEN.contains(&field) => {
                edits.push(Edit::Set(field.to_owned(), checked(json, name)?.to_owned()));
            }
            Some(_) => {}
            None => dropped.push(format!("extras.{name}")),
        }
    }
    let overrides = target.overrides.iter().filter(|(name, _)| name != "model");
    edits.extend(overrides.map(|(name, json)| Edit::Set(name.clone(), json.clone())));
    let body = Bytes::from(out.finish());
    let body = if edits.is_empty() { body } else { splice(&body, &edits)? };
    Ok(Encoded { body, dropped })
}

/// Fields of the hub that Gemini has nothing for.
fn not_carried(request: &ChatRequest, dropped: &mut Vec<String>) {
    let fields = [
        (request.parallel_tool_calls == Some(false), "parallel_tool_calls"),
        (request.service_tier.is_some(), "service_tier"),
        (request.end_user.is_some(), "end_user"),
    ];
    dropped.extend(fields.into_iter().filter(|(said, _)| *said).map(|(_, name)| name.to_owned()));
    let strict = request.tools.iter().enumerate().filter(|(_, tool)| tool.strict == Some(true));
    dropped.extend(strict.map(|(at, _)| format!("tools[{at}].strict")));
}

/// All functions stand in one entry; what other tools there are stand beside it.
fn tools(request: &ChatRequest, out: &mut ObjectWriter) -> Result<()> {
    let mut declared: Vec<String> = Vec::with_capacity(request.tools.len());
    for (at, entry) in request.tools.iter().enumerate() {
        declared.push(declaration(entry, at)?);
    }
    let mut list: Vec<String> = Vec::new();
    if !declared.is_empty() {
        list.push(format!(r#"{{"functionDeclarations":{}}}"#, array(&declared)));
    }
    if let Some(others) = request.extras.get("gemini.tools") {
        list.extend(array_at(others, "extras.gemini.tools")?.into_iter().map(str::to_owned));
    }
    if !list.is_empty() {
        out.raw("tools", &array(&list));
    }
    Ok(())
}

fn declaration(tool: &Tool, at: usize) -> Result<String> {
    let mut out = ObjectWriter::new();
    out.string("name", &tool.name);
    out.optional_string("description", tool.description.as_deref());
    if !tool.parameters.is_empty() && !schema::allows_nothing(&tool.parameters) {
        out.raw("parametersJsonSchema", checked(&tool.parameters, &format!("tools[{at}].parameters"))?);
    }
    Ok(out.finish())
}

fn tool_config(choice: &ToolChoice) -> String {
    let calling = match choice {
        ToolChoice::None => r#"{"mode":"NONE"}"#.to_owned(),
        ToolChoice::Auto => r#"{"mode":"AUTO"}"#.to_owned(),
        ToolChoice::Required => r#"{"mode":"ANY"}"#.to_owned(),
        ToolChoice::Named(name) => {
            format!(r#"{{"mode":"ANY","allowedFunctionNames":[{}]}}"#, quoted(name))
        }
    };
    format!(r#"{{"functionCallingConfig":{calling}}}"#)
}

fn generation_config(request: &ChatRequest, model: &str, dropped: &mut Vec<String>) -> Result<String> {
    let mut out = ObjectWriter::new();
    out.optional_plain("maxOutputTokens", request.max_output_tokens);
    out.optional_number("temperature", request.temperature);
    out.optional_number("topP", request.top_p);
    out.optional_plain("topK", request.top_k);
    out.optional_number("frequencyPenalty", request.frequency_penalty);
    out.optional_number("presencePenalty", request.presence_penalty);
    out.optional_plain("seed", request.seed);
    out.optional_plain("candidateCount", request.candidate_count);
    if !request.stop.is_empty() {
        let stops: Vec<String> = request.stop.iter().take(MAX_STOPS).map(|stop| quoted(stop)).collect();
        out.raw("stopSequences", &array(&stops));
        dropped.extend((MAX_STOPS..request.stop.len()).map(|at| format!("stop[{at}]")));
    }
    if let Some(alternatives) = request.top_logprobs {
        out.plain("responseLogprobs", true);
        out.optional_plain("logprobs", (alternatives > 0).then_some(alternatives));
    }
    response_format(request, &mut out)?;
    let thinking = thinking_config(request, model, dropped);
    if thinking != "{}" {
        out.raw("thinkingConfig", &thinking);
    }
    let config = out.finish();
    let Some(left) = request.extras.get("gemini.generationConfig") else { return Ok(config) };
    let name = "extras.gemini.generationConfig";
    let members = scan::entries(checked(left, name)?)?.into_iter();
    let edits: Vec<Edit> = members.map(|(key, json)| Edit::Set(key.into_owned(), json.to_owned())).collect();
    let whole = splice(config.as_bytes(), &edits)?;
    Ok(String::from_utf8_lossy(&whole).into_owned())
}

fn response_format(request: &ChatRequest, out: &mut ObjectWriter) -> Result<()> {
    match &request.response_format {
        None => {
            if let Some(mime) = request.extras.get("gemini.responseMimeType") {
                out.raw("responseMimeType", checked(mime, "extras.gemini.responseMimeType")?);
            }
        }
        Some(ResponseFormat::Text) => out.string("responseMimeType", "text/plain"),
        Some(ResponseFormat::JsonObject) => out.string("responseMimeType", "application/json"),
        Some(ResponseFormat::JsonSchema { schema, .. }) => {
            out.string("responseMimeType", "application/json");
            if !schema.is_empty() {
                out.raw("responseJsonSchema", checked(schema, "response_format.schema")?);
            }
        }
    }
    Ok(())
}

/// How much to think. Thoughts come along wherever thinking was asked for, unless the caller does not want them: they are what a
/// caller who pays for them expects to see.
fn thinking_config(request: &ChatRequest, model: &str, dropped: &mut Vec<String>) -> String {
    let mut out = ObjectWriter::new();
    let none = Reasoning::default();
    let reasoning = request.reasoning.as_ref().unwrap_or(&none);
    let effort = reasoning.effort.as_deref();
    let asked = reasoning.budget_tokens.is_some() || effort.is_some_and(|effort| effort != "none");
    out.optional_plain("includeThoughts", reasoning.include_text.or(asked.then_some(true)));
    if let Some(budget) = reasoning.budget_tokens {
        out.plain("thinkingBudget", budget);
        return out.finish();
    }
    let Some(effort) = effort else {
        if let Some(dynamic) =
            request.extras.get("gemini.thinkingBudget").and_then(|json| json.parse::<i64>().ok())
        {
            out.plain("thinkingBudget", dynamic);
        }
        return out.finish();
    };
    match (generation(model), version::level(effort, model), version::budget(effort)) {
        (Generation::Levels, Some(level), _) => out.string("thinkingLevel", level),
        (Generation::Budgets, _, Some(budget)) => out.plain("thinkingBudget", budget),
        _ => dropped.push("reasoning.effort".to_owned()),
    }
    out.finish()
}
