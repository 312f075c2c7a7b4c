//! The hub's words into a request for a provider.
//!
//! What Responses has a field for is written first; then the extras of this dialect, those that Chat has alike, and the provider's
//! overrides are spliced in, so that none of them can make a key stand twice.

use bytes::Bytes;

use super::{
    EXTRA,
    decode::{INCLUDE_ENCRYPTED, INCLUDE_LOGPROBS},
    items::{For, Items},
};
use crate::{
    chat::{ChatRequest, ResponseFormat, Tool, ToolChoice},
    dialect::{
        EncodeTarget, Encoded,
        json::{ObjectWriter, array, array_at, checked},
        openai::SHARED_FIELDS,
        scan::Object,
        splice::{Edit, quoted, splice},
    },
    error::{Error, Result},
};

/// Extras that are woven into a field of their own instead of being set as they are.
const WOVEN: [&str; 4] = ["tools", "reasoning", "include", "verbosity"];

/// Writes a request.
pub(super) fn request(request: &ChatRequest, target: &EncodeTarget<'_>) -> Result<Encoded> {
    let mut dropped = Vec::new();
    let mut out = ObjectWriter::new();
    out.string("model", target.model);
    let mut items = Items::new(For::Provider, &mut dropped);
    for (at, message) in request.messages.iter().enumerate() {
        items.message(message, &format!("messages[{at}]"))?;
    }
    out.raw("input", &array(&items.finish()));
    out.optional_plain("max_output_tokens", request.max_output_tokens);
    out.optional_number("temperature", request.temperature);
    out.optional_number("top_p", request.top_p);
    out.optional_plain("top_logprobs", request.top_logprobs.filter(|count| *count > 0));
    tools(request, &mut out)?;
    text(request, &mut out)?;
    reasoning(request, &mut out)?;
    include(request, &mut out)?;
    out.optional_string("service_tier", request.service_tier.as_deref());
    out.optional_string("user", request.end_user.as_deref());
    // Who asks in another dialect did not ask to have it kept, and OpenAI keeps what nobody says anything about.
    out.plain("store", false);
    if request.stream {
        out.plain("stream", true);
    }
    no_word(request, &mut dropped);
    let mut edits = extras(request, &mut dropped)?;
    let overrides = target.overrides.iter().filter(|(name, _)| name != "model");
    edits.extend(overrides.map(|(name, json)| Edit::Set(name.clone(), json.clone())));
    let body = Bytes::from(out.finish());
    let body = if edits.is_empty() { body } else { splice(&body, &edits)? };
    Ok(Encoded { body, dropped })
}

/// What Responses has no field for.
fn no_word(request: &ChatRequest, dropped: &mut Vec<String>) {
    let budget = request.reasoning.as_ref().and_then(|reasoning| reasoning.budget_tokens);
    for (said, name) in [
        (request.top_k.is_some(), "top_k"),
        (request.frequency_penalty.is_some(), "frequency_penalty"),
        (request.presence_penalty.is_some(), "presence_penalty"),
        (!request.stop.is_empty(), "stop"),
        (request.seed.is_some(), "seed"),
        (request.candidate_count.is_some_and(|count| count > 1), "candidate_count"),
        (budget.is_some(), "reasoning.budget_tokens"),
    ] {
        if said {
            dropped.push(name.to_owned());
        }
    }
}

fn extras(request: &ChatRequest, dropped: &mut Vec<String>) -> Result<Vec<Edit>> {
    let mut edits = Vec::new();
    for (name, json) in &request.extras {
        let chats = name.strip_prefix("openai_chat.").filter(|field| SHARED_FIELDS.contains(field));
        match name.strip_prefix(EXTRA).or(chats) {
            // The model is the catalog's choice, whatever an extra says.
            Some(field) if field != "model" && !WOVEN.contains(&field) => {
                edits.push(Edit::Set(field.to_owned(), checked(json, name)?.to_owned()));
            }
            Some(_) => {}
            None => dropped.push(format!("extras.{name}")),
        }
    }
    Ok(edits)
}

fn own_extra<'a>(request: &'a ChatRequest, field: &str) -> Option<&'a String> {
    request.extras.get(&format!("{EXTRA}{field}"))
}

