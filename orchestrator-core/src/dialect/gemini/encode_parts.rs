//! The parts of one message in Gemini's words: for a provider, which only gets the signatures that it made, or for a caller.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use super::{OPAQUE_FIELDS, OPAQUE_PART, decode_parts::is_object};
use crate::{
    chat::{Media, MediaSource, Part, PartKind, ToolCall},
    dialect::{
        Dialect,
        json::{ObjectWriter, checked},
        scan,
        seal::{self, Opened},
        splice::quoted,
    },
    error::Result,
};

/// A part as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// Its JSON, an object.
    pub(super) json: String,
    /// It calls a function.
    pub(super) is_call: bool,
    /// It has a signature.
    pub(super) is_signed: bool,
}

impl Written {
    /// A part of one member.
    pub(super) fn new(name: &str, json: &str) -> Self {
        let mut out = ObjectWriter::new();
        out.raw(name, json);
        Self { json: out.finish(), is_call: name == "functionCall", is_signed: false }
    }

    /// Adds a member.
    pub(super) fn add(&mut self, name: &str, json: &str) {
        self.json.pop();
        for piece in [",", &quoted(name), ":", json, "}"] {
            self.json.push_str(piece);
        }
    }

    /// Adds a signature if there is one.
    pub(super) fn sign(mut self, signature: Option<String>) -> Self {
        if let Some(signature) = signature {
            self.add("thoughtSignature", &quoted(&signature));
            self.is_signed = true;
        }
        self
    }
}

/// Text as a part.
pub(super) fn text(text: &str) -> Written {
    Written::new("text", &quoted(text))
}

/// A thought as a part.
pub(super) fn thought(said: &str) -> Written {
    let mut part = text(said);
    part.add("thought", "true");
    part
}

/// A call as a part. `id`: callers get it, providers match by name and order.
pub(super) fn call(call: &ToolCall, with_id: bool) -> Written {
    let mut out = ObjectWriter::new();
    if with_id && !call.id.is_empty() {
        out.string("id", &call.id);
    }
    out.string("name", &call.name);
    out.raw("args", &arguments(&call.arguments));
    Written::new("functionCall", &out.finish())
}

/// Arguments as the object that Gemini wants. What a model wrote wrongly, or could not finish, is kept as text.
fn arguments(text: &str) -> String {
    if text.trim().is_empty() {
        return "{}".to_owned();
    }
    if is_object(text) { text.to_owned() } else { format!(r#"{{"arguments":{}}}"#, quoted(text)) }
}

/// A picture, document or sound as a part; `None` when it is a file that another vendor keeps.
pub(super) fn media(media: &Media) -> Option<Written> {
    let mut out = ObjectWriter::new();
    let kind = Some(media.mime_type.as_str()).filter(|kind| !kind.is_empty());
    let name = match &media.source {
        MediaSource::Data(data) => {
            out.string("mimeType", kind.unwrap_or_else(|| sniffed(data)));
            out.string("data", &BASE64.encode(data));
            "inlineData"
        }
        MediaSource::Url(url) => {
            out.optional_string("mimeType", kind.or_else(|| by_extension(url)));
            out.string("fileUri", url);
            "fileData"
        }
        MediaSource::FileId(_) => return None,
    };
    Some(Written::new(name, &out.finish()))
}

/// What data of an unknown kind begins like.
fn sniffed(data: &[u8]) -> &'static str {
    match data {
        [b'%', b'P', b'D', b'F', ..] => "application/pdf",
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, ..] => "image/jpeg",
        [b'G', b'I', b'F', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ if std::str::from_utf8(data).is_ok() => "text/plain",
        _ => "application/octet-stream",
    }
}

fn by_extension(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let kinds = [
        (".png", "image/png"),
        (".jpg", "image/jpeg"),
        (".jpeg", "image/jpeg"),
        (".gif", "image/gif"),
        (".webp", "image/webp"),
        (".pdf", "application/pdf"),
    ];
    kinds.into_iter().find(|(end, _)| path.ends_with(end)).map(|(_, kind)| kind)
}

/// Writes the parts of a message, results of tools aside.
pub(super) struct PartWriter<'a> {
    /// For a provider: foreign signatures stay behind. Else for a caller.
    to_provider: bool,
    dropped: &'a mut Vec<String>,
    written: Vec<Written>,
    /// A signature without a text of its own: it belongs to the part that follows.
    signature: Option<String>,
}

