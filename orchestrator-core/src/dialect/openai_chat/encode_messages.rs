//! Messages out of the hub's words: the history of a request, and the message of an answer.

use super::{OPAQUE_CALL, OPAQUE_MESSAGE, OPAQUE_PART, media};
use crate::{
    chat::{ChatRequest, Message, Part, PartKind, Role, ToolCall, ToolResult},
    dialect::{
        Dialect,
        json::{ObjectWriter, array, checked},
        scan::Object,
        seal::{self, Opened},
        splice::quoted,
    },
    error::{Error, Result},
};

/// Writes `messages`.
pub(super) fn messages(request: &ChatRequest, legacy: bool, dropped: &mut Vec<String>) -> Result<String> {
    let mut list: Vec<String> = Vec::with_capacity(request.messages.len());
    for (at, message) in request.messages.iter().enumerate() {
        let path = format!("messages[{at}]");
        let mut sorted = Sorted::of(message, &path, Reader::Provider, dropped)?;
        // Every result is a message of its own here, before whatever else is said in its turn.
        for result in std::mem::take(&mut sorted.results) {
            list.push(self::result(&result, dropped)?);
        }
        let only_results = message.parts.iter().any(|part| matches!(part.kind, PartKind::ToolResult(_)))
            && sorted.content.is_empty()
            && sorted.calls.is_empty();
        if !only_results {
            list.push(turn(message, &sorted, legacy, &path, dropped)?);
        }
    }
    Ok(array(&list))
}

/// A tool's result with what its message needs.
struct Answered<'a> {
    result: &'a ToolResult,
    path: String,
    fields: Vec<String>,
}

/// For whom a message is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reader {
    /// A provider, which gets the signatures of its own vendor alone.
    #[default]
    Provider,
    /// A caller, who gets them all and hands them back.
    Caller,
}

/// A message's parts by the fields that they are written in.
#[derive(Default)]
pub(super) struct Sorted<'a> {
    reader: Reader,
    content: Vec<Written>,
    reasoning: String,
    refusal: String,
    calls: Vec<String>,
    results: Vec<Answered<'a>>,
    /// Objects whose members are fields of the message.
    fields: Vec<String>,
}

/// A content part: its text where it is nothing but text, and the part's JSON.
struct Written {
    plain: Option<String>,
    json: String,
}

impl<'a> Sorted<'a> {
    /// Sorts a message's parts; what Chat cannot carry is named in `dropped`.
    pub(super) fn of(
        message: &'a Message,
        path: &str,
        reader: Reader,
        dropped: &mut Vec<String>,
    ) -> Result<Self> {
        let mut sorted = Self { reader, ..Self::default() };
        for (at, part) in message.parts.iter().enumerate() {
            sorted.add(part, format!("{path}.parts[{at}]"), dropped)?;
        }
        // A lone result's message may have had fields of its own.
        if let [only] = sorted.results.as_mut_slice()
            && sorted.content.is_empty()
        {
            only.fields = std::mem::take(&mut sorted.fields);
        }
        Ok(sorted)
    }

    fn add(&mut self, part: &'a Part, path: String, dropped: &mut Vec<String>) -> Result<()> {
        match &part.kind {
            PartKind::Reasoning(thought) => {
                self.reasoning.push_str(&thought.text);
                if thought.signature.is_some() || thought.encrypted.is_some() {
                    dropped.push(format!("{path}.reasoning.signature"));
                }
            }
            PartKind::Refusal(text) => self.refusal.push_str(text),
            PartKind::ToolCall(call) => {
                let signature = match (self.reader, &call.signature) {
                    (_, None) => None,
                    (Reader::Caller, Some(sealed)) => Some(seal::show(Dialect::OpenAiChat, sealed)),
                    (Reader::Provider, Some(sealed)) => match seal::open(Dialect::OpenAiChat, sealed) {
                        Opened::Own(own) => Some(own),
                        Opened::Foreign => {
                            dropped.push(format!("{path}.tool_call.signature"));
                            None
                        }
                    },
                };
                self.calls.push(tool_call(call, signature.as_deref()));
            }
            PartKind::ToolResult(result) => {
                self.results.push(Answered { result, path, fields: Vec::new() });
            }
            PartKind::Opaque { dialect, json } if dialect == OPAQUE_CALL => {
                self.calls.push(checked(json, &path)?.to_owned());
            }
            PartKind::Opaque { dialect, json } if dialect == OPAQUE_MESSAGE => {
                self.fields.push(checked(json, &path)?.to_owned());
            }
            _ => match content(part, &path)? {
                Some(written) => self.content.push(written),
                None => dropped.push(format!("{path}.{}", kind_name(&part.kind))),
            },
        }
        Ok(())
    }

    /// `content` as JSON: a string wherever one is enough.
    fn content(&self) -> String {
        match self.content.as_slice() {
            [] => quoted(""),
            [Written { plain: Some(text), .. }] => quoted(text),
            parts => {
                let parts: Vec<String> = parts.iter().map(|part| part.json.clone()).collect();
                array(&parts)
            }
        }
    }

