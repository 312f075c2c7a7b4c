//! What another dialect could not be told at all: results of calls that nobody made, and content of a type that nobody knows.
//!
//! On the way to a provider of the caller's own dialect these are the provider's to judge. In translation they would be left out, and
//! something else would be asked than the caller meant; so they are a 400 that names their place in the caller's body.

use super::json::{Fields, array_at};
use crate::error::{Error, Result};

/// What is known of OpenAI's Chat and of servers that imitate it.
const CHAT_PARTS: [&str; 12] = [
    "text",
    "refusal",
    "image_url",
    "input_audio",
    "file",
    "thinking",
    "audio_url",
    "document_url",
    "image",
    "reference",
    "reasoning",
    "video_url",
];
const RESPONSES_PARTS: [&str; 11] = [
    "input_text",
    "output_text",
    "text",
    "summary_text",
    "refusal",
    "input_image",
    "input_file",
    "computer_screenshot",
    "encrypted_content",
    "input_audio",
    "reasoning_text",
];
const GEMINI_PARTS: [&str; 9] = [
    "text",
    "inlineData",
    "functionCall",
    "functionResponse",
    "fileData",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
];

/// The calls that results may belong to.
#[derive(Default)]
struct Calls(Vec<String>);

impl Calls {
    fn answered(&self, fields: &mut Fields<'_>, name: &str) -> Result<()> {
        let path = fields.path_of(name);
        let id = fields.required_string(name)?;
        if self.0.contains(&id) {
            return Ok(());
        }
        let why = format!("`{path}` names no call that was made before: {id:?}");
        Err(Error::invalid(path, why))
    }
}

/// A body of Chat Completions.
pub(super) fn chat(body: &[u8]) -> Result<()> {
    let mut calls = Calls::default();
    for (at, json) in Fields::body(body)?.array("messages")?.unwrap_or_default().into_iter().enumerate() {
        let mut message = Fields::parse(json, &format!("messages[{at}]"))?;
        let path = message.path_of("tool_calls");
        for (at, json) in message.array("tool_calls")?.unwrap_or_default().into_iter().enumerate() {
            calls.0.push(Fields::parse(json, &format!("{path}[{at}]"))?.lenient_string("id"));
        }
        if message.string("role")?.as_deref() == Some("tool") {
            calls.answered(&mut message, "tool_call_id")?;
        }
        content(&mut message, "content", &CHAT_PARTS)?;
    }
    Ok(())
}

/// A body of Responses.
pub(super) fn responses(body: &[u8]) -> Result<()> {
    let Some(input) = Fields::body(body)?.take("input").filter(|input| input.starts_with('[')) else {
        return Ok(());
    };
    let mut calls = Calls::default();
    for (at, json) in array_at(input, "input")?.into_iter().enumerate() {
        let mut item = Fields::parse(json, &format!("input[{at}]"))?;
        match item.lenient_string("type").as_str() {
            "function_call" => calls.0.push(item.lenient_string("call_id")),
            "function_call_output" => {
                calls.answered(&mut item, "call_id")?;
                content(&mut item, "output", &RESPONSES_PARTS)?;
            }
            "" | "message" => content(&mut item, "content", &RESPONSES_PARTS)?,
            // It stands for what the provider keeps, a call perhaps.
            "item_reference" => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

/// A body of Gemini. Results belong to calls by their names, which decoding looks into.
pub(super) fn gemini(body: &[u8]) -> Result<()> {
    for (at, json) in Fields::body(body)?.array("contents")?.unwrap_or_default().into_iter().enumerate() {
        let mut content = Fields::parse(json, &format!("contents[{at}]"))?;
        let path = content.path_of("parts");
        for (at, json) in content.array("parts")?.unwrap_or_default().into_iter().enumerate() {
            let path = format!("{path}[{at}]");
            let part = Fields::parse(json, &path)?.camel_case();
            let is_known = GEMINI_PARTS.iter().any(|name| part.has(name));
            // A signature may stand alone.
            if !is_known && !part.has("thoughtSignature") && part.has_more() {
                return Err(Error::invalid(path.clone(), format!("`{path}` holds nothing that is known")));
            }
        }
    }
    Ok(())
}

/// The types of the parts of a content that is an array.
fn content(fields: &mut Fields<'_>, name: &str, known: &[&str]) -> Result<()> {
    let path = fields.path_of(name);
    let Some(json) = fields.take(name).filter(|json| json.starts_with('[')) else { return Ok(()) };
    for (at, json) in array_at(json, &path)?.into_iter().enumerate() {
        let mut part = Fields::parse(json, &format!("{path}[{at}]"))?;
        let path = part.path_of("type");
        let kind = part.required_string("type")?;
        if !known.contains(&kind.as_str()) {
            let why = format!("`{path}` is no type of content that is known: {kind:?}");
            return Err(Error::invalid(path, why));
        }
    }
    Ok(())
}