fn tools(request: &ChatRequest, out: &mut ObjectWriter) -> Result<()> {
    let mut list: Vec<String> = Vec::with_capacity(request.tools.len());
    for (at, entry) in request.tools.iter().enumerate() {
        list.push(tool(entry, at)?);
    }
    if let Some(others) = own_extra(request, "tools") {
        list.extend(array_at(others, "extras.openai_responses.tools")?.into_iter().map(str::to_owned));
    }
    if !list.is_empty() {
        out.raw("tools", &array(&list));
    }
    match &request.tool_choice {
        None => {}
        Some(ToolChoice::None) => out.string("tool_choice", "none"),
        Some(ToolChoice::Auto) => out.string("tool_choice", "auto"),
        Some(ToolChoice::Required) => out.string("tool_choice", "required"),
        Some(ToolChoice::Named(name)) => {
            out.raw("tool_choice", &format!(r#"{{"type":"function","name":{}}}"#, quoted(name)));
        }
    }
    out.optional_plain("parallel_tool_calls", request.parallel_tool_calls);
    Ok(())
}

/// `strict` is said in any case: left out, it would mean `true` here and `false` everywhere else.
fn tool(tool: &Tool, at: usize) -> Result<String> {
    let mut out = ObjectWriter::new();
    out.string("type", "function");
    out.string("name", &tool.name);
    out.optional_string("description", tool.description.as_deref());
    if tool.parameters.is_empty() {
        out.raw("parameters", r#"{"type":"object","properties":{}}"#);
    } else {
        out.raw("parameters", checked(&tool.parameters, &format!("tools[{at}].parameters"))?);
    }
    out.plain("strict", tool.strict.unwrap_or(false));
    Ok(out.finish())
}

fn text(request: &ChatRequest, out: &mut ObjectWriter) -> Result<()> {
    let verbosity = own_extra(request, "verbosity").or_else(|| request.extras.get("openai_chat.verbosity"));
    if request.response_format.is_none() && verbosity.is_none() {
        return Ok(());
    }
    let mut text = ObjectWriter::new();
    if let Some(format) = &request.response_format {
        text.raw("format", &response_format(format)?);
    }
    if let Some(verbosity) = verbosity {
        text.raw("verbosity", checked(verbosity, "extras.openai_responses.verbosity")?);
    }
    out.raw("text", &text.finish());
    Ok(())
}

fn response_format(format: &ResponseFormat) -> Result<String> {
    let ResponseFormat::JsonSchema { name, description, schema, strict } = format else {
        let kind = if *format == ResponseFormat::Text { "text" } else { "json_object" };
        return Ok(format!(r#"{{"type":"{kind}"}}"#));
    };
    let mut out = ObjectWriter::new();
    out.string("type", "json_schema");
    out.string("name", name);
    out.optional_string("description", description.as_deref());
    let schema = if schema.is_empty() { "{}" } else { checked(schema, "response_format.schema")? };
    out.raw("schema", schema);
    out.optional_plain("strict", *strict);
    Ok(out.finish())
}

fn reasoning(request: &ChatRequest, out: &mut ObjectWriter) -> Result<()> {
    let mut edits = Vec::new();
    if let Some(reasoning) = &request.reasoning {
        if let Some(effort) = &reasoning.effort {
            edits.push(Edit::Set("effort".to_owned(), quoted(effort)));
        }
        if reasoning.include_text == Some(true) {
            edits.push(Edit::Set("summary".to_owned(), quoted("auto")));
        }
    }
    let path = "extras.openai_responses.reasoning";
    let others = own_extra(request, "reasoning").map_or("{}", String::as_str);
    let wrong = || Error::invalid(path.to_owned(), "it must be a JSON object");
    let own = Object::scan(others.as_bytes(), usize::MAX).map_err(|_| wrong())?;
    edits.retain(|edit| !matches!(edit, Edit::Set(name, _) if own.get(name).is_some()));
    let whole = splice(checked(others, path)?.as_bytes(), &edits)?;
    let whole = std::str::from_utf8(&whole).map_err(|_| wrong())?;
    if whole != "{}" {
        out.raw("reasoning", whole);
    }
    Ok(())
}

/// Encrypted reasoning is asked for where reasoning is: models that do not reason refuse the wish.
fn include(request: &ChatRequest, out: &mut ObjectWriter) -> Result<()> {
    let mut list: Vec<String> = Vec::new();
    if let Some(others) = own_extra(request, "include") {
        list.extend(array_at(others, "extras.openai_responses.include")?.into_iter().map(str::to_owned));
    }
    let off = |effort: &Option<String>| effort.as_deref() == Some("none");
    if request.reasoning.as_ref().is_some_and(|reasoning| !off(&reasoning.effort)) {
        list.push(quoted(INCLUDE_ENCRYPTED));
    }
    if request.top_logprobs.is_some() {
        list.push(quoted(INCLUDE_LOGPROBS));
    }
    if !list.is_empty() {
        out.raw("include", &array(&list));
    }
    Ok(())
}
