//! What one scan of a request tells. Wrong types of the fields that are read here are refused here, by name; all other
//! complaints are left to the provider.

use bytes::Bytes;

use super::wishes::wishes;
use crate::dialect::{json::must_be, length::whole_number};
use crate::{
    call::Facts,
    dialect::{
        scan::{self, Object},
        seal,
    },
    error::{Error, Result},
};

/// What the dialects' requests must hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// The field that holds what is asked: `messages`.
    pub(crate) field: &'static str,
    /// It must be an array.
    pub(crate) array: bool,
    /// There are streams in this dialect.
    pub(crate) streams: bool,
}

/// What is looked for in all of the body: sealed texts and pictures.
const WORDS: [&str; 2] = [seal::MARK_BASE64, "image_url\""];

/// Reads the facts of a request.
pub(crate) fn peek(body: &Bytes, max_depth: usize, needs: Needs) -> Result<Facts> {
    must_be_utf8(body)?;
    let object = Object::scan_for(&WORDS, body, max_depth)?;
    let mut facts = Facts {
        model: model(&object)?,
        stream: boolean(&object, "stream", "stream")?.unwrap_or(false),
        include_usage: include_usage(&object, max_depth)?,
        tools: filled_array(&object, "tools")? || filled_array(&object, "functions")?,
        structured: response_format(&object, max_depth)?.as_deref() == Some("json_schema"),
        images: object.has(1),
        end_user: text(&object, "user")?,
        session_id: text(&object, "prompt_cache_key")?,
        sealed: object.has(0),
        previous_response: None,
        wishes: wishes(&object)?,
        max_output: whole_number(&object, &["max_completion_tokens", "max_tokens"]),
        answers: whole_number(&object, &["best_of", "n"]),
        body_bytes: body.len(),
        outline: None,
    };
    if facts.stream && !needs.streams {
        return Err(Error::invalid("stream".to_owned(), "`stream` is not supported here"));
    }
    match object.get_non_null(needs.field) {
        None => {
            let message = format!("you must provide the `{}` parameter", needs.field);
            Err(Error::invalid(needs.field.to_owned(), message))
        }
        Some(value) if needs.array && !value.starts_with(b"[") => Err(must_be(needs.field, "an array")),
        Some(_) => {
            facts.outline = Some(object.into_outline());
            Ok(facts)
        }
    }
}

/// JSON is UTF-8 (RFC 8259, section 8.1). What is not would travel as it came, and each reader would see another text.
pub(crate) fn must_be_utf8(body: &[u8]) -> Result<()> {
    // Most bodies are ASCII, which is checked in a fifth of the time.
    if body.is_ascii() {
        return Ok(());
    }
    let Err(error) = std::str::from_utf8(body) else { return Ok(()) };
    let message = format!("the body is not valid UTF-8, from byte {} on", error.valid_up_to());
    Err(Error::invalid(None, message))
}

/// The model that must be named.
pub(crate) fn model(object: &Object<'_>) -> Result<String> {
    match text(object, "model")? {
        Some(model) => Ok(model),
        None => Err(Error::invalid("model".to_owned(), "you must provide a model parameter")),
    }
}

fn include_usage(object: &Object<'_>, max_depth: usize) -> Result<bool> {
    let Some(json) = object.get_non_null("stream_options") else { return Ok(false) };
    let options = Object::scan(json, max_depth).map_err(|_| must_be("stream_options", "an object"))?;
    Ok(boolean(&options, "include_usage", "stream_options.include_usage")?.unwrap_or(false))
}

fn response_format(object: &Object<'_>, max_depth: usize) -> Result<Option<String>> {
    let Some(json) = object.get_non_null("response_format") else { return Ok(None) };
    let format = Object::scan(json, max_depth).map_err(|_| must_be("response_format", "an object"))?;
    match format.get_non_null("type") {
        None => Ok(None),
        Some(json) => match scan::string(json) {
            Some(kind) => Ok(Some(kind.into_owned())),
            None => Err(must_be("response_format.type", "a string")),
        },
    }
}

/// A string that is not empty.
pub(crate) fn text(object: &Object<'_>, name: &str) -> Result<Option<String>> {
    let Some(json) = object.get_non_null(name) else { return Ok(None) };
    let text = scan::string(json).ok_or_else(|| must_be(name, "a string"))?;
    Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
}

