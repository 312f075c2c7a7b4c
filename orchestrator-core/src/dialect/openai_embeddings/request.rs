//! Requests, both ways.

use bytes::Bytes;

use crate::{
    dialect::{
        EncodeTarget, Encoded,
        json::{Fields, ObjectWriter, array, array_at, checked, must_be, string_at},
        openai_chat::encode::overrides,
        splice::{Edit, quoted, splice},
    },
    embedding::{EmbedEncoding, EmbedInput, EmbedRequest},
    error::{Error, Result},
};

/// The prefix of this dialect's extras.
const EXTRA: &str = "openai_embeddings.";

/// Reads a request. Errors name the path of the wrong field.
pub(super) fn decode(body: &[u8]) -> Result<EmbedRequest> {
    let mut fields = Fields::body(body)?;
    let mut request = EmbedRequest {
        model: fields.required_string("model")?,
        inputs: inputs(&mut fields)?,
        dimensions: fields.integer("dimensions")?,
        encoding: match fields.string("encoding_format")?.as_deref() {
            None | Some("float") => EmbedEncoding::Float,
            Some("base64") => EmbedEncoding::Base64,
            Some(_) => return Err(must_be("encoding_format", "`float` or `base64`")),
        },
        end_user: fields.string("user")?,
        ..EmbedRequest::default()
    };
    for (name, json) in fields.rest() {
        request.extras.insert(format!("{EXTRA}{name}"), json.to_owned());
    }
    Ok(request)
}

/// One text, several, one list of tokens, or several.
fn inputs(fields: &mut Fields<'_>) -> Result<Vec<EmbedInput>> {
    let Some(json) = fields.take("input") else {
        return Err(Error::invalid("input".to_owned(), "you must provide the `input` parameter"));
    };
    if json.starts_with('"') {
        return Ok(vec![EmbedInput::Text(string_at(json, "input")?)]);
    }
    if !json.starts_with('[') {
        return Err(must_be("input", "a string or an array"));
    }
    let elements = array_at(json, "input")?;
    let Some(first) = elements.first() else { return Err(must_be("input", "more than an empty array")) };
    if first.starts_with(|begin: char| begin.is_ascii_digit()) {
        return Ok(vec![EmbedInput::Tokens(tokens(json, "input")?)]);
    }
    let mut inputs = Vec::with_capacity(elements.len());
    for (at, json) in elements.into_iter().enumerate() {
        let path = format!("input[{at}]");
        inputs.push(match json.as_bytes().first() {
            Some(b'[') => EmbedInput::Tokens(tokens(json, &path)?),
            Some(b'"') => EmbedInput::Text(string_at(json, &path)?),
            _ => return Err(must_be(&path, "a string or an array of tokens")),
        });
    }
    Ok(inputs)
}

fn tokens(json: &str, path: &str) -> Result<Vec<u32>> {
    serde_json::from_str(json).map_err(|_| must_be(path, "an array of tokens, which are whole numbers"))
}

/// Writes a request.
pub(super) fn encode(request: &EmbedRequest, target: &EncodeTarget<'_>) -> Result<Encoded> {
    let mut dropped = Vec::new();
    let inputs: Vec<String> = request.inputs.iter().map(input).collect();
    let mut out = ObjectWriter::new();
    out.string("model", target.model);
    // One text goes as it is: some compatible servers take nothing else.
    match request.inputs.as_slice() {
        [EmbedInput::Text(text)] => out.string("input", text),
        _ => out.raw("input", &array(&inputs)),
    }
    out.optional_plain("dimensions", request.dimensions);
    if request.encoding == EmbedEncoding::Base64 {
        out.string("encoding_format", "base64");
    }
    out.optional_string("user", request.end_user.as_deref());
    let mut edits: Vec<Edit> = Vec::new();
    for (name, json) in &request.extras {
        match name.strip_prefix(EXTRA) {
            Some("model" | "input") => {}
            Some(field) => edits.push(Edit::Set(field.to_owned(), checked(json, name)?.to_owned())),
            None => dropped.push(format!("extras.{name}")),
        }
    }
    edits.extend(overrides(target, false));
    let body = out.finish();
    let body = if edits.is_empty() { Bytes::from(body) } else { splice(body.as_bytes(), &edits)? };
    Ok(Encoded { body, dropped })
}

fn input(input: &EmbedInput) -> String {
    match input {
        EmbedInput::Text(text) => quoted(text),
        EmbedInput::Tokens(tokens) => {
            let tokens: Vec<String> = tokens.iter().map(ToString::to_string).collect();
            array(&tokens)
        }
    }
}
