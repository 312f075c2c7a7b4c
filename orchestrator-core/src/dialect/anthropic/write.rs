//! The hub's parts as blocks: for providers, who get only what they can read, and for callers, who are shown all.

use super::{OPAQUE_FIELDS, OWN, citation, media};
use crate::{
    chat::{Part, PartKind, ReasoningPart, ToolCall, ToolResult},
    dialect::{
        Dialect,
        json::{ObjectWriter, array, checked},
        scan,
        seal::{self, Opened},
        splice::{Edit, splice},
    },
    error::Result,
};

/// Who reads what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// A provider.
    Provider,
    /// A caller.
    Caller,
}

/// Writes the parts at `path` as blocks; what Anthropic cannot carry is named in `dropped`.
pub(super) fn blocks(
    parts: &[Part],
    reader: Reader,
    path: &str,
    dropped: &mut Vec<String>,
) -> Result<Vec<Written>> {
    let mut out: Vec<Written> = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let path = format!("{path}.parts[{at}]");
        if let PartKind::Opaque { dialect, json } = &part.kind
            && dialect == OPAQUE_FIELDS
        {
            if let Some(before) = out.last_mut() {
                before.json = with_members(&before.json, checked(json, &path)?)?;
            }
            continue;
        }
        block(part, reader, &path, dropped, &mut out)?;
    }
    Ok(out)
}

/// A block.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) json: String,
    /// It is the result of a tool, which stands before all else.
    pub(super) is_result: bool,
}

fn with_members(block: &str, members: &str) -> Result<String> {
    let members = scan::entries(members)?.into_iter();
    let edits: Vec<Edit> = members.map(|(key, json)| Edit::Set(key.into_owned(), json.to_owned())).collect();
    Ok(String::from_utf8_lossy(&splice(block.as_bytes(), &edits)?).into_owned())
}

fn block(
    part: &Part,
    reader: Reader,
    path: &str,
    dropped: &mut Vec<String>,
    out: &mut Vec<Written>,
) -> Result<()> {
    let mut block = ObjectWriter::new();
    match &part.kind {
        // Anthropic refuses empty text.
        PartKind::Text(text) | PartKind::Refusal(text) if text.is_empty() => return Ok(()),
        PartKind::Text(text) | PartKind::Refusal(text) => {
            block.string("type", "text");
            block.string("text", text);
            cited(part, reader, path, dropped, &mut block);
        }
        PartKind::Image(medium) => {
            block.string("type", "image");
            block.raw("source", &media::write(medium));
            if medium.detail.is_some() {
                dropped.push(format!("{path}.image.detail"));
            }
        }
        PartKind::File(medium) => {
            block.string("type", "document");
            block.raw("source", &media::write(medium));
            block.optional_string("title", medium.filename.as_deref());
        }
        PartKind::Audio(_) => {
            dropped.push(format!("{path}.audio"));
            return Ok(());
        }
        PartKind::Reasoning(thought) => {
            out.extend(reasoning(thought, reader, path, dropped));
            return Ok(());
        }
        PartKind::ToolCall(tool_call) => {
            if let Some(signature) = &tool_call.signature {
                match reader {
                    Reader::Caller => {
                        out.push(plain(thinking("", &seal::show(Dialect::Anthropic, signature))));
                    }
                    Reader::Provider => dropped.push(format!("{path}.tool_call.signature")),
                }
            }
            call(tool_call, &mut block);
        }
        PartKind::ToolResult(result) => tool_result(result, reader, path, dropped, &mut block)?,
        PartKind::Opaque { dialect, json } if dialect == OWN => {
            out.push(plain(checked(json, path)?.to_owned()));
            return Ok(());
        }
        PartKind::Opaque { .. } => {
            dropped.push(format!("{path}.opaque"));
            return Ok(());
        }
    }
    if let Some(mark) = &part.cache_control {
        block.raw("cache_control", checked(mark, &format!("{path}.cache_control"))?);
    }
    out.push(Written { json: block.finish(), is_result: matches!(part.kind, PartKind::ToolResult(_)) });
    Ok(())
}

