//! What the gateway must know of a request, and the rewriting of the one field that has to be another.

use bytes::Bytes;

use super::Purpose;
use crate::{
    call::Facts,
    dialect::{
        Edits,
        json::{Fields, must_be},
        length::whole_number,
        scan::{self, Object},
        seal,
        splice::{Edit, quoted, splice},
    },
    error::{Error, Result},
};

/// What is looked for in all of the body: sealed texts, pictures, and a schema for the answer.
const WORDS: [&str; 3] = [seal::MARK_BASE64, "image\"", "json_schema\""];

/// Reads the facts of a request.
pub(super) fn peek(body: &Bytes, max_depth: usize) -> Result<Facts> {
    read(body, max_depth, Purpose::Answer)
}

/// Reads the facts of a prompt that is only counted.
pub(super) fn prompt(body: &Bytes, max_depth: usize) -> Result<Facts> {
    read(body, max_depth, Purpose::Count)
}

fn read(body: &Bytes, max_depth: usize, purpose: Purpose) -> Result<Facts> {
    if let Err(error) = std::str::from_utf8(body) {
        let message = format!("the body is not valid UTF-8, from byte {} on", error.valid_up_to());
        return Err(Error::invalid(None, message));
    }
    let object = Object::scan_for(&WORDS, body, max_depth)?;
    let missing = |name: &str| Error::invalid(name.to_owned(), format!("`{name}` is missing"));
    let model = object.get_non_null("model").ok_or_else(|| missing("model"))?;
    let model = scan::string(model).ok_or_else(|| must_be("model", "a string"))?;
    let max_tokens = match object.get_non_null("max_tokens") {
        None if purpose == Purpose::Answer => return Err(missing("max_tokens")),
        max_tokens => max_tokens.unwrap_or_default(),
    };
    if !max_tokens.iter().all(u8::is_ascii_digit) {
        return Err(must_be("max_tokens", "a whole number in range"));
    }
    if object.get_non_null("messages").ok_or_else(|| missing("messages"))?.first() != Some(&b'[') {
        return Err(must_be("messages", "an array"));
    }
    let stream = match object.get_non_null("stream") {
        None | Some(b"false") => false,
        Some(b"true") => true,
        Some(_) => return Err(must_be("stream", "true or false")),
    };
    let tools = match object.get_non_null("tools") {
        None => false,
        Some(json) if json.first() == Some(&b'[') => json[1..].trim_ascii_start().first() != Some(&b']'),
        Some(_) => return Err(must_be("tools", "an array")),
    };
    let end_user = object.get_non_null("metadata").and_then(user_id);
    Ok(Facts {
        model: model.into_owned(),
        stream,
        include_usage: stream,
        tools,
        structured: object.has(2),
        images: object.has(1),
        session_id: end_user.as_deref().and_then(session_id),
        end_user,
        sealed: object.has(0),
        max_output: whole_number(&object, &["max_tokens"]),
        body_bytes: body.len(),
        ..Facts::default()
    })
}

/// `metadata.user_id`.
fn user_id(metadata: &[u8]) -> Option<String> {
    let mut metadata = Fields::body(metadata).ok()?;
    Some(metadata.lenient_string("user_id")).filter(|id| !id.is_empty())
}

/// Claude Code says its session within the user's id: `user_…_account_…_session_UUID`, or as JSON.
fn session_id(user: &str) -> Option<String> {
    if let Ok(mut fields) = Fields::body(user.as_bytes()) {
        return Some(fields.lenient_string("session_id")).filter(|id| !id.is_empty());
    }
    let (_, session) = user.rsplit_once("_session_")?;
    (!session.is_empty()).then(|| session.to_owned())
}

/// Rewrites the model, and sets the provider's overrides.
pub(super) fn splice_model(body: &Bytes, edits: &Edits<'_>) -> Result<Bytes> {
    let mut list: Vec<Edit> =
        edits.overrides.iter().map(|(name, json)| Edit::Set(name.clone(), json.clone())).collect();
    list.push(Edit::Set("model".to_owned(), quoted(edits.model)));
    splice(body, &list)
}
