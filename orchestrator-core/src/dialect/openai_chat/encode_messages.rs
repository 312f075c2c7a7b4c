//! Messages out of the hub's words: the history of a request, and the message of an answer.

use super::{OPAQUE_CALL, OPAQUE_MESSAGE, OPAQUE_PART, media, results, thoughts::Thoughts};
use crate::{
    chat::{ChatRequest, Message, Part, PartKind, Role, ToolCall, ToolResult},
    dialect::{
        EncodeTarget, Thinking,
        json::{ObjectWriter, array, checked},
        openai::{
            citations,
            content::{Reader, extra_content},
        },
        scan::Object,
        splice::quoted,
    },
    error::{Error, Result},
};

/// Writes `messages`.
pub(super) fn messages(
    request: &ChatRequest,
    target: &EncodeTarget<'_>,
    dropped: &mut Vec<String>,
) -> Result<String> {
    let mut list: Vec<String> = Vec::with_capacity(request.messages.len());
    let mut attached: Vec<String> = Vec::new();
    let unmarked = (target.quirks.no_cache_marks && has_marks(&request.messages))
        .then(|| without_marks(&request.messages, dropped));
    for (at, message) in unmarked.as_ref().unwrap_or(&request.messages).iter().enumerate() {
        let path = format!("messages[{at}]");
        let mut sorted = Sorted::of(message, &path, Reader::Provider, dropped)?;
        sorted.short_ids = target.quirks.short_ids;
        let results = std::mem::take(&mut sorted.results);
        // Results follow their calls without a word between, so what is attached to them waits for the last one.
        if results.is_empty() {
            list.extend(results::attachments(&mut attached));
        }
        let only_results = !results.is_empty() && sorted.content.is_empty() && sorted.calls.is_empty();
        // Every result is a message of its own here, before whatever else is said in its turn.
        for result in &results {
            list.push(results::result(result, target, &mut attached, dropped)?);
        }
        if !only_results {
            list.extend(results::attachments(&mut attached));
            list.push(turn(message, &sorted, target, &path, dropped)?);
        }
    }
    list.extend(results::attachments(&mut attached));
    Ok(array(&list))
}

fn has_marks(messages: &[Message]) -> bool {
    let marked = |part: &Part| match &part.kind {
        PartKind::ToolResult(result) => result.parts.iter().any(|part| part.cache_control.is_some()),
        _ => false,
    };
    messages
        .iter()
        .flat_map(|message| &message.parts)
        .any(|part| part.cache_control.is_some() || marked(part))
}

/// The messages without marks of a prompt cache, which OpenAI refuses.
fn without_marks(messages: &[Message], dropped: &mut Vec<String>) -> Vec<Message> {
    let mut messages = messages.to_vec();
    for (at, message) in messages.iter_mut().enumerate() {
        for (part_at, part) in message.parts.iter_mut().enumerate() {
            let mut marked = part.cache_control.take().is_some();
            if let PartKind::ToolResult(result) = &mut part.kind {
                for inner in &mut result.parts {
                    marked |= inner.cache_control.take().is_some();
                }
            }
            if marked {
                dropped.push(format!("messages[{at}].parts[{part_at}].cache_control"));
            }
        }
    }
    messages
}

/// A tool's result with what its message needs.
pub(super) struct Answered<'a> {
    pub(super) result: &'a ToolResult,
    pub(super) path: String,
    pub(super) fields: Vec<String>,
}

/// A message's parts by the fields that they are written in.
pub(super) struct Sorted<'a> {
    reader: Reader,
    short_ids: bool,
    pub(super) content: Vec<Written>,
    /// How many characters of text there are.
    characters: u32,
    annotations: Vec<String>,
    thoughts: Thoughts,
    refusal: String,
    calls: Vec<Called<'a>>,
    results: Vec<Answered<'a>>,
    /// Objects whose members are fields of the message.
    fields: Vec<String>,
}