/// `true` or `false`.
pub(crate) fn boolean(object: &Object<'_>, name: &str, path: &str) -> Result<Option<bool>> {
    match object.get_non_null(name) {
        None => Ok(None),
        Some(b"true") => Ok(Some(true)),
        Some(b"false") => Ok(Some(false)),
        Some(_) => Err(must_be(path, "true or false")),
    }
}

/// Whether there is an array that holds something.
pub(crate) fn filled_array(object: &Object<'_>, name: &str) -> Result<bool> {
    let Some(json) = object.get_non_null(name) else { return Ok(false) };
    let Some(inner) = json.strip_prefix(b"[") else { return Err(must_be(name, "an array")) };
    Ok(inner.trim_ascii_start().first() != Some(&b']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: Needs = Needs { field: "messages", array: true, streams: true };
    const EMBEDDINGS: Needs = Needs { field: "input", array: false, streams: false };

    #[test]
    fn a_body_that_is_not_utf8_is_refused() {
        let body = Bytes::from_static(b"{\"model\":\"m\",\"messages\":[\"\xff\"]}");
        let error = peek(&body, 128, CHAT).unwrap_err();
        assert_eq!(error.message, "the body is not valid UTF-8, from byte 26 on");
    }

    fn refusal(body: &str, needs: Needs) -> String {
        match peek(&Bytes::copy_from_slice(body.as_bytes()), 128, needs) {
            Ok(_) => format!("{body} -> accepted"),
            Err(error) => format!("{body} -> {}: {}", error.param.unwrap_or_default(), error.message),
        }
    }

    #[test]
    fn one_scan_tells_what_admission_and_routing_need() {
        let body = r#"{"mod\u0065l":"m","messages":[{"role":"user","content":[{"type":"image_url"}]}],"stream":true,
            "stream_options":{"include_usage":true},"tools":[{}],"response_format":{"type":"json_schema"},"user":"u",
            "prompt_cache_key":"s","tomorrow":[1]}"#;
        let facts = peek(&Bytes::from_static(body.as_bytes()), 128, CHAT).unwrap();
        let expected = Facts {
            model: "m".into(),
            stream: true,
            include_usage: true,
            tools: true,
            structured: true,
            images: true,
            end_user: Some("u".into()),
            session_id: Some("s".into()),
            sealed: false,
            previous_response: None,
            wishes: None,
            max_output: None,
            answers: None,
            body_bytes: body.len(),
            outline: Some(Object::scan_for(&WORDS, body.as_bytes(), 128).unwrap().into_outline()),
        };
        assert_eq!(facts, expected);
    }

    #[test]
    fn the_least_request_has_the_least_facts() {
        let body =
            r#"{"model":"m","messages":[],"stream":null,"tools":[ ],"stream_options":null,"user":null}"#;
        let facts = peek(&Bytes::from_static(body.as_bytes()), 128, CHAT).unwrap();
        let outline = facts.outline.clone();
        assert_eq!(facts, Facts { model: "m".into(), body_bytes: body.len(), outline, ..Facts::default() });
    }

    #[test]
    fn wrong_fields_are_refused_by_name() {
        let chat = [
            r#"{"messages":[]}"#,
            r#"{"model":"","messages":[]}"#,
            r#"{"model":7,"messages":[]}"#,
            r#"{"model":"\ud800","messages":[]}"#,
            r#"{"model":"m"}"#,
            r#"{"model":"m","messages":"hi"}"#,
            r#"{"model":"m","messages":[],"stream":"yes"}"#,
            r#"{"model":"m","messages":[],"stream_options":[]}"#,
            r#"{"model":"m","messages":[],"stream_options":{"include_usage":tru}}"#,
            r#"{"model":"m","messages":[],"stream_options":{"include_usage":1}}"#,
            r#"{"model":"m","messages":[],"tools":{}}"#,
            r#"{"model":"m","messages":[],"response_format":"json"}"#,
            r#"{"model":"m","messages":[],"response_format":{"type":1}}"#,
            r#"{"model":"m","messages":[],"user":1}"#,
        ];
        let mut answers: Vec<String> = chat.iter().map(|body| refusal(body, CHAT)).collect();
        answers.push(refusal(r#"{"model":"m","input":"a","stream":true}"#, EMBEDDINGS));
        answers.push(refusal(r#"{"model":"m","input":null}"#, EMBEDDINGS));
        insta::assert_snapshot!(answers.join("\n"));
    }
}
