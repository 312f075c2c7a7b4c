//! Contents into the hub's messages: a caller's history, and what a provider answers.
//!
//! Gemini's calls and results seldom have ids and belong together by name and order; the hub's have ids. So each call gets one
//! that is the same whenever the same history is read, and each result the id of the first call of its name that waits for one.

use base64::{Engine as _, engine::general_purpose};
use bytes::Bytes;

use super::{
    OPAQUE_FIELDS, OPAQUE_PART,
    decode::{leftovers, list},
};
use crate::{
    chat::{Media, MediaSource, Message, Part, PartKind, ReasoningPart, Role, ToolCall, ToolResult},
    dialect::{
        Dialect,
        json::{Fields, must_be},
        scan::Object,
        seal::{self, Opened},
    },
    error::{Error, Result},
};

/// Reads `systemInstruction` and `contents`.
pub(super) fn messages(fields: &mut Fields<'_>) -> Result<Vec<Message>> {
    let mut messages = Vec::new();
    let path = fields.path_of("systemInstruction");
    if let Some(json) = fields.take("systemInstruction") {
        messages.extend(system(json, &path)?);
    }
    let mut history = History::default();
    for (turn, (path, json)) in list(fields, "contents")?.into_iter().enumerate() {
        let content = Fields::parse(json, &path)?.camel_case();
        messages.extend(history.turn(content, turn)?);
    }
    Ok(messages)
}

fn system(json: &str, path: &str) -> Result<Option<Message>> {
    let mut content = Fields::parse(json, path)?.camel_case();
    let mut parts = Vec::new();
    for (path, json) in list(&mut content, "parts")? {
        parts.extend(part(json, &path, &mut |_| Err(must_be(&path, "text")))?);
    }
    Ok((!parts.is_empty()).then_some(Message { role: Role::System, parts, name: None }))
}

/// Another vendor's signature is over all that was thought before it, which a caller that streamed hands back piece by piece, and
/// the signature behind the pieces. Gemini's own stay where they stood.
fn gathered(parts: Vec<Part>) -> Vec<Part> {
    let mut out: Vec<Part> = Vec::with_capacity(parts.len());
    for mut part in parts {
        if let PartKind::Reasoning(signed) = &mut part.kind {
            let sealed = signed.signature.as_ref().or(signed.encrypted.as_ref());
            if sealed.is_some_and(|sealed| seal::open(Dialect::Gemini, sealed) == Opened::Foreign) {
                while let Some(PartKind::Reasoning(piece)) = out.last().map(|part| &part.kind) {
                    if piece.signature.is_some() || piece.encrypted.is_some() {
                        break;
                    }
                    signed.text.insert_str(0, &piece.text);
                    out.pop();
                }
            }
        }
        out.push(part);
    }
    out
}

/// The calls of the turn before, which wait for their results.
#[derive(Debug, Default)]
struct History {
    waiting: Vec<(String, String)>,
    model_spoke: bool,
}

impl History {
    fn turn(&mut self, mut content: Fields<'_>, turn: usize) -> Result<Option<Message>> {
        let path = content.path_of("role");
        let role = content.string("role")?.unwrap_or_default();
        let model = match role.as_str() {
            "model" => true,
            "" | "user" | "function" => false,
            _ => return Err(must_be(&path, "`user` or `model`")),
        };
        if model && !std::mem::replace(&mut self.model_spoke, model) {
            self.waiting.clear();
        }
        self.model_spoke = model;
        let mut parts = Vec::new();
        for (path, json) in list(&mut content, "parts")? {
            parts.extend(part(json, &path, &mut |asked| match asked {
                Asked::Call { id, name } => {
                    let id = if id.is_empty() { format!("call_{turn}_{}", self.waiting.len()) } else { id };
                    self.waiting.push((id.clone(), name));
                    Ok(id)
                }
                Asked::Result { id, name } => self.answered(&id, &name, &path),
            })?);
        }
        let parts = gathered(parts);
        let only_results =
            !parts.is_empty() && parts.iter().all(|part| matches!(part.kind, PartKind::ToolResult(_)));
        let role = match (model, only_results) {
            (true, _) => Role::Assistant,
            (false, true) => Role::Tool,
            (false, false) => Role::User,
        };
        Ok((!parts.is_empty()).then_some(Message { role, parts, name: None }))
    }

