//! Answers, both ways: `{"embedding":{"values":[…]}}` or `{"embeddings":[{"values":[…]}, …]}`.

use bytes::Bytes;

use super::Form;
use crate::{
    call::Signals,
    chat::Usage,
    dialect::{
        Dialect,
        gemini::error::stream_error,
        json::{Fields, ObjectWriter, array, must_be},
        scan::Object,
    },
    embedding::{EmbedEncoding, EmbedReply},
    error::{Error, ErrorKind, Result},
};

/// Reads the signals of an answer, by its top level alone: vectors are long.
pub(super) fn inspect(body: &Bytes, dialect: Dialect) -> Signals {
    let mut signals = Signals::default();
    let failed = || Some(stream_error(body, dialect));
    let Ok(object) = Object::scan(body, usize::MAX) else {
        signals.error = failed();
        return signals;
    };
    let answer = object.get_non_null("embeddings").or_else(|| object.get_non_null("embedding"));
    if answer.is_none() || object.get_non_null("error").is_some() {
        signals.error = failed();
    }
    signals.content = answer.is_some();
    signals.usage = object.get("usageMetadata").and_then(usage);
    signals
}

/// Only prompts cost here.
fn usage(json: &[u8]) -> Option<Usage> {
    let json: serde_json::Value = serde_json::from_slice(json).ok()?;
    let prompt = json["promptTokenCount"].as_u64().or_else(|| json["totalTokenCount"].as_u64())?;
    Some(Usage { prompt, ..Usage::default() })
}

/// Reads a provider's answer. Errors are the provider's.
pub(super) fn decode(body: &Bytes, dialect: Dialect) -> Result<EmbedReply> {
    let mut fields = Fields::body(body).map_err(|_| stream_error(body, dialect))?;
    if fields.has("error") || !(fields.has("embedding") || fields.has("embeddings")) {
        return Err(stream_error(body, dialect));
    }
    answer(&mut fields).map_err(|error| {
        let message = format!("the provider's answer cannot be read: {}", error.message);
        Error::new(ErrorKind::ProviderFailed, message)
    })
}

fn answer(fields: &mut Fields<'_>) -> Result<EmbedReply> {
    let mut embeddings = Vec::new();
    if let Some(single) = fields.object("embedding")? {
        embeddings.push(vector(single)?);
    }
    for (at, json) in fields.array("embeddings")?.unwrap_or_default().into_iter().enumerate() {
        embeddings.push(vector(Fields::parse(json, &format!("embeddings[{at}]"))?)?);
    }
    let usage = fields.take("usageMetadata").and_then(|json| usage(json.as_bytes()));
    Ok(EmbedReply { model: String::new(), embeddings, encoding: EmbedEncoding::Float, usage })
}

fn vector(mut embedding: Fields<'_>) -> Result<Vec<f32>> {
    let path = embedding.path_of("values");
    let values = embedding.take("values").unwrap_or("[]");
    serde_json::from_str(values).map_err(|_| must_be(&path, "a vector"))
}

/// Writes an answer for a caller.
pub(super) fn encode(reply: &EmbedReply, form: Form) -> Result<Bytes> {
    let embeddings: Vec<String> = reply.embeddings.iter().map(|vector| written(vector)).collect();
    let mut out = ObjectWriter::new();
    match (form, embeddings.as_slice()) {
        (Form::Single, [only]) => out.raw("embedding", only),
        (Form::Single, _) => {
            let message = format!("the provider gave {} embeddings for one text", embeddings.len());
            return Err(Error::new(ErrorKind::ProviderFailed, message));
        }
        (Form::Batch, _) => out.raw("embeddings", &array(&embeddings)),
    }
    if let Some(usage) = &reply.usage {
        out.raw("usageMetadata", &format!("{{\"promptTokenCount\":{}}}", usage.prompt));
    }
    Ok(Bytes::from(out.finish()))
}

fn written(vector: &[f32]) -> String {
    // JSON has no way to write what is no number; Display of the others is the shortest text that reads back alike.
    let values =
        vector.iter().map(|float| if float.is_finite() { float.to_string() } else { "null".to_owned() });
    format!("{{\"values\":{}}}", array(&values.collect::<Vec<_>>()))
}
