//! What one scan of a request tells.

use bytes::Bytes;

use crate::{
    call::Facts,
    dialect::{
        json::must_be,
        length::whole_number,
        openai::{
            peek::{boolean, filled_array, model, must_be_utf8, text},
            wishes::wishes,
        },
        scan::{self, Object},
        seal,
    },
    error::{Error, Result},
};

/// Where a request's content may stand instead of in `input`: all of them at the provider.
const KEPT_INPUT: [&str; 3] = ["prompt", "previous_response_id", "conversation"];

/// What is looked for in all of the body: sealed texts and pictures.
const WORDS: [&str; 2] = [seal::MARK_BASE64, "input_image\""];

/// Reads the facts of a request. Usage comes with every answer, asked for or not.
pub(super) fn peek(body: &Bytes, max_depth: usize) -> Result<Facts> {
    must_be_utf8(body)?;
    let object = Object::scan_for(&WORDS, body, max_depth)?;
    let end_user = text(&object, "user")?;
    let previous_response = text(&object, "previous_response_id")?;
    // A stored prompt, or the response that is gone on from, may say it.
    let may_lack_model = previous_response.is_some() || object.get_non_null("prompt").is_some();
    let facts = Facts {
        model: if may_lack_model { text(&object, "model")?.unwrap_or_default() } else { model(&object)? },
        stream: boolean(&object, "stream", "stream")?.unwrap_or(false),
        include_usage: true,
        tools: filled_array(&object, "tools")?,
        structured: format(&object, max_depth)?.as_deref() == Some("json_schema"),
        images: object.has(1),
        end_user: if end_user.is_some() { end_user } else { text(&object, "safety_identifier")? },
        session_id: text(&object, "prompt_cache_key")?,
        sealed: object.has(0),
        previous_response,
        wishes: wishes(&object)?,
        max_output: whole_number(&object, &["max_output_tokens"]),
        answers: None,
        body_bytes: body.len(),
        outline: None,
    };
    match object.get_non_null("input") {
        Some(input) if !input.starts_with(b"[") && !input.starts_with(b"\"") => {
            Err(must_be("input", "a string or an array"))
        }
        None if KEPT_INPUT.iter().all(|field| object.get_non_null(field).is_none()) => {
            Err(Error::invalid("input".to_owned(), "you must provide the `input` parameter"))
        }
        _ => Ok(facts),
    }
}

/// `text.format.type`.
fn format(object: &Object<'_>, max_depth: usize) -> Result<Option<String>> {
    let Some(json) = object.get_non_null("text") else { return Ok(None) };
    let text = Object::scan(json, max_depth).map_err(|_| must_be("text", "an object"))?;
    let Some(json) = text.get_non_null("format") else { return Ok(None) };
    let format = Object::scan(json, max_depth).map_err(|_| must_be("text.format", "an object"))?;
    let Some(json) = format.get_non_null("type") else { return Ok(None) };
    let kind = scan::string(json).ok_or_else(|| must_be("text.format.type", "a string"))?;
    Ok(Some(kind.into_owned()))
}