    /// Writes what an assistant says, in a history or in an answer. Content is `null` where something else is said, and the
    /// empty string in a message without anything: OpenAI refuses a history that has neither.
    pub(super) fn write_assistant(&self, out: &mut ObjectWriter) -> Result<()> {
        let says_else = !self.calls.is_empty() || !self.refusal.is_empty();
        if self.content.is_empty() && says_else {
            out.raw("content", "null");
        } else {
            out.raw("content", &self.content());
        }
        if !self.reasoning.is_empty() {
            out.string("reasoning_content", &self.reasoning);
        }
        if !self.refusal.is_empty() {
            out.string("refusal", &self.refusal);
        }
        if !self.calls.is_empty() {
            out.raw("tool_calls", &array(&self.calls));
        }
        write_fields(&self.fields, out)
    }
}

/// One content part; `None` when Chat cannot carry it.
fn content(part: &Part, path: &str) -> Result<Option<Written>> {
    let mut plain = None;
    let object = match &part.kind {
        PartKind::Text(text) => {
            plain = Some(text.clone()).filter(|_| part.cache_control.is_none());
            let mut out = ObjectWriter::new();
            out.string("type", "text");
            out.string("text", text);
            Some(out)
        }
        PartKind::Image(media) => media::write_image(media),
        PartKind::Audio(media) => media::write_audio(media),
        PartKind::File(media) => Some(media::write_file(media)),
        PartKind::Opaque { dialect, json } if dialect == OPAQUE_PART => {
            return Ok(Some(Written { plain: None, json: checked(json, path)?.to_owned() }));
        }
        _ => None,
    };
    let Some(mut out) = object else { return Ok(None) };
    if let Some(mark) = &part.cache_control {
        out.raw("cache_control", checked(mark, &format!("{path}.cache_control"))?);
    }
    Ok(Some(Written { plain, json: out.finish() }))
}

/// The part's name in a path of what was dropped.
fn kind_name(kind: &PartKind) -> &'static str {
    match kind {
        PartKind::Text(_) => "text",
        PartKind::Image(_) => "image",
        PartKind::File(_) => "file",
        PartKind::Audio(_) => "audio",
        PartKind::Refusal(_) => "refusal",
        PartKind::Reasoning(_) => "reasoning",
        PartKind::ToolCall(_) => "tool_call",
        PartKind::ToolResult(_) => "tool_result",
        PartKind::Opaque { .. } => "opaque",
    }
}

fn turn(
    message: &Message,
    sorted: &Sorted<'_>,
    legacy: bool,
    path: &str,
    dropped: &mut Vec<String>,
) -> Result<String> {
    let role = match message.role {
        Role::System => "system",
        Role::Developer if legacy => "system",
        Role::Developer => "developer",
        // Whatever stands beside results in a tool's turn is said by the user.
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
    };
    let mut out = ObjectWriter::new();
    out.string("role", role);
    if message.role == Role::Assistant {
        sorted.write_assistant(&mut out)?;
    } else {
        out.raw("content", &sorted.content());
        for (part, kind) in [
            (!sorted.reasoning.is_empty(), "reasoning"),
            (!sorted.refusal.is_empty(), "refusal"),
            (!sorted.calls.is_empty(), "tool_calls"),
        ] {
            if part {
                dropped.push(format!("{path}.{kind}"));
            }
        }
        write_fields(&sorted.fields, &mut out)?;
    }
    out.optional_string("name", message.name.as_deref());
    Ok(out.finish())
}

/// A tool's message. Chat takes nothing but text in it.
fn result(answered: &Answered<'_>, dropped: &mut Vec<String>) -> Result<String> {
    let result = answered.result;
    let mut texts = Sorted::default();
    for (at, part) in result.parts.iter().enumerate() {
        let path = format!("{}.tool_result.parts[{at}]", answered.path);
        if matches!(&part.kind, PartKind::Text(_) | PartKind::Opaque { .. }) {
            texts.add(part, path, dropped)?;
        } else {
            dropped.push(format!("{path}.{}", kind_name(&part.kind)));
        }
    }
    if result.is_error {
        dropped.push(format!("{}.tool_result.is_error", answered.path));
    }
    let mut out = ObjectWriter::new();
    out.string("role", "tool");
    out.string("tool_call_id", &result.tool_call_id);
    out.optional_string("name", result.name.as_deref());
    out.raw("content", &texts.content());
    write_fields(&answered.fields, &mut out)?;
    Ok(out.finish())
}

fn tool_call(call: &ToolCall, signature: Option<&str>) -> String {
    let mut function = ObjectWriter::new();
    function.string("name", &call.name);
    function.string("arguments", &call.arguments);
    let mut out = ObjectWriter::new();
    out.string("id", &call.id);
    out.string("type", "function");
    out.raw("function", &function.finish());
    if let Some(signature) = signature {
        out.raw("extra_content", &signed(signature));
    }
    out.finish()
}

/// Gemini's signature, as its OpenAI-compatible endpoint has it.
pub(super) fn signed(signature: &str) -> String {
    format!(r#"{{"google":{{"thought_signature":{}}}}}"#, quoted(signature))
}

/// Fields that the hub's own words decide.
const WRITTEN: [&str; 7] =
    ["role", "content", "name", "refusal", "reasoning_content", "tool_calls", "tool_call_id"];

/// Writes the fields of a message that nobody knew when it was read.
fn write_fields(objects: &[String], out: &mut ObjectWriter) -> Result<()> {
    for json in objects {
        let object = Object::scan(json.as_bytes(), usize::MAX)?;
        for member in object.members().iter().filter(|member| !WRITTEN.contains(&member.key.as_ref())) {
            let value = json
                .get(member.value.clone())
                .ok_or_else(|| Error::internal("a field could not be written"))?;
            out.raw(&member.key, value);
        }
    }
    Ok(())
}
