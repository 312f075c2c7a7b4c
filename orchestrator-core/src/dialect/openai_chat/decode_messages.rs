//! Messages into the hub's words: a caller's history, and the message of a provider's answer.
//!
//! The parts of a message come in one order, whatever the order of the fields: reasoning, content, refusal, tool calls, fields
//! that nobody knew. Empty texts are no parts: some providers refuse them.

use super::{OPAQUE_CALL, OPAQUE_MESSAGE, OPAQUE_PART, media};
use crate::{
    chat::{Message, Part, PartKind, ReasoningPart, Role, ToolCall, ToolResult},
    dialect::{
        json::{Fields, ObjectWriter, array_at, must_be, string_at},
        openai::{citations, content as wire, details},
    },
    error::{Error, Result},
};

/// Reads `messages`.
pub(super) fn messages(fields: &mut Fields<'_>) -> Result<Vec<Message>> {
    let Some(list) = fields.array("messages")? else {
        return Err(Error::invalid("messages".to_owned(), "you must provide the `messages` parameter"));
    };
    let mut history = History::default();
    let mut messages = Vec::with_capacity(list.len());
    for (at, json) in list.into_iter().enumerate() {
        let fields = Fields::parse(json, &format!("messages[{at}]"))?;
        messages.push(history.message(fields, at)?);
    }
    Ok(messages)
}

/// What the deprecated function calls need: they have no ids, so each is given one that its result finds again.
#[derive(Debug, Default)]
struct History {
    last_function_call: Option<String>,
}

impl History {
    fn message(&mut self, mut fields: Fields<'_>, at: usize) -> Result<Message> {
        let path = fields.path_of("role");
        match fields.required_string("role")?.as_str() {
            "system" => plain(fields, Role::System),
            "developer" => plain(fields, Role::Developer),
            "user" => plain(fields, Role::User),
            "assistant" => {
                let id = format!("call_{at}");
                if fields.has("function_call") {
                    self.last_function_call = Some(id.clone());
                }
                let name = fields.string("name")?;
                let message = assistant(fields, &id)?;
                Ok(Message { name, ..message })
            }
            "tool" => {
                let id = fields.required_string("tool_call_id")?;
                tool_result(fields, id)
            }
            "function" => {
                let id = self.last_function_call.take().unwrap_or_else(|| format!("call_{at}"));
                tool_result(fields, id)
            }
            _ => Err(must_be(
                &path,
                "one of `system`, `developer`, `user`, `assistant`, `tool` and `function`",
            )),
        }
    }
}

fn plain(mut fields: Fields<'_>, role: Role) -> Result<Message> {
    let name = fields.string("name")?;
    if !fields.has("content") {
        let path = fields.path_of("content");
        return Err(Error::invalid(path.clone(), format!("`{path}` is missing")));
    }
    let mut parts = content(&mut fields)?;
    parts.extend(unknown(fields));
    Ok(Message { role, parts, name })
}

fn tool_result(mut fields: Fields<'_>, tool_call_id: String) -> Result<Message> {
    let name = fields.string("name")?;
    let parts = content(&mut fields)?;
    let result = ToolResult { tool_call_id, name, parts, is_error: false };
    let mut parts = vec![Part::from(PartKind::ToolResult(result))];
    parts.extend(unknown(fields));
    Ok(Message { role: Role::Tool, parts, name: None })
}

/// Reads what an assistant said, in a history or in an answer. `id` is what a deprecated function call is known by.
pub(super) fn assistant(mut fields: Fields<'_>, id: &str) -> Result<Message> {
    let mut reasoning = fields.string("reasoning_content")?.unwrap_or_default();
    if reasoning.is_empty() {
        reasoning = fields.string("reasoning")?.unwrap_or_default();
    } else {
        fields.take("reasoning");
    }
    let details = fields.take("reasoning_details").map(details::read).unwrap_or_default();
    let citations = fields.take("annotations").map(citations::annotations).unwrap_or_default();
    let mut refusal = String::new();
    let mut said = Vec::new();
    for part in content(&mut fields)? {
        match part.kind {
            PartKind::Reasoning(thought) => reasoning.push_str(&thought.text),
            PartKind::Refusal(text) => refusal.push_str(&text),
            _ => said.push(part),
        }
    }
    refusal.push_str(&fields.string("refusal")?.unwrap_or_default());

    if !citations.is_empty() {
        // Their places count from the beginning of all that is said; where that is more than one part, they stand with the last.
        match said.iter_mut().rfind(|part| matches!(part.kind, PartKind::Text(_))) {
            Some(text) => text.citations = citations,
            None => said.push(Part { citations, ..Part::from(PartKind::Text(String::new())) }),
        }
    }
    let mut parts = Vec::with_capacity(said.len() + 1);
    parts.extend(thoughts(reasoning, details).into_iter().map(PartKind::Reasoning).map(Part::from));
    parts.extend(said);
    if !refusal.is_empty() {
        parts.push(Part::from(PartKind::Refusal(refusal)));
    }
    parts.extend(calls(&mut fields, id)?);
    parts.extend(unknown(fields));
    Ok(Message { role: Role::Assistant, parts, name: None })
}

