//! Requests, both ways.

use bytes::Bytes;

use super::Form;
use crate::{
    call::Facts,
    dialect::{
        Edits, EncodeTarget, Encoded,
        gemini::peek::{model, renamed, splice_model, utf8_object},
        json::{Fields, ObjectWriter, array, array_at, checked, must_be},
        scan::{self, Object},
        splice::{Edit, splice},
    },
    embedding::{EmbedEncoding, EmbedInput, EmbedRequest},
    error::{Error, Result},
};

/// The prefix of these dialects' extras.
const EXTRA: &str = "gemini_embeddings.";
/// The extra that holds what differs from request to request of a batch.
const EACH: &str = "gemini_embeddings.requests";

/// Reads the facts of a request. The model stands in the path.
pub(super) fn peek(body: &Bytes, max_depth: usize, form: Form) -> Result<Facts> {
    let object = utf8_object(&[], body, max_depth)?;
    let (field, begin, what) = match form {
        Form::Batch => ("requests", b'[', "an array"),
        Form::Single => ("content", b'{', "an object"),
    };
    match object.get_non_null(field) {
        None => return Err(Error::invalid(field.to_owned(), format!("`{field}` is missing"))),
        Some(json) if json.first() != Some(&begin) => return Err(must_be(field, what)),
        Some(_) => {}
    }
    Ok(Facts { model: model(&object)?, body_bytes: body.len(), ..Facts::default() })
}

/// Rewrites the model wherever the body names it: at its top, and in each request of a batch.
pub(super) fn splice_models(body: &Bytes, edits: &Edits<'_>) -> Result<Bytes> {
    let body = splice_model(body, edits)?;
    let object = Object::scan(&body, usize::MAX)?;
    let Some(json) = object.get_non_null("requests").and_then(|json| std::str::from_utf8(json).ok()) else {
        return Ok(body.clone());
    };
    // What stands between the requests is copied as it is.
    let mut requests = String::with_capacity(json.len());
    let mut copied = 0;
    for element in array_at(json, "requests")? {
        let start = element.as_ptr() as usize - json.as_ptr() as usize;
        requests.push_str(&json[copied..start]);
        copied = start + element.len();
        let named = Object::scan(element.as_bytes(), usize::MAX).ok();
        match named.as_ref().and_then(|request| request.get("model")) {
            Some(named) => {
                let edit = Edit::Set("model".to_owned(), renamed(named, edits.model));
                requests.push_str(&String::from_utf8_lossy(&splice(element.as_bytes(), &[edit])?));
            }
            None => requests.push_str(element),
        }
    }
    requests.push_str(&json[copied..]);
    splice(&body, &[Edit::Set("requests".to_owned(), requests)])
}

/// Reads a request. Errors name the path of the wrong field.
pub(super) fn decode(body: &[u8], form: Form) -> Result<EmbedRequest> {
    let mut fields = Fields::body(body)?.camel_case();
    let mut entries: Vec<Entry> = Vec::new();
    match form {
        Form::Single => entries.push(entry(fields)?),
        Form::Batch => {
            for (at, json) in fields.array("requests")?.unwrap_or_default().into_iter().enumerate() {
                entries.push(entry(Fields::parse(json, &format!("requests[{at}]"))?.camel_case())?);
            }
        }
    }
    let Some(first) = entries.first() else { return Err(must_be("requests", "more than an empty array")) };
    let dimensions = first.dimensions;
    if let Some(at) = entries.iter().position(|entry| entry.dimensions != dimensions) {
        let path = format!("requests[{at}].outputDimensionality");
        return Err(must_be(&path, "the same in all requests of a batch, to be translated"));
    }
    let mut request = EmbedRequest { dimensions, encoding: EmbedEncoding::Float, ..EmbedRequest::default() };
    if entries.iter().all(|entry| entry.others == first.others) {
        let others = first.others.iter();
        request.extras.extend(others.map(|(name, json)| (format!("{EXTRA}{name}"), json.clone())));
    } else {
        let each: Vec<String> = entries.iter().map(|entry| object(&entry.others)).collect();
        request.extras.insert(EACH.to_owned(), array(&each));
    }
    request.inputs = entries.into_iter().map(|entry| EmbedInput::Text(entry.text)).collect();
    Ok(request)
}

