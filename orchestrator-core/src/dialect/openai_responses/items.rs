//! Messages out of the hub's words: the items of a request's `input`, and of an answer's `output`.

use super::{OPAQUE_FIELDS, OPAQUE_ITEM, OPAQUE_PART, OWN, media, object::ItemIds, signed};
use crate::{
    chat::{Citation, Message, Part, PartKind, ReasoningPart, Role, ToolCall, ToolResult},
    dialect::{
        json::{ObjectWriter, array, checked},
        scan::{self, Object},
        seal::{self, Opened},
        splice::quoted,
    },
    error::Result,
};

/// For whom items are written.
#[derive(Debug)]
pub(super) enum For {
    /// A provider: only what its own vendor encrypted, no ids.
    Provider,
    /// A caller: ids, statuses, all that was signed. The status of an answer that was cut short is its last item's too.
    Caller(ItemIds, &'static str),
}

/// Writes items one by one.
#[derive(Debug)]
pub(super) struct Items<'a> {
    audience: For,
    list: Vec<String>,
    open: Option<OpenMessage>,
    dropped: &'a mut Vec<String>,
    /// The elements of the log probabilities that the answer's text has.
    logprobs: String,
}

#[derive(Debug)]
struct OpenMessage {
    role: Role,
    content: Vec<String>,
    fields: Vec<String>,
}

impl OpenMessage {
    fn new(role: Role) -> Self {
        Self { role, content: Vec::new(), fields: Vec::new() }
    }
}

impl<'a> Items<'a> {
    pub(super) fn new(audience: For, dropped: &'a mut Vec<String>) -> Self {
        Self { audience, list: Vec::new(), open: None, dropped, logprobs: String::from("[]") }
    }

    /// The log probabilities of the first text, an array.
    pub(super) fn with_logprobs(mut self, elements: String) -> Self {
        self.logprobs = elements;
        self
    }

    /// Adds a message's items.
    pub(super) fn message(&mut self, message: &Message, path: &str) -> Result<()> {
        if message.name.is_some() {
            self.dropped.push(format!("{path}.name"));
        }
        if message.parts.is_empty() {
            self.open = Some(OpenMessage::new(message.role));
        }
        for (at, part) in message.parts.iter().enumerate() {
            self.part(message.role, part, &format!("{path}.parts[{at}]"))?;
        }
        self.close()
    }

    /// All of them.
    pub(super) fn finish(self) -> Vec<String> {
        self.list
    }

    fn part(&mut self, role: Role, part: &Part, path: &str) -> Result<()> {
        if part.cache_control.is_some() {
            self.dropped.push(format!("{path}.cache_control"));
        }
        match &part.kind {
            PartKind::Text(text) => {
                let json = self.text(role, text, &part.citations)?;
                self.content(role, json)?;
            }
            PartKind::Refusal(text) if role == Role::Assistant => {
                self.content(role, refusal(text))?;
            }
            PartKind::Image(image) if role != Role::Assistant => {
                self.content(role, media::write_image(image))?;
            }
            PartKind::File(file) if role != Role::Assistant => {
                self.content(role, media::write_file(file))?;
            }
            PartKind::Reasoning(thought) => self.reasoning(thought, path)?,
            PartKind::ToolCall(call) => self.call(call, path)?,
            PartKind::ToolResult(result) => self.result(result, path)?,
            PartKind::Opaque { dialect, json } if dialect == OPAQUE_PART => {
                let json = checked(json, path)?.to_owned();
                self.content(role, json)?;
            }
            PartKind::Opaque { dialect, json } if dialect == OPAQUE_FIELDS => self.fields(json, path)?,
            PartKind::Opaque { dialect, json } if dialect == OPAQUE_ITEM => {
                self.close()?;
                self.list.push(checked(json, path)?.to_owned());
            }
            kind => self.dropped.push(format!("{path}.{}", kind_name(kind))),
        }
        Ok(())
    }

    fn content(&mut self, role: Role, json: String) -> Result<()> {
        // What has fields of its own is a message of its own.
        if self.open.as_ref().is_some_and(|open| !open.fields.is_empty()) {
            self.close()?;
        }
        let open =
            self.open.get_or_insert_with(|| OpenMessage { role, content: Vec::new(), fields: Vec::new() });
        open.content.push(json);
        Ok(())
    }

    /// Whether a caller reads it.
    fn is_told(&self) -> bool {
        matches!(self.audience, For::Caller(..))
    }