    /// The id of the call that a result answers.
    fn answered(&mut self, id: &str, name: &str, path: &str) -> Result<String> {
        let by_id = self.waiting.iter().position(|(waiting, _)| !id.is_empty() && waiting == id);
        let by_name = || self.waiting.iter().position(|(_, waiting)| waiting == name);
        if let Some(at) = by_id.or_else(by_name) {
            return Ok(self.waiting.remove(at).0);
        }
        let path = format!("{path}.functionResponse");
        let message = format!("`{path}` answers `{name}`, which the turn before does not call");
        Err(Error::invalid(path, message))
    }
}

/// Whose id is wanted.
pub(super) enum Asked {
    /// A call with its own id, which may be empty.
    Call {
        /// As it came.
        id: String,
        /// The function.
        name: String,
    },
    /// A result, likewise.
    Result {
        /// As it came.
        id: String,
        /// The function.
        name: String,
    },
}

/// Reads one part; `ids` names its call. One part of Gemini's may be several of the hub's.
pub(super) fn part(
    json: &str,
    path: &str,
    ids: &mut dyn FnMut(Asked) -> Result<String>,
) -> Result<Vec<Part>> {
    let mut fields = Fields::parse(json, path)?.camel_case();
    let thought = fields.boolean("thought")?.unwrap_or(false);
    let signature = fields.string("thoughtSignature")?.filter(|signature| !signature.is_empty());
    let encrypted = signature.as_deref().and_then(seal::encrypted);
    let signature = signature.filter(|_| encrypted.is_none());
    let signature = signature.map(|signature| seal::seal(Dialect::Gemini, &signature));
    let mut parts = Vec::new();
    if let Some(call) = fields.object("functionCall")? {
        parts.push(Part::from(PartKind::ToolCall(call_of(call.camel_case(), signature, ids)?)));
        parts.extend(unknown(fields));
        return Ok(parts);
    }
    if thought && fields.has("text") {
        let text = fields.string("text")?.unwrap_or_default();
        let thought = ReasoningPart { text, signature, encrypted };
        parts.push(Part::from(PartKind::Reasoning(thought)));
        parts.extend(unknown(fields));
        return Ok(parts);
    }
    if signature.is_some() || encrypted.is_some() {
        let thought = ReasoningPart { signature, encrypted, ..ReasoningPart::default() };
        parts.push(Part::from(PartKind::Reasoning(thought)));
    }
    if let Some(text) = fields.string("text")? {
        if !text.is_empty() {
            parts.push(Part::from(PartKind::Text(text)));
        }
    } else if let Some(data) = fields.object("inlineData")? {
        parts.push(Part::from(inline(data.camel_case())?));
    } else if let Some(file) = fields.object("fileData")? {
        parts.push(Part::from(by_uri(file.camel_case())?));
    } else if let Some(response) = fields.object("functionResponse")? {
        parts.push(Part::from(PartKind::ToolResult(result_of(response.camel_case(), ids)?)));
    } else if fields.has_more() {
        parts.push(Part::from(PartKind::Opaque { dialect: OPAQUE_PART.to_owned(), json: json.to_owned() }));
        return Ok(parts);
    } else {
        return Ok(parts);
    }
    parts.extend(unknown(fields));
    Ok(parts)
}

/// What nobody took, behind the part that it belongs to.
fn unknown(fields: Fields<'_>) -> Option<Part> {
    let json = leftovers(fields)?;
    Some(Part::from(PartKind::Opaque { dialect: OPAQUE_FIELDS.to_owned(), json }))
}

