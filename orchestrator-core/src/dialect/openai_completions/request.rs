//! Requests, both ways.

use bytes::Bytes;

use crate::{
    chat::{ChatRequest, Message, Part, PartKind, Role},
    dialect::{
        EncodeTarget, Encoded,
        json::{Fields, ObjectWriter, array_at, checked, must_be, string_at},
        openai_chat::{decode, encode},
        splice::{Edit, splice},
    },
    error::{Error, Result},
};

/// The prefix of this dialect's extras.
const EXTRA: &str = "openai_completions.";
/// What Chat has alike is filed under Chat's name, so that it survives translation into Chat.
const SHARED: &str = "openai_chat.logit_bias";

/// Reads a request. Errors name the path of the wrong field.
pub(super) fn decode(body: &[u8]) -> Result<ChatRequest> {
    let mut fields = Fields::body(body)?;
    let prompt = prompt(&mut fields)?;
    let message = Message { role: Role::User, parts: vec![Part::from(PartKind::Text(prompt))], name: None };
    let mut request = ChatRequest {
        model: fields.required_string("model")?,
        messages: vec![message],
        // A number here, where Chat has a switch.
        top_logprobs: fields.integer("logprobs")?,
        end_user: fields.string("user")?,
        ..ChatRequest::default()
    };
    let alternatives = request.top_logprobs;
    decode::sampling(&mut fields, &mut request)?;
    request.top_logprobs = alternatives;
    decode::streaming(&mut fields, &mut request)?;
    for (name, json) in fields.rest() {
        let key = if name == "logit_bias" { SHARED.to_owned() } else { format!("{EXTRA}{name}") };
        request.extras.insert(key, json.to_owned());
    }
    Ok(request)
}

fn prompt(fields: &mut Fields<'_>) -> Result<String> {
    let one =
        || Error::invalid("prompt".to_owned(), "only one prompt can be translated, and it must be text");
    match fields.take("prompt") {
        None => Err(Error::invalid("prompt".to_owned(), "you must provide the `prompt` parameter")),
        Some(json) if json.starts_with('"') => string_at(json, "prompt"),
        Some(json) if json.starts_with('[') => match array_at(json, "prompt")?.as_slice() {
            [only] if only.starts_with('"') => string_at(only, "prompt[0]"),
            _ => Err(one()),
        },
        Some(_) => Err(must_be("prompt", "a string or an array")),
    }
}

/// Writes a request. This dialect has one prompt and nothing else, so the hub's request must be one user message of text.
pub(super) fn encode(request: &ChatRequest, target: &EncodeTarget<'_>) -> Result<Encoded> {
    let mut dropped = unsaid(request);
    let mut out = ObjectWriter::new();
    out.string("model", target.model);
    out.string("prompt", only_text(request)?);
    encode::sampling(request, ("max_tokens", "seed"), &mut out);
    out.optional_plain("logprobs", request.top_logprobs);
    out.optional_string("user", request.end_user.as_deref());
    encode::streaming(request, target, &mut out)?;

    let mut edits: Vec<Edit> = Vec::new();
    for (name, json) in &request.extras {
        let field = if name == SHARED { Some("logit_bias") } else { name.strip_prefix(EXTRA) };
        match field {
            Some("model" | "prompt") => {}
            Some(field) => edits.push(Edit::Set(field.to_owned(), checked(json, name)?.to_owned())),
            // Woven into the options of the stream.
            None if name == "openai_chat.stream_options" => {}
            None => dropped.push(format!("extras.{name}")),
        }
    }
    edits.extend(encode::overrides(target, request.stream));
    let body = out.finish();
    let body = if edits.is_empty() { Bytes::from(body) } else { splice(body.as_bytes(), &edits)? };
    Ok(Encoded { body, dropped })
}

fn only_text(request: &ChatRequest) -> Result<&str> {
    if let [Message { role: Role::User, parts, .. }] = request.messages.as_slice()
        && let [Part { kind: PartKind::Text(text), .. }] = parts.as_slice()
    {
        return Ok(text);
    }
    let message = "a provider of legacy completions takes one user message of text";
    Err(Error::invalid("messages".to_owned(), message))
}

/// What this dialect has no field for.
fn unsaid(request: &ChatRequest) -> Vec<String> {
    let fields = [
        (!request.tools.is_empty(), "tools"),
        (request.tool_choice.is_some(), "tool_choice"),
        (request.parallel_tool_calls.is_some(), "parallel_tool_calls"),
        (request.top_k.is_some(), "top_k"),
        (request.response_format.is_some(), "response_format"),
        (request.reasoning.is_some(), "reasoning"),
        (request.service_tier.is_some(), "service_tier"),
    ];
    fields.into_iter().filter(|(said, _)| *said).map(|(_, name)| name.to_owned()).collect()
}