    fn text(&mut self, role: Role, text: &str, citations: &[Citation]) -> Result<String> {
        if role != Role::Assistant {
            return Ok(format!(r#"{{"type":"input_text","text":{}}}"#, quoted(text)));
        }
        let mut annotations: Vec<String> = Vec::new();
        for citation in citations {
            let written = annotation(citation, text)?;
            let document = || self.is_told().then(|| document(citation, text)).flatten();
            annotations.extend(written.or_else(document));
        }
        let mut out = ObjectWriter::new();
        out.string("type", "output_text");
        out.string("text", text);
        out.raw("annotations", &array(&annotations));
        if self.is_told() {
            out.raw("logprobs", &std::mem::replace(&mut self.logprobs, String::from("[]")));
        }
        Ok(out.finish())
    }

    /// Unknown fields of what was written last.
    fn fields(&mut self, json: &str, path: &str) -> Result<()> {
        checked(json, path)?;
        match (&mut self.open, self.list.last_mut()) {
            (Some(open), _) => open.fields.push(json.to_owned()),
            (None, Some(last)) => *last = with_fields(last, json)?,
            (None, None) => {}
        }
        Ok(())
    }

    /// Ends the message that is being written.
    fn close(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let role = match open.role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        let mut out = self.begin("message", "msg");
        out.string("role", role);
        out.raw("content", &array(&open.content));
        let mut item = out.finish();
        for fields in &open.fields {
            item = with_fields(&item, fields)?;
        }
        self.list.push(item);
        Ok(())
    }

    /// An item's beginning: its type, and for a caller its id and status.
    fn begin(&self, kind: &str, prefix: &str) -> ObjectWriter {
        let mut out = ObjectWriter::new();
        out.string("type", kind);
        if let For::Caller(ids, status) = &self.audience {
            out.string("id", &ids.id(prefix, self.list.len()));
            out.string("status", status);
        }
        out
    }

    fn reasoning(&mut self, thought: &ReasoningPart, path: &str) -> Result<()> {
        self.close()?;
        let content = match &self.audience {
            For::Caller(..) => signed::show(thought),
            // Text alone is no item that a provider takes back.
            For::Provider => match thought.encrypted.as_deref().map(|text| seal::open(OWN, text)) {
                Some(Opened::Own(own)) => Some(own),
                Some(Opened::Foreign) | None => {
                    self.dropped.push(format!("{path}.reasoning"));
                    return Ok(());
                }
            },
        };
        let summary = if thought.text.is_empty() { Vec::new() } else { vec![summary_text(&thought.text)] };
        let mut out = self.begin("reasoning", "rs");
        out.raw("summary", &array(&summary));
        out.optional_string("encrypted_content", content.as_deref());
        self.list.push(out.finish());
        Ok(())
    }

    fn call(&mut self, call: &ToolCall, path: &str) -> Result<()> {
        self.close()?;
        if let Some(signature) = &call.signature {
            match &self.audience {
                For::Caller(..) => {
                    let item = signature_item(self.begin("reasoning", "rs"), signature);
                    self.list.push(item);
                }
                For::Provider => self.dropped.push(format!("{path}.tool_call.signature")),
            }
        }
        let mut out = self.begin("function_call", "fc");
        out.string("call_id", &call.id);
        out.string("name", &call.name);
        out.string("arguments", &call.arguments);
        self.list.push(out.finish());
        Ok(())
    }

    fn result(&mut self, result: &ToolResult, path: &str) -> Result<()> {
        self.close()?;
        let path = format!("{path}.tool_result");
        if result.is_error {
            self.dropped.push(format!("{path}.is_error"));
        }
        let mut parts: Vec<String> = Vec::new();
        for (at, part) in result.parts.iter().enumerate() {
            match &part.kind {
                PartKind::Text(text) => parts.push(self.text(Role::Tool, text, &[])?),
                PartKind::Image(image) => parts.push(media::write_image(image)),
                PartKind::File(file) => parts.push(media::write_file(file)),
                PartKind::Opaque { dialect, json } if dialect == OPAQUE_PART => {
                    parts.push(checked(json, &path)?.to_owned());
                }
                kind => self.dropped.push(format!("{path}.parts[{at}].{}", kind_name(kind))),
            }
        }
        let output = match result.parts.as_slice() {
            [] => quoted(""),
            [Part { kind: PartKind::Text(text), .. }] => quoted(text),
            _ => array(&parts),
        };
        let mut out = ObjectWriter::new();
        out.string("type", "function_call_output");
        out.string("call_id", &result.tool_call_id);
        out.raw("output", &output);
        self.list.push(out.finish());
        Ok(())
    }
}

/// A refusal as a content part.
pub(super) fn refusal(text: &str) -> String {
    format!(r#"{{"type":"refusal","refusal":{}}}"#, quoted(text))
}

/// Reasoning text as a part of a summary.
pub(super) fn summary_text(text: &str) -> String {
    format!(r#"{{"type":"summary_text","text":{}}}"#, quoted(text))
}

/// The reasoning item that carries the signature of the call behind it.
pub(super) fn signature_item(mut begun: ObjectWriter, signature: &str) -> String {
    begun.raw("summary", "[]");
    begun.string("encrypted_content", &signed::show_call(signature));
    begun.finish()
}

/// A citation in `text` as an annotation; `None` where Responses has none for it: its own are about addresses and files.
pub(super) fn annotation(citation: &Citation, text: &str) -> Result<Option<String>> {
    if let Some((dialect, json)) = &citation.native
        && dialect == OWN.name()
    {
        return Ok(Some(checked(json, "citations")?.to_owned()));
    }
    let Some(url) = &citation.url else { return Ok(None) };
    let (start, end) = citation.span.unwrap_or_else(|| (0, text.chars().count() as u32));
    let mut out = ObjectWriter::new();
    out.string("type", "url_citation");
    out.string("url", url);
    out.string("title", citation.title.as_deref().unwrap_or_default());
    out.plain("start_index", start);
    out.plain("end_index", end);
    Ok(Some(out.finish()))
}

/// A citation of a document that the caller sent: Responses names it by its file, which has no id here. A provider would look for one.
pub(super) fn document(citation: &Citation, text: &str) -> Option<String> {
    let mut out = ObjectWriter::new();
    out.string("type", "file_citation");
    out.string("file_id", "");
    out.string("filename", citation.title.as_deref()?);
    out.plain("index", text.chars().count());
    Some(out.finish())
}

/// An item with the members of `fields` that it does not have itself.
fn with_fields(item: &str, fields: &str) -> Result<String> {
    let own = Object::scan(item.as_bytes(), usize::MAX)?;
    let mut out = item.strip_suffix('}').unwrap_or(item).to_owned();
    for (name, value) in scan::entries(fields)? {
        if own.get(&name).is_none() {
            out.extend([",", &quoted(&name), ":", value]);
        }
    }
    out.push('}');
    Ok(out)
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