/// A call: one of a function with its `extra_content`, or the JSON of another.
enum Called<'a> {
    Function(&'a ToolCall, Option<String>),
    Other(&'a str),
}

/// A content part: its text where it is nothing but text, and the part's JSON.
pub(super) struct Written {
    plain: Option<String>,
    pub(super) json: String,
}

impl<'a> Sorted<'a> {
    /// Nothing yet.
    pub(super) fn new(reader: Reader) -> Self {
        Self {
            reader,
            short_ids: false,
            content: Vec::new(),
            characters: 0,
            annotations: Vec::new(),
            thoughts: Thoughts::default(),
            refusal: String::new(),
            calls: Vec::new(),
            results: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// Sorts a message's parts; what Chat cannot carry is named in `dropped`.
    pub(super) fn of(
        message: &'a Message,
        path: &str,
        reader: Reader,
        dropped: &mut Vec<String>,
    ) -> Result<Self> {
        let mut sorted = Self::new(reader);
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

    pub(super) fn add(&mut self, part: &'a Part, path: String, dropped: &mut Vec<String>) -> Result<()> {
        match &part.kind {
            PartKind::Reasoning(thought) => self.thoughts.add(thought, self.reader, &path, dropped),
            PartKind::Refusal(text) => self.refusal.push_str(text),
            PartKind::ToolCall(call) => {
                let signature = call.signature.as_ref();
                let extra = signature.and_then(|signature| extra_content(signature, self.reader));
                if signature.is_some() && extra.is_none() {
                    dropped.push(format!("{path}.tool_call.signature"));
                }
                self.calls.push(Called::Function(call, extra));
            }
            PartKind::ToolResult(result) => {
                self.results.push(Answered { result, path, fields: Vec::new() });
            }
            PartKind::Opaque { dialect, json } if dialect == OPAQUE_CALL => {
                self.calls.push(Called::Other(checked(json, &path)?));
            }
            PartKind::Opaque { dialect, json } if dialect == OPAQUE_MESSAGE => {
                self.fields.push(checked(json, &path)?.to_owned());
            }
            _ => match content(part, &path)? {
                Some(written) => self.said(part, written, &path, dropped),
                None => dropped.push(format!("{path}.{}", kind_name(&part.kind))),
            },
        }
        Ok(())
    }

    /// Takes a part of the content, and says where its claims come from.
    fn said(&mut self, part: &Part, written: Written, path: &str, dropped: &mut Vec<String>) {
        let start = self.characters;
        if let PartKind::Text(text) = &part.kind {
            self.characters = start.saturating_add(u32::try_from(text.chars().count()).unwrap_or(u32::MAX));
            let place = (start, self.characters);
            for citation in &part.citations {
                // A provider's own citations go back with the message that they came in.
                if self.reader == Reader::Caller || citations::is_own(citation) {
                    self.annotations.push(citations::write(citation, place));
                } else {
                    dropped.push(format!("{path}.citations"));
                }
            }
            if text.is_empty() && !part.citations.is_empty() {
                return;
            }
        }
        self.content.push(written);
    }

    /// `content` as JSON: a string wherever one is enough. An answer's is always one.
    pub(super) fn content(&self) -> String {
        match self.content.as_slice() {
            [] => quoted(""),
            [Written { plain: Some(text), .. }] => quoted(text),
            parts if self.reader == Reader::Caller && parts.iter().all(|part| part.plain.is_some()) => {
                let texts: String = parts.iter().filter_map(|part| part.plain.as_deref()).collect();
                quoted(&texts)
            }
            parts => {
                let parts: Vec<String> = parts.iter().map(|part| part.json.clone()).collect();
                array(&parts)
            }
        }
    }

    /// Writes what an assistant says, in a history or in an answer. Content is `null` where something else is said, and the
    /// empty string in a message without anything: OpenAI refuses a history that has neither.
    pub(super) fn write_assistant(&self, thinking: Thinking, out: &mut ObjectWriter) -> Result<()> {
        let says_else = !self.calls.is_empty() || !self.refusal.is_empty();
        let thought = self.thoughts.part(thinking);
        match thought {
            Some(thought) => {
                let parts: Vec<String> = std::iter::once(thought)
                    .chain(self.content.iter().map(|part| part.json.clone()))
                    .collect();
                out.raw("content", &array(&parts));
            }
            None if self.content.is_empty() && says_else => out.raw("content", "null"),
            None => out.raw("content", &self.content()),
        }
        self.thoughts.write(thinking, out);
        if !self.refusal.is_empty() {
            out.string("refusal", &self.refusal);
        } else if self.reader == Reader::Caller {
            // OpenAI's published schema demands it of answers.
            out.raw("refusal", "null");
        }
        if !self.annotations.is_empty() {
            out.raw("annotations", &array(&self.annotations));
        }
        if !self.calls.is_empty() {
            let calls: Vec<String> = self.calls.iter().map(|call| call.write(self.short_ids)).collect();
            out.raw("tool_calls", &array(&calls));
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
pub(super) fn kind_name(kind: &PartKind) -> &'static str {
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
    target: &EncodeTarget<'_>,
    path: &str,
    dropped: &mut Vec<String>,
) -> Result<String> {
    let role = match message.role {
        Role::System => "system",
        Role::Developer if target.legacy_names => "system",
        Role::Developer => "developer",
        // Whatever stands beside results in a tool's turn is said by the user.
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
    };
    let mut out = ObjectWriter::new();
    out.string("role", role);
    if message.role == Role::Assistant {
        sorted.write_assistant(target.quirks.thinking, &mut out)?;
        if target.quirks.thinking == Thinking::Nowhere && !sorted.thoughts.is_empty() {
            dropped.push(format!("{path}.reasoning"));
        }
    } else {
        out.raw("content", &sorted.content());
        for (part, kind) in [
            (!sorted.thoughts.is_empty(), "reasoning"),
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

impl Called<'_> {
    fn write(&self, short_ids: bool) -> String {
        let (call, extra_content) = match self {
            Self::Function(call, extra_content) => (call, extra_content),
            Self::Other(json) => return (*json).to_owned(),
        };
        let mut function = ObjectWriter::new();
        function.string("name", &call.name);
        // Some vendors leave out the arguments of a call without any; Chat's are always an object's text.
        function.string("arguments", if call.arguments.is_empty() { "{}" } else { &call.arguments });
        let mut out = ObjectWriter::new();
        out.string("id", &results::id(&call.id, short_ids));
        out.string("type", "function");
        out.raw("function", &function.finish());
        if let Some(extra) = extra_content {
            out.raw("extra_content", extra);
        }
        out.finish()
    }
}

/// Fields that the hub's own words decide.
const WRITTEN: [&str; 9] = [
    "role",
    "content",
    "name",
    "refusal",
    "reasoning_content",
    "reasoning_details",
    "annotations",
    "tool_calls",
    "tool_call_id",
];

/// Writes the fields of a message that nobody knew when it was read.
pub(super) fn write_fields(objects: &[String], out: &mut ObjectWriter) -> Result<()> {
    for json in objects {
        let object = Object::scan(json.as_bytes(), usize::MAX)?;
        for member in object.members() {
            let unwritable = || Error::internal("a field could not be written");
            let key = std::str::from_utf8(object.key(member)).map_err(|_| unwritable())?;
            if !WRITTEN.contains(&key) {
                out.raw(key, json.get(member.value.clone()).ok_or_else(unwritable)?);
            }
        }
    }
    Ok(())
}