fn plain(json: String) -> Written {
    Written { json, is_result: false }
}

/// A provider knows only citations of its own making.
fn cited(part: &Part, reader: Reader, path: &str, dropped: &mut Vec<String>, block: &mut ObjectWriter) {
    let own = |dialect: &Option<(String, String)>| dialect.as_ref().is_some_and(|(name, _)| name == OWN);
    let mut list = Vec::new();
    for (at, source) in part.citations.iter().enumerate() {
        if reader == Reader::Caller || own(&source.native) {
            list.push(citation::write(source));
        } else {
            dropped.push(format!("{path}.citations[{at}]"));
        }
    }
    if !list.is_empty() {
        block.raw("citations", &array(&list));
    }
}

/// A thinking block.
pub(super) fn thinking(text: &str, signature: &str) -> String {
    let mut block = ObjectWriter::new();
    block.string("type", "thinking");
    block.string("thinking", text);
    block.string("signature", signature);
    block.finish()
}

/// A block of redacted thinking.
pub(super) fn redacted(data: &str) -> String {
    let mut block = ObjectWriter::new();
    block.string("type", "redacted_thinking");
    block.string("data", data);
    block.finish()
}

/// A provider takes back only what it has signed; a caller is shown all.
fn reasoning(thought: &ReasoningPart, reader: Reader, path: &str, dropped: &mut Vec<String>) -> Vec<Written> {
    let told = |sealed: &Option<String>| match (sealed, reader) {
        (None, _) => None,
        (Some(sealed), Reader::Caller) => Some(seal::show(Dialect::Anthropic, sealed)),
        (Some(sealed), Reader::Provider) => match seal::open(Dialect::Anthropic, sealed) {
            Opened::Own(own) => Some(own),
            Opened::Foreign => None,
        },
    };
    let (signature, encrypted) = (told(&thought.signature), told(&thought.encrypted));
    let mut out = Vec::new();
    if signature.is_some() || (reader == Reader::Caller && !thought.text.is_empty()) {
        out.push(plain(thinking(&thought.text, signature.as_deref().unwrap_or_default())));
    }
    if let Some(data) = encrypted {
        out.push(plain(redacted(&data)));
    }
    if out.is_empty() {
        dropped.push(format!("{path}.reasoning"));
    }
    out
}

fn call(call: &ToolCall, block: &mut ObjectWriter) {
    block.string("type", "tool_use");
    block.string("id", &call_id(&call.id));
    block.string("name", &call.name);
    block.raw("input", &input(&call.arguments));
}

/// Anthropic takes letters, digits, `_` and `-`.
fn call_id(id: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    id.chars().map(|letter| if allowed(letter) { letter } else { '_' }).collect()
}

/// Arguments as the object that they should be. What a model wrote that is none stays readable in one.
fn input(arguments: &str) -> String {
    let arguments = arguments.trim();
    if arguments.is_empty() {
        return "{}".to_owned();
    }
    if arguments.starts_with('{') && checked(arguments, "arguments").is_ok() {
        return arguments.to_owned();
    }
    let mut object = ObjectWriter::new();
    object.string("arguments", arguments);
    object.finish()
}

fn tool_result(
    result: &ToolResult,
    reader: Reader,
    path: &str,
    dropped: &mut Vec<String>,
    block: &mut ObjectWriter,
) -> Result<()> {
    block.string("type", "tool_result");
    block.string("tool_use_id", &call_id(&result.tool_call_id));
    match result.parts.as_slice() {
        [] => {}
        [Part { kind: PartKind::Text(text), cache_control: None, citations }] if citations.is_empty() => {
            block.string("content", text);
        }
        parts => {
            let list = blocks(parts, reader, &format!("{path}.tool_result"), dropped)?;
            let list: Vec<String> = list.into_iter().map(|written| written.json).collect();
            block.raw("content", &array(&list));
        }
    }
    if result.is_error {
        block.plain("is_error", true);
    }
    Ok(())
}
