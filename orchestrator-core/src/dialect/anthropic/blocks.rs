//! Content blocks into the hub's parts: of requests, where a wrong field is a 400 that names its path, and of answers.

use super::{OPAQUE_FIELDS, OWN, citation, media};
use crate::{
    chat::{Part, PartKind, ReasoningPart, ToolCall, ToolResult},
    dialect::{
        Dialect,
        json::{Fields, ObjectWriter, array_at, must_be, string_at},
        seal,
    },
    error::Result,
};

/// Whose blocks are read: a caller's are held to the published types, of a provider's nothing is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// A request.
    Request,
    /// An answer.
    Answer,
}

/// Server tools' blocks, and others that only Anthropic can read, by the ends of their types.
const SERVER_BLOCKS: [&str; 7] = [
    "server_tool_use",
    "mcp_tool_use",
    "search_result",
    "container_upload",
    "tool_reference",
    "compaction",
    "fallback",
];

/// Reads `content`: a string, or an array of blocks.
pub(super) fn content(json: &str, path: &str, strictness: Strictness) -> Result<Vec<Part>> {
    if json.starts_with('"') {
        let text = string_at(json, path)?;
        return Ok(if text.is_empty() { Vec::new() } else { vec![PartKind::Text(text).into()] });
    }
    if !json.starts_with('[') {
        return Err(must_be(path, "a string or an array of blocks"));
    }
    let mut parts = Vec::new();
    for (at, json) in array_at(json, path)?.into_iter().enumerate() {
        block(json, &format!("{path}[{at}]"), strictness, &mut parts)?;
    }
    Ok(parts)
}

/// Reads one block.
fn block(json: &str, path: &str, strictness: Strictness, parts: &mut Vec<Part>) -> Result<()> {
    let mut fields = Fields::parse(json, path)?;
    let kind = fields.required_string("type")?;
    let opaque = || PartKind::Opaque { dialect: OWN.to_owned(), json: json.to_owned() };
    let mut citations = Vec::new();
    let kind = match kind.as_str() {
        "text" => {
            if let Some(list) = fields.array("citations")? {
                citations.extend(list.into_iter().filter_map(citation::read));
            }
            PartKind::Text(fields.required_string("text")?)
        }
        "image" | "document" => {
            let source_path = fields.path_of("source");
            let source = fields.take("source").ok_or_else(|| must_be(&source_path, "an object"))?;
            match media::read(source, &source_path)? {
                Some(medium) if kind == "image" => PartKind::Image(medium),
                Some(mut medium) => {
                    medium.filename = fields.string("title")?;
                    PartKind::File(medium)
                }
                None => {
                    parts.push(opaque().into());
                    return Ok(());
                }
            }
        }
        "thinking" => {
            let text = fields.required_string("thinking")?;
            let signature = fields.string("signature")?.filter(|signature| !signature.is_empty());
            let signature = signature.map(|signature| seal::seal(Dialect::Anthropic, &signature));
            PartKind::Reasoning(ReasoningPart { text, signature, encrypted: None })
        }
        "redacted_thinking" => {
            let encrypted = seal::seal(Dialect::Anthropic, &fields.required_string("data")?);
            PartKind::Reasoning(ReasoningPart { encrypted: Some(encrypted), ..ReasoningPart::default() })
        }
        "tool_use" => PartKind::ToolCall(call(&mut fields, parts)?),
        "tool_result" => PartKind::ToolResult(result(&mut fields, strictness)?),
        other if strictness == Strictness::Answer || is_servers(other) => {
            parts.push(opaque().into());
            return Ok(());
        }
        _ => return Err(must_be(&fields.path_of("type"), "a type of block that Anthropic publishes")),
    };
    let cache_control = fields.take("cache_control").map(str::to_owned);
    // Some echo the text's own state back; it says nothing.
    parts.push(Part { kind, cache_control, citations });
    if fields.has_more() {
        let mut rest = ObjectWriter::new();
        for (name, json) in fields.rest() {
            rest.raw(&name, json);
        }
        parts.push(PartKind::Opaque { dialect: OPAQUE_FIELDS.to_owned(), json: rest.finish() }.into());
    }
    Ok(())
}

fn is_servers(kind: &str) -> bool {
    SERVER_BLOCKS.contains(&kind) || kind.ends_with("_tool_result")
}

/// Reads a call. Another vendor's signature that stands before it as a thinking block of its own is the call's.
fn call(fields: &mut Fields<'_>, parts: &mut Vec<Part>) -> Result<ToolCall> {
    let id = fields.required_string("id")?;
    let name = fields.required_string("name")?;
    let input_path = fields.path_of("input");
    let arguments = match fields.take("input") {
        None => "{}".to_owned(),
        Some(json) if json.starts_with('{') => json.to_owned(),
        Some(_) => return Err(must_be(&input_path, "an object")),
    };
    let foreign = match parts.last() {
        Some(Part { kind: PartKind::Reasoning(thought), .. }) if thought.text.is_empty() => thought
            .signature
            .clone()
            .filter(|signature| seal::open(Dialect::Anthropic, signature) == seal::Opened::Foreign),
        _ => None,
    };
    if foreign.is_some() {
        parts.pop();
    }
    Ok(ToolCall { id, name, arguments, signature: foreign })
}

fn result(fields: &mut Fields<'_>, strictness: Strictness) -> Result<ToolResult> {
    let tool_call_id = fields.required_string("tool_use_id")?;
    let content_path = fields.path_of("content");
    let parts = match fields.take("content") {
        None => Vec::new(),
        Some(json) => content(json, &content_path, strictness)?,
    };
    let is_error = fields.boolean("is_error")?.unwrap_or_default();
    Ok(ToolResult { tool_call_id, name: None, parts, is_error })
}
