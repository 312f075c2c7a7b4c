//! `countTokens`, after <https://ai.google.dev/api/tokens>: `contents` alone, or a whole request for content within
//! `generateContentRequest`, which must name its model.

use bytes::Bytes;

use super::{Gemini, decode, peek};
use crate::{
    call::Facts,
    dialect::{
        Dialect, Edits, HubRequest, Wire,
        count::Counting,
        json::must_be,
        scan::Object,
        splice::{Edit, splice},
    },
    error::{Error, Result},
};

/// The field of a whole request, in both spellings.
const WHOLE: [&str; 2] = ["generateContentRequest", "generate_content_request"];

/// Gemini's count.
#[derive(Clone, Copy, Debug)]
pub struct GeminiCount;

impl Counting for GeminiCount {
    const DIALECT: Dialect = Dialect::GeminiCount;
    const FIELDS: &'static [&'static str] =
        &["cachedContent", "contents", "model", "systemInstruction", "toolConfig", "tools"];
    const TOKENS: &'static str = "totalTokens";

    fn chat() -> &'static dyn Wire {
        &Gemini
    }

    fn peek(body: &Bytes, max_depth: usize) -> Result<Facts> {
        // All of the body is looked at, and its depth with it.
        peek::utf8_object(&[], body, max_depth)?;
        match whole(body)? {
            Some((name, request)) => peek::peek(&request, max_depth).map_err(|error| within(error, name)),
            None => peek::peek(body, max_depth),
        }
    }

    fn splice(body: &Bytes, edits: &Edits<'_>) -> Result<Bytes> {
        match whole(body)? {
            Some((name, request)) => {
                let mut list: Vec<Edit> = edits
                    .overrides
                    .iter()
                    .map(|(name, json)| Edit::Set(name.clone(), json.clone()))
                    .collect();
                list.push(model(edits.model));
                let request = splice(&request, &list)?;
                splice(body, &[Edit::Set(name.to_owned(), String::from_utf8_lossy(&request).into_owned())])
            }
            // Contents alone have no room for anything that a provider's options set.
            None => peek::splice_model(body, &Edits { overrides: &[], ..edits.clone() }),
        }
    }

    fn decode(body: &Bytes) -> Result<HubRequest> {
        let request = match whole(body)? {
            Some((name, request)) => decode::request(&request).map_err(|error| within(error, name))?,
            None => decode::request(body)?,
        };
        Ok(HubRequest::Chat(Box::new(request)))
    }

    fn wrap(body: Bytes, name: &str) -> Result<Bytes> {
        let request = splice(&body, &[model(name)])?;
        Ok(format!("{{\"{}\":{}}}", WHOLE[0], String::from_utf8_lossy(&request)).into())
    }
}

/// The whole request in a count's body, if there is one, by the caller's spelling of it.
fn whole(body: &Bytes) -> Result<Option<(&'static str, Bytes)>> {
    let object = Object::scan(body, usize::MAX)?;
    for name in WHOLE {
        match object.get_non_null(name) {
            None => {}
            Some(json) if json.first() == Some(&b'{') => return Ok(Some((name, body.slice_ref(json)))),
            Some(_) => return Err(must_be(name, "an object")),
        }
    }
    Ok(None)
}

/// Here the model is always qualified.
fn model(name: &str) -> Edit {
    Edit::Set("model".to_owned(), peek::renamed(b"\"models/", name))
}

/// An error of a field that stands within another.
fn within(mut error: Error, outer: &str) -> Error {
    if let Some(param) = &mut error.param {
        let path = format!("{outer}.{param}");
        error.message = error.message.replacen(&format!("`{param}`"), &format!("`{path}`"), 1);
        *param = path;
    }
    error
}
