//! Answers, both ways. A vector is an array of numbers, or base64 of little-endian 32-bit floats.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;

use crate::{
    dialect::{
        Dialect,
        json::{Fields, ObjectWriter, array, must_be, string_at},
        openai::{error::stream_error, usage},
        openai_chat::reply::unreadable,
    },
    embedding::{EmbedEncoding, EmbedReply},
    error::Result,
};

/// Reads a provider's answer. Errors are the provider's.
pub(super) fn decode(body: &Bytes) -> Result<EmbedReply> {
    let failed = || stream_error(body, Dialect::OpenAiEmbeddings);
    let mut fields = Fields::body(body).map_err(|_| failed())?;
    if fields.has("error") || !fields.has("data") {
        return Err(failed());
    }
    answer(&mut fields).map_err(unreadable)
}

fn answer(fields: &mut Fields<'_>) -> Result<EmbedReply> {
    let mut encoding = EmbedEncoding::Float;
    // The order of the inputs is the order of the indexes, not always that of the list.
    let mut indexed: Vec<(u32, Vec<f32>)> = Vec::new();
    for (at, json) in fields.array("data")?.unwrap_or_default().into_iter().enumerate() {
        let mut entry = Fields::parse(json, &format!("data[{at}]"))?;
        let index = entry.integer("index")?.unwrap_or(at as u32);
        let path = entry.path_of("embedding");
        let json = entry.take("embedding").ok_or_else(|| must_be(&path, "a vector"))?;
        let vector = if json.starts_with('"') {
            encoding = EmbedEncoding::Base64;
            from_base64(&string_at(json, &path)?)
        } else {
            serde_json::from_str(json).ok()
        };
        indexed.push((index, vector.ok_or_else(|| must_be(&path, "a vector"))?));
    }
    indexed.sort_by_key(|(index, _)| *index);
    Ok(EmbedReply {
        model: fields.lenient_string("model"),
        embeddings: indexed.into_iter().map(|(_, vector)| vector).collect(),
        encoding,
        usage: fields.take("usage").and_then(|json| usage::read(json.as_bytes())),
    })
}

fn from_base64(text: &str) -> Option<Vec<f32>> {
    let bytes = STANDARD.decode(text).ok()?;
    let (floats, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| floats.iter().map(|float| f32::from_le_bytes(*float)).collect())
}

/// Writes an answer for a caller.
pub(super) fn encode(reply: &EmbedReply) -> Bytes {
    let mut data: Vec<String> = Vec::with_capacity(reply.embeddings.len());
    for (index, vector) in reply.embeddings.iter().enumerate() {
        let mut entry = ObjectWriter::new();
        entry.string("object", "embedding");
        entry.plain("index", index);
        entry.raw("embedding", &write_vector(vector, reply.encoding));
        data.push(entry.finish());
    }
    let mut out = ObjectWriter::new();
    out.string("object", "list");
    out.raw("data", &array(&data));
    out.string("model", &reply.model);
    if let Some(usage) = &reply.usage {
        let mut counts = ObjectWriter::new();
        counts.plain("prompt_tokens", usage.prompt);
        counts.plain("total_tokens", usage.prompt.saturating_add(usage.completion));
        out.raw("usage", &counts.finish());
    }
    Bytes::from(out.finish())
}

fn write_vector(vector: &[f32], encoding: EmbedEncoding) -> String {
    match encoding {
        EmbedEncoding::Base64 => {
            let bytes: Vec<u8> = vector.iter().flat_map(|float| float.to_le_bytes()).collect();
            format!("\"{}\"", STANDARD.encode(bytes))
        }
        EmbedEncoding::Float => {
            // JSON has no way to write what is no number; Display of the others is the shortest text that reads back alike.
            let floats = vector
                .iter()
                .map(|float| if float.is_finite() { float.to_string() } else { "null".to_owned() });
            array(&floats.collect::<Vec<_>>())
        }
    }
}