/// Reasoning in parts. Entries that are signed hold the text too; it stands elsewhere where all of them are encrypted.
fn thoughts(text: String, details: Vec<ReasoningPart>) -> Vec<ReasoningPart> {
    let told = details.iter().any(|part| !part.text.is_empty());
    let plain = ReasoningPart { text, ..ReasoningPart::default() };
    if !details::opaque(&details) && (told || details.is_empty()) && !plain.text.is_empty() {
        return vec![plain];
    }
    let mut parts = details;
    if !told && !plain.text.is_empty() {
        parts.insert(0, plain);
    }
    parts
}

fn calls(fields: &mut Fields<'_>, id: &str) -> Result<Vec<Part>> {
    let path = fields.path_of("tool_calls");
    let mut parts = Vec::new();
    for (at, json) in fields.array("tool_calls")?.unwrap_or_default().into_iter().enumerate() {
        let mut call = Fields::parse(json, &format!("{path}[{at}]"))?;
        let kind = call.string("type")?.filter(|kind| !kind.is_empty());
        if kind.is_some_and(|kind| kind != "function") {
            let dialect = OPAQUE_CALL.to_owned();
            parts.push(Part::from(PartKind::Opaque { dialect, json: json.to_owned() }));
            continue;
        }
        let id = call.string("id")?.unwrap_or_default();
        let signature = call.take("extra_content").and_then(wire::signature);
        let Some(function) = call.object("function")? else {
            return Err(must_be(&call.path_of("function"), "an object"));
        };
        let call = ToolCall { id, signature, ..called(function)? };
        parts.push(Part::from(PartKind::ToolCall(call)));
    }
    if let Some(function) = fields.object("function_call")? {
        let call = ToolCall { id: id.to_owned(), ..called(function)? };
        parts.push(Part::from(PartKind::ToolCall(call)));
    }
    Ok(parts)
}

fn called(mut function: Fields<'_>) -> Result<ToolCall> {
    let name = function.required_string("name")?;
    let path = function.path_of("arguments");
    // Some servers write the arguments as an object instead of as its text.
    let arguments = match function.take("arguments") {
        None => String::new(),
        Some(json) if json.starts_with('{') => json.to_owned(),
        Some(json) => string_at(json, &path)?,
    };
    let arguments = if arguments.is_empty() { "{}".to_owned() } else { arguments };
    Ok(ToolCall { name, arguments, ..ToolCall::default() })
}

/// Content as a string or as an array of parts.
fn content(fields: &mut Fields<'_>) -> Result<Vec<Part>> {
    let path = fields.path_of("content");
    let mut parts = Vec::new();
    match fields.take("content") {
        None => {}
        Some(json) if json.starts_with('[') => {
            for (at, json) in array_at(json, &path)?.into_iter().enumerate() {
                parts.push(part(json, &format!("{path}[{at}]"))?);
            }
        }
        Some(json) if json.starts_with('"') => {
            parts.push(Part::from(PartKind::Text(string_at(json, &path)?)));
        }
        Some(_) => return Err(must_be(&path, "a string or an array")),
    }
    let empty = |part: &Part| part.cache_control.is_none() && part.kind == PartKind::Text(String::new());
    parts.retain(|part| !empty(part));
    Ok(parts)
}

fn part(json: &str, path: &str) -> Result<Part> {
    let mut fields = Fields::parse(json, path)?;
    let kind = fields.required_string("type")?;
    let cache_control = fields.take("cache_control").map(str::to_owned);
    let kind = match kind.as_str() {
        "text" => PartKind::Text(fields.required_string("text")?),
        "refusal" => PartKind::Refusal(fields.required_string("refusal")?),
        "image_url" => PartKind::Image(media::image(fields)?),
        "input_audio" => PartKind::Audio(media::audio(fields)?),
        "file" => match media::file(fields)? {
            Some(file) => PartKind::File(file),
            None => return Ok(opaque(json)),
        },
        "thinking" => PartKind::Reasoning(thinking(&mut fields)?),
        _ => return Ok(opaque(json)),
    };
    Ok(Part { cache_control, ..Part::from(kind) })
}

/// A part that is passed on as it is, with its cache mark inside.
fn opaque(json: &str) -> Part {
    Part::from(PartKind::Opaque { dialect: OPAQUE_PART.to_owned(), json: json.to_owned() })
}

/// Mistral's reasoning: text parts inside a part.
fn thinking(fields: &mut Fields<'_>) -> Result<ReasoningPart> {
    let path = fields.path_of("thinking");
    let mut text = String::new();
    for (at, json) in fields.array("thinking")?.unwrap_or_default().into_iter().enumerate() {
        let mut thought = Fields::parse(json, &format!("{path}[{at}]"))?;
        text.push_str(&thought.string("text")?.unwrap_or_default());
    }
    Ok(ReasoningPart { text, ..ReasoningPart::default() })
}

/// What nobody took, as one object. Empty arrays say nothing.
fn unknown(fields: Fields<'_>) -> Option<Part> {
    let mut left = ObjectWriter::new();
    let mut any = false;
    for (name, json) in fields.rest().filter(|(_, json)| *json != "[]") {
        left.raw(&name, json);
        any = true;
    }
    any.then(|| Part::from(PartKind::Opaque { dialect: OPAQUE_MESSAGE.to_owned(), json: left.finish() }))
}