fn call_of(
    mut call: Fields<'_>,
    signature: Option<String>,
    ids: &mut dyn FnMut(Asked) -> Result<String>,
) -> Result<ToolCall> {
    let name = call.required_string("name")?;
    let path = call.path_of("args");
    let arguments = match call.take("args") {
        None => "{}".to_owned(),
        Some(json) if json.starts_with('{') => compact(json),
        Some(_) => return Err(must_be(&path, "an object")),
    };
    let id = call.string("id")?.unwrap_or_default();
    let id = ids(Asked::Call { id, name: name.clone() })?;
    Ok(ToolCall { id, name, arguments, signature })
}

/// JSON without the white space between its tokens, as models write arguments; Gemini's whole answers are indented.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut inside, mut escaped) = (false, false);
    for letter in json.chars() {
        if !inside && letter.is_ascii_whitespace() {
            continue;
        }
        if letter == '"' && !escaped {
            inside = !inside;
        }
        escaped = inside && letter == '\\' && !escaped;
        out.push(letter);
    }
    out
}

fn result_of(mut response: Fields<'_>, ids: &mut dyn FnMut(Asked) -> Result<String>) -> Result<ToolResult> {
    let name = response.required_string("name")?;
    let id = response.string("id")?.unwrap_or_default();
    let path = response.path_of("response");
    let json = response.take("response").unwrap_or("{}");
    let object = Fields::parse(json, &path)?;
    let (text, is_error) = said(object, json);
    let mut parts = vec![Part::from(PartKind::Text(text))];
    for (path, json) in list(&mut response, "parts")? {
        parts.extend(part(json, &path, &mut |_| Err(must_be(&path, "a medium")))?);
    }
    let tool_call_id = ids(Asked::Result { id, name: name.clone() })?;
    Ok(ToolResult { tool_call_id, name: Some(name), parts, is_error })
}

/// What a function's answer says. Gemini documents `result` (and `output`) and `error` as the members for plain ones; whatever
/// else stands there is told as it is.
fn said(mut object: Fields<'_>, json: &str) -> (String, bool) {
    for (name, is_error) in [("error", true), ("result", false)] {
        let Some(value) = object.take(name) else { continue };
        if object.has_more() {
            break;
        }
        let text = serde_json::from_str::<String>(value).ok();
        return match text {
            Some(text) => (text, is_error),
            None if is_error => (value.to_owned(), true),
            None => (json.to_owned(), false),
        };
    }
    (json.to_owned(), false)
}

fn inline(mut data: Fields<'_>) -> Result<PartKind> {
    let mime_type = data.string("mimeType")?.unwrap_or_default();
    let path = data.path_of("data");
    let bytes = from_base64(&data.required_string("data")?).ok_or_else(|| must_be(&path, "valid base64"))?;
    let filename = data.string("displayName")?;
    Ok(medium(Media { source: MediaSource::Data(bytes), mime_type, filename, detail: None }))
}

/// Standard or URL-safe, padded or not: Google's own SDKs send both.
fn from_base64(text: &str) -> Option<Bytes> {
    let text: String = text
        .trim_end_matches('=')
        .chars()
        .map(|letter| match letter {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    general_purpose::STANDARD_NO_PAD.decode(text).ok().map(Bytes::from)
}

fn by_uri(mut file: Fields<'_>) -> Result<PartKind> {
    let mime_type = file.string("mimeType")?.unwrap_or_default();
    let source = MediaSource::Url(file.required_string("fileUri")?);
    let filename = file.string("displayName")?;
    Ok(medium(Media { source, mime_type, filename, detail: None }))
}

fn medium(media: Media) -> PartKind {
    match media.mime_type.split('/').next() {
        Some("image") => PartKind::Image(media),
        Some("audio") => PartKind::Audio(media),
        _ => PartKind::File(media),
    }
}

/// Whether JSON text is an object.
pub(super) fn is_object(json: &str) -> bool {
    Object::scan(json.as_bytes(), usize::MAX).is_ok()
        && serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok()
}