impl<'a> PartWriter<'a> {
    pub(super) fn new(to_provider: bool, dropped: &'a mut Vec<String>) -> Self {
        Self { to_provider, dropped, written: Vec::new(), signature: None }
    }

    /// What may be shown of a signature.
    fn opened(&mut self, sealed: Option<&String>, path: &str) -> Option<String> {
        let sealed = sealed?;
        if !self.to_provider {
            return Some(seal::show(Dialect::Gemini, sealed));
        }
        match seal::open(Dialect::Gemini, sealed) {
            Opened::Own(own) => Some(own),
            Opened::Foreign => {
                self.dropped.push(format!("{path}.signature"));
                None
            }
        }
    }

    /// Writes one part that is at `path` in the hub.
    pub(super) fn add(&mut self, part: &Part, path: &str) -> Result<()> {
        if part.cache_control.is_some() {
            self.dropped.push(format!("{path}.cache_control"));
        }
        if self.to_provider && !part.citations.is_empty() {
            self.dropped.push(format!("{path}.citations"));
        }
        match &part.kind {
            PartKind::Text(said) | PartKind::Refusal(said) if !said.is_empty() => self.signed(text(said)),
            PartKind::Text(_) | PartKind::Refusal(_) => {}
            PartKind::Image(medium) | PartKind::File(medium) | PartKind::Audio(medium) => {
                match media(medium) {
                    Some(written) => self.signed(written),
                    None => self.dropped.push(path.to_owned()),
                }
            }
            PartKind::Reasoning(reasoning) => {
                let path = format!("{path}.reasoning");
                let mut signature = self.opened(reasoning.signature.as_ref(), &path);
                if self.to_provider && reasoning.encrypted.is_some() {
                    self.dropped.push(format!("{path}.encrypted"));
                } else if signature.is_none() {
                    signature = reasoning.encrypted.as_deref().and_then(seal::mark_encrypted);
                }
                if reasoning.text.is_empty() {
                    self.flush();
                    self.signature = signature;
                } else {
                    self.written.push(thought(&reasoning.text).sign(signature));
                }
            }
            PartKind::ToolCall(made) => {
                self.flush();
                let signature = self.opened(made.signature.as_ref(), &format!("{path}.tool_call"));
                self.written.push(call(made, !self.to_provider).sign(signature));
            }
            PartKind::Opaque { dialect, json } if dialect == OPAQUE_PART => {
                self.flush();
                let is_signed = json.contains("thoughtSignature");
                let json = checked(json, path)?.to_owned();
                self.written.push(Written { json, is_call: false, is_signed });
            }
            PartKind::Opaque { dialect, json } if dialect == OPAQUE_FIELDS => {
                let fields = scan::entries(checked(json, path)?)?;
                if let Some(last) = self.written.last_mut() {
                    for (name, value) in fields {
                        last.add(&name, value);
                    }
                }
            }
            PartKind::Opaque { .. } | PartKind::ToolResult(_) => self.dropped.push(format!("{path}.opaque")),
        }
        Ok(())
    }

    fn signed(&mut self, written: Written) {
        let signature = self.signature.take();
        self.written.push(written.sign(signature));
    }

    /// A signature that nothing follows gets an empty text, as Gemini itself ends its streams.
    fn flush(&mut self) {
        if self.signature.is_some() {
            self.signed(text(""));
        }
    }

    /// All parts.
    pub(super) fn finish(mut self) -> Vec<Written> {
        self.flush();
        self.written
    }
}
