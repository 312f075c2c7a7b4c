//! The hub's words into a request for a provider.
//!
//! What Chat has a field for is written first; then the extras of this dialect and the provider's overrides are spliced in, so
//! that neither can make a key stand twice.

use bytes::Bytes;

use super::{EXTRA, encode_messages};
use crate::{
    chat::{ChatRequest, ResponseFormat, Tool, ToolChoice},
    dialect::{
        EncodeTarget, Encoded,
        json::{ObjectWriter, array, array_at, checked},
        openai::SHARED_FIELDS,
        splice::{Edit, quoted, splice, with_include_usage},
    },
    error::{Error, Result},
};

/// Extras that are woven into a field of their own instead of being set as they are.
const WOVEN: [&str; 2] = ["openai_chat.tools", "openai_chat.stream_options"];

/// Writes a request.
pub(super) fn request(request: &ChatRequest, target: &EncodeTarget<'_>) -> Result<Encoded> {
    let mut dropped = Vec::new();
    let mut out = ObjectWriter::new();
    out.string("model", target.model);
    out.raw("messages", &encode_messages::messages(request, target, &mut dropped)?);
    let limit = if target.legacy_names { "max_tokens" } else { "max_completion_tokens" };
    let seed = if target.quirks.random_seed { "random_seed" } else { "seed" };
    sampling(request, (limit, seed), &mut out);
    if target.quirks.top_k {
        out.optional_plain("top_k", request.top_k);
    } else if request.top_k.is_some() {
        dropped.push("top_k".to_owned());
    }
    if let Some(alternatives) = request.top_logprobs {
        out.plain("logprobs", true);
        out.optional_plain("top_logprobs", (alternatives > 0).then_some(alternatives));
    }
    tools(request, if target.quirks.any_tool { "any" } else { "required" }, &mut out)?;
    if let Some(format) = &request.response_format {
        out.raw("response_format", &response_format(format)?);
    }
    reasoning(request, &mut out, &mut dropped);
    out.optional_string("service_tier", request.service_tier.as_deref());
    out.optional_string("user", request.end_user.as_deref());
    streaming(request, target, &mut out)?;

    let mut edits: Vec<Edit> = Vec::new();
    for (name, json) in &request.extras {
        let shared = name.strip_prefix("openai_responses.").filter(|field| SHARED_FIELDS.contains(field));
        match name.strip_prefix(EXTRA).or(shared) {
            // The model is the catalog's choice, whatever an extra says.
            Some(field) if field != "model" && !WOVEN.contains(&name.as_str()) => {
                edits.push(Edit::Set(field.to_owned(), checked(json, name)?.to_owned()));
            }
            Some(_) => {}
            None => dropped.push(format!("extras.{name}")),
        }
    }
    edits.extend(overrides(target, request.stream));
    let body = Bytes::from(out.finish());
    let body = if edits.is_empty() { body } else { splice(&body, &edits)? };
    Ok(Encoded { body, dropped })
}

/// The provider's overrides as edits. A stream's `stream_options` keep the usage that was asked for.
pub(in crate::dialect) fn overrides(target: &EncodeTarget<'_>, stream: bool) -> Vec<Edit> {
    let mut edits = Vec::new();
    for (name, json) in target.overrides.iter().filter(|(name, _)| name != "model") {
        let json = if name == "stream_options" && stream && target.include_usage {
            with_include_usage(Some(json.as_bytes())).unwrap_or_else(|_| json.clone())
        } else {
            json.clone()
        };
        edits.push(Edit::Set(name.clone(), json));
    }
    edits
}

/// The fields that steer sampling, which legacy Completions has alike. What the most tokens to generate and the seed are called
/// differs.
pub(in crate::dialect) fn sampling(
    request: &ChatRequest,
    (limit, seed): (&str, &str),
    out: &mut ObjectWriter,
) {
    out.optional_plain(limit, request.max_output_tokens);
    out.optional_number("temperature", request.temperature);
    out.optional_number("top_p", request.top_p);
    out.optional_number("frequency_penalty", request.frequency_penalty);
    out.optional_number("presence_penalty", request.presence_penalty);
    if !request.stop.is_empty() {
        let stops: Vec<String> = request.stop.iter().map(|stop| quoted(stop)).collect();
        out.raw("stop", &array(&stops));
    }
    out.optional_plain(seed, request.seed);
    out.optional_plain("n", request.candidate_count);
}