/// One request of a batch, or the only one.
struct Entry {
    text: String,
    dimensions: Option<u32>,
    others: Vec<(String, String)>,
}

fn entry(mut fields: Fields<'_>) -> Result<Entry> {
    fields.take("model");
    let path = fields.path_of("content");
    let mut content = fields.object("content")?.ok_or_else(|| must_be(&path, "an object"))?;
    let mut text = String::new();
    for (at, json) in content.array("parts")?.unwrap_or_default().into_iter().enumerate() {
        let mut part = Fields::parse(json, &format!("{path}.parts[{at}]"))?;
        let path = part.path_of("text");
        let piece = part.string("text")?.ok_or_else(|| must_be(&path, "text, to be translated"))?;
        if at > 0 {
            text.push('\n');
        }
        text.push_str(&piece);
    }
    let dimensions = fields.integer("outputDimensionality")?;
    let others = fields.rest().map(|(name, json)| (name, json.to_owned())).collect();
    Ok(Entry { text, dimensions, others })
}

fn object(members: &[(String, String)]) -> String {
    let mut out = ObjectWriter::new();
    for (name, json) in members {
        out.raw(name, json);
    }
    out.finish()
}

/// Writes a request.
///
/// Errors: tokens, which Gemini does not embed.
pub(super) fn encode(request: &EmbedRequest, target: &EncodeTarget<'_>, form: Form) -> Result<Encoded> {
    let mut dropped = Vec::new();
    let mut common: Vec<(String, String)> = Vec::new();
    for (name, json) in &request.extras {
        match name.strip_prefix(EXTRA) {
            Some("model" | "content" | "requests") => {}
            Some(field) => common.push((field.to_owned(), checked(json, name)?.to_owned())),
            None => dropped.push(format!("extras.{name}")),
        }
    }
    if request.end_user.is_some() {
        dropped.push("end_user".to_owned());
    }
    let each = request.extras.get(EACH).map(|json| array_at(json, EACH)).transpose()?.unwrap_or_default();
    let mut entries: Vec<String> = Vec::with_capacity(request.inputs.len());
    for (at, input) in request.inputs.iter().enumerate() {
        let EmbedInput::Text(text) = input else {
            return Err(Error::invalid(
                "input".to_owned(),
                "`input` holds tokens, but the provider embeds nothing but text",
            ));
        };
        entries.push(write_entry(text, request, target, &common, each.get(at).copied())?);
    }
    let body = match (form, entries.as_slice()) {
        (Form::Single, [only]) => only.clone(),
        (Form::Single, _) => return Err(must_be("input", "one text: `embedContent` takes no more")),
        (Form::Batch, _) => format!("{{\"requests\":{}}}", array(&entries)),
    };
    let overrides = target.overrides.iter().filter(|(name, _)| name != "model");
    let edits: Vec<Edit> = overrides.map(|(name, json)| Edit::Set(name.clone(), json.clone())).collect();
    let body = if edits.is_empty() { Bytes::from(body) } else { splice(body.as_bytes(), &edits)? };
    Ok(Encoded { body, dropped })
}

fn write_entry(
    text: &str,
    request: &EmbedRequest,
    target: &EncodeTarget<'_>,
    common: &[(String, String)],
    own: Option<&str>,
) -> Result<String> {
    let mut part = ObjectWriter::new();
    part.string("text", text);
    let mut out = ObjectWriter::new();
    let name = target.model.strip_prefix("models/").unwrap_or(target.model);
    out.string("model", &format!("models/{name}"));
    out.raw("content", &format!("{{\"parts\":[{}]}}", part.finish()));
    out.optional_plain("outputDimensionality", request.dimensions);
    for (name, json) in common {
        out.raw(name, json);
    }
    if let Some(own) = own {
        for (name, json) in scan::entries(own)? {
            out.raw(&name, json);
        }
    }
    Ok(out.finish())
}
