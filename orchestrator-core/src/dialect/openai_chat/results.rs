//! Results of tools on Chat, which takes nothing but text in a tool's message.
//!
//! Pictures, documents and sound that belong to a result follow in a message of the user, behind the last result of their turn: a
//! call's results may not be parted. That message names the calls they belong to.

use std::borrow::Cow;

use super::encode_messages::{Answered, Sorted, kind_name, write_fields};
use crate::{
    chat::PartKind,
    dialect::{
        EncodeTarget,
        json::{ObjectWriter, array},
        openai::content::Reader,
        splice::quoted,
    },
    error::Result,
};

/// What stands for a result that is nothing but attachments.
const ELSEWHERE: &str = "The result is attached to the next message.";

/// Writes a tool's message; what it cannot hold is added to `attached`, as content parts.
pub(super) fn result(
    answered: &Answered<'_>,
    target: &EncodeTarget<'_>,
    attached: &mut Vec<String>,
    dropped: &mut Vec<String>,
) -> Result<String> {
    let result = answered.result;
    let id = id(&result.tool_call_id, target.quirks.short_ids);
    let mut texts = Sorted::new(Reader::Provider);
    let mut media = Sorted::new(Reader::Provider);
    for (at, part) in result.parts.iter().enumerate() {
        let path = format!("{}.tool_result.parts[{at}]", answered.path);
        match &part.kind {
            PartKind::Text(_) | PartKind::Opaque { .. } => texts.add(part, path, dropped)?,
            PartKind::Image(_) | PartKind::File(_) | PartKind::Audio(_) => media.add(part, path, dropped)?,
            _ => dropped.push(format!("{path}.{}", kind_name(&part.kind))),
        }
    }
    if result.is_error {
        dropped.push(format!("{}.tool_result.is_error", answered.path));
    }
    let mut out = ObjectWriter::new();
    out.string("role", "tool");
    out.string("tool_call_id", &id);
    out.optional_string("name", result.name.as_deref());
    if texts.content.is_empty() && !media.content.is_empty() {
        out.string("content", ELSEWHERE);
    } else {
        out.raw("content", &texts.content());
    }
    write_fields(&answered.fields, &mut out)?;
    if !media.content.is_empty() {
        attached.push(text(&format!("Attached to the result of tool call {id}:")));
        attached.extend(media.content.into_iter().map(|part| part.json));
    }
    Ok(out.finish())
}

/// The message that holds what was attached, if anything was.
pub(super) fn attachments(attached: &mut Vec<String>) -> Option<String> {
    let parts = std::mem::take(attached);
    (!parts.is_empty()).then(|| format!(r#"{{"role":"user","content":{}}}"#, array(&parts)))
}

fn text(text: &str) -> String {
    format!(r#"{{"type":"text","text":{}}}"#, quoted(text))
}

/// A call's id as the provider takes it. Mistral's are nine letters and digits; another's is turned into one, always the same.
pub(super) fn id(id: &str, short: bool) -> Cow<'_, str> {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if !short || (id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        return Cow::Borrowed(id);
    }
    // FNV-1a: enough to keep apart the calls of one conversation.
    let mut hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut short = String::with_capacity(9);
    for _ in 0..9 {
        short.push(char::from(LETTERS[(hash % 62) as usize]));
        hash /= 62;
    }
    Cow::Owned(short)
}
