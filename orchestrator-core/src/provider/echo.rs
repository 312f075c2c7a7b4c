//! A provider that lives in this process and answers offline with what it was asked: for a first try, and for tests.
//!
//! It speaks OpenAI's Chat and Embeddings like any other provider, so that a first `curl` takes the whole path. Its usage is
//! honest by its own measure: one token a word.

use std::collections::VecDeque;

use ::http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ProviderKind,
    http::{Answer, AnswerBody},
};
use crate::{
    dialect::Dialect,
    error::{Error, Result},
};

/// The length of an embedding unless the request says otherwise.
const DIMENSIONS: usize = 8;

/// The kind `echo`.
#[derive(Clone, Copy, Debug)]
pub struct Echo;

impl ProviderKind for Echo {
    fn default_base_url(&self) -> Option<&'static str> {
        Some("")
    }

    fn dialects(&self) -> &'static [Dialect] {
        &[Dialect::OpenAiChat, Dialect::OpenAiEmbeddings]
    }

    fn models_path(&self) -> Option<&'static str> {
        None
    }

    fn answer_locally(&self, dialect: Dialect, body: &Bytes) -> Option<Result<Answer>> {
        Some(match dialect {
            Dialect::OpenAiChat => chat(body),
            Dialect::OpenAiEmbeddings => embeddings(body),
            _ => Err(Error::invalid(None, "echo speaks Chat and Embeddings")),
        })
    }
}

#[derive(Deserialize)]
struct Chat {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Value,
}

#[derive(Deserialize)]
struct Embeddings {
    model: String,
    input: Value,
    #[serde(default)]
    dimensions: Option<usize>,
}

fn chat(body: &Bytes) -> Result<Answer> {
    let request: Chat =
        serde_json::from_slice(body).map_err(|error| Error::invalid(None, error.to_string()))?;
    let prompt_tokens: usize =
        request.messages.iter().map(|message| words(&text_of(&message.content)).count()).sum();
    let last = request.messages.iter().rev().find(|message| message.role == "user");
    let text = last.map(|message| text_of(&message.content)).unwrap_or_default();
    let usage = usage(prompt_tokens, words(&text).count());
    if request.stream.unwrap_or(false) {
        let wants_usage = request.stream_options.and_then(|options| options.include_usage).unwrap_or(false);
        return Ok(stream(&request.model, &text, wants_usage.then_some(usage)));
    }
    Ok(whole(&json!({
        "id": "chatcmpl-echo",
        "object": "chat.completion",
        "created": 0,
        "model": request.model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": usage,
    })))
}

/// One chunk a word, as a model would stream it.
fn stream(model: &str, text: &str, usage: Option<Value>) -> Answer {
    let chunk = |choices: Value, usage: Option<&Value>| {
        let mut chunk = json!({"id": "chatcmpl-echo", "object": "chat.completion.chunk", "created": 0, "model": model, "choices": choices});
        if let Some(usage) = usage {
            chunk["usage"] = usage.clone();
        }
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let delta = |delta: Value, finish: Option<&str>| {
        chunk(json!([{"index": 0, "delta": delta, "finish_reason": finish}]), None)
    };
    let mut pieces = VecDeque::from([delta(json!({"role": "assistant", "content": ""}), None)]);
    pieces.extend(words(text).map(|word| delta(json!({"content": word}), None)));
    pieces.push_back(delta(json!({}), Some("stop")));
    if let Some(usage) = usage {
        pieces.push_back(chunk(json!([]), Some(&usage)));
    }
    pieces.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
    answer("text/event-stream", pieces)
}

fn embeddings(body: &Bytes) -> Result<Answer> {
    let request: Embeddings =
        serde_json::from_slice(body).map_err(|error| Error::invalid(None, error.to_string()))?;
    let inputs = match &request.input {
        Value::Array(inputs) if !inputs.iter().all(Value::is_number) => inputs.clone(),
        single => vec![single.clone()],
    };
    let dimensions = request.dimensions.unwrap_or(DIMENSIONS).clamp(1, 4096);
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| json!({"object": "embedding", "index": index, "embedding": vector(&text_of(input), dimensions)}))
        .collect();
    let tokens: usize = inputs.iter().map(|input| words(&text_of(input)).count()).sum();
    Ok(whole(&json!({
        "object": "list",
        "data": data,
        "model": request.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })))
}

/// A vector of unit length that depends on every byte of the text (FNV-1a), so that equal texts are near and others are not.
fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut values = vec![0.0_f32; dimensions];
    for (place, byte) in text.bytes().chain([0]).enumerate() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        values[place % dimensions] += (hash >> 40) as f32 / (1_u32 << 24) as f32 - 0.5;
    }
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    values.iter().map(|value| value / length).collect()
}

fn whole(body: &Value) -> Answer {
    answer("application/json", VecDeque::from([Bytes::from(body.to_string())]))
}

fn answer(content_type: &'static str, pieces: VecDeque<Bytes>) -> Answer {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
    Answer { status: StatusCode::OK, headers, body: AnswerBody::Local(pieces) }
}

/// The text of a message's content, whichever of its forms it has.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join(" ")
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The words with the white space behind them: joined, they are the text again.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(char::is_whitespace)
}

fn usage(prompt: usize, completion: usize) -> Value {
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
}