fn tools(request: &ChatRequest, required: &str, out: &mut ObjectWriter) -> Result<()> {
    let mut list: Vec<String> = Vec::with_capacity(request.tools.len());
    for (at, entry) in request.tools.iter().enumerate() {
        list.push(tool(entry, at)?);
    }
    if let Some(others) = request.extras.get("openai_chat.tools") {
        list.extend(array_at(others, "extras.openai_chat.tools")?.into_iter().map(str::to_owned));
    }
    if !list.is_empty() {
        out.raw("tools", &array(&list));
    }
    match &request.tool_choice {
        None => {}
        Some(ToolChoice::None) => out.string("tool_choice", "none"),
        Some(ToolChoice::Auto) => out.string("tool_choice", "auto"),
        Some(ToolChoice::Required) => out.string("tool_choice", required),
        Some(ToolChoice::Named(name)) => {
            out.raw(
                "tool_choice",
                &format!(r#"{{"type":"function","function":{{"name":{}}}}}"#, quoted(name)),
            );
        }
    }
    out.optional_plain("parallel_tool_calls", request.parallel_tool_calls);
    Ok(())
}

fn tool(tool: &Tool, at: usize) -> Result<String> {
    let mut function = ObjectWriter::new();
    function.string("name", &tool.name);
    function.optional_string("description", tool.description.as_deref());
    if !tool.parameters.is_empty() {
        function.raw("parameters", checked(&tool.parameters, &format!("tools[{at}].parameters"))?);
    }
    function.optional_plain("strict", tool.strict);
    Ok(format!(r#"{{"type":"function","function":{}}}"#, function.finish()))
}

fn response_format(format: &ResponseFormat) -> Result<String> {
    let ResponseFormat::JsonSchema { name, description, schema, strict } = format else {
        let kind = if *format == ResponseFormat::Text { "text" } else { "json_object" };
        return Ok(format!(r#"{{"type":"{kind}"}}"#));
    };
    let mut inner = ObjectWriter::new();
    inner.string("name", name);
    inner.optional_string("description", description.as_deref());
    if !schema.is_empty() {
        inner.raw("schema", checked(schema, "response_format.schema")?);
    }
    inner.optional_plain("strict", *strict);
    Ok(format!(r#"{{"type":"json_schema","json_schema":{}}}"#, inner.finish()))
}

/// Chat has an effort and nothing else.
fn reasoning(request: &ChatRequest, out: &mut ObjectWriter, dropped: &mut Vec<String>) {
    let Some(reasoning) = &request.reasoning else { return };
    out.optional_string("reasoning_effort", reasoning.effort.as_deref());
    if reasoning.budget_tokens.is_some() {
        dropped.push("reasoning.budget_tokens".to_owned());
    }
    if reasoning.include_text.is_some() {
        dropped.push("reasoning.include_text".to_owned());
    }
}

/// `stream` and its options, the caller's own among them.
pub(in crate::dialect) fn streaming(
    request: &ChatRequest,
    target: &EncodeTarget<'_>,
    out: &mut ObjectWriter,
) -> Result<()> {
    if !request.stream {
        return Ok(());
    }
    out.plain("stream", true);
    let others = request.extras.get("openai_chat.stream_options");
    if target.include_usage {
        let options = with_include_usage(others.map(String::as_bytes));
        let wrong =
            |_| Error::invalid("extras.openai_chat.stream_options".to_owned(), "it must be a JSON object");
        out.raw("stream_options", &options.map_err(wrong)?);
    } else if let Some(others) = others {
        out.raw("stream_options", checked(others, "extras.openai_chat.stream_options")?);
    }
    Ok(())
}
