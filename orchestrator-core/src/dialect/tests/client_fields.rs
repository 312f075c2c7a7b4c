//! What becomes of each field that a vendor publishes for its requests, at each other dialect: a body with that field is translated.
//! `docs/DIALECTS.md` keeps the answers; `UPDATE_MATRIX=1` writes them anew.

use std::{collections::BTreeMap, fmt::Write as _};

use bytes::Bytes;
use serde_json::{Value, json};

use super::matrix::{chat_dialects, hold};
use crate::{
    chat::ChatRequest,
    dialect::{Dialect, EncodeTarget, Encoded, HubRequest, Quirks},
};

const TARGET: EncodeTarget<'static> = EncodeTarget {
    model: "m",
    include_usage: false,
    overrides: &[],
    legacy_names: false,
    quirks: Quirks::NONE,
};

/// The least body of a dialect.
fn least(dialect: Dialect) -> Value {
    match dialect {
        Dialect::OpenAiResponses => json!({"model": "m", "input": [{"role": "user", "content": "q"}]}),
        Dialect::Anthropic => {
            json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "q"}]})
        }
        Dialect::Gemini => json!({"contents": [{"role": "user", "parts": [{"text": "q"}]}]}),
        _ => json!({"model": "m", "messages": [{"role": "user", "content": "q"}]}),
    }
}

/// The fields of a dialect's requests, each with a value that says something. Those of OpenAI's two are of its OpenAPI document, Anthropic's
/// of its reference of Messages, Gemini's of its reference of `generateContent`.
fn fields(dialect: Dialect) -> Value {
    match dialect {
        Dialect::OpenAiChat => chat(),
        Dialect::OpenAiResponses => responses(),
        Dialect::Anthropic => anthropic(),
        _ => gemini(),
    }
}

fn chat() -> Value {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let function = json!({"name": "f", "description": "d", "parameters": schema});
    json!({
        "max_tokens": 7, "max_completion_tokens": 7, "temperature": 1.5, "top_p": 0.5, "frequency_penalty": 0.5, "presence_penalty": 0.5,
        "stop": ["x"], "seed": 7, "n": 2, "logprobs": true, "top_logprobs": 2, "logit_bias": {"7": 1}, "stream": true,
        "stream_options": {"include_usage": true}, "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema, "strict": true}},
        "tools": [{"type": "function", "function": function}], "functions": [function], "tool_choice": "none", "function_call": "none",
        "parallel_tool_calls": false, "reasoning_effort": "high", "verbosity": "low", "user": "u", "safety_identifier": "u",
        "prompt_cache_key": "k", "prompt_cache_retention": "24h", "service_tier": "flex", "store": true, "metadata": {"a": "b"},
        "modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "mp3"}, "prediction": {"type": "content", "content": "x"},
        "web_search_options": {"search_context_size": "low"},
    })
}

fn responses() -> Value {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    json!({
        "instructions": "s", "max_output_tokens": 7, "temperature": 1.5, "top_p": 0.5, "top_logprobs": 2, "stream": true,
        "stream_options": {"include_obfuscation": false}, "text": {"format": {"type": "json_schema", "name": "s", "schema": schema, "strict": true}},
        "tools": [{"type": "function", "name": "f", "parameters": schema, "strict": false}], "tool_choice": "none", "parallel_tool_calls": false,
        "max_tool_calls": 3, "reasoning": {"effort": "high"}, "include": ["reasoning.encrypted_content"], "user": "u", "safety_identifier": "u",
        "prompt_cache_key": "k", "prompt_cache_retention": "24h", "service_tier": "flex", "store": true, "metadata": {"a": "b"},
        "truncation": "auto", "background": true, "previous_response_id": "resp_1", "conversation": "conv_1", "prompt": {"id": "pmpt_1"},
    })
}

fn anthropic() -> Value {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    json!({
        "max_tokens": 7, "system": "s", "temperature": 0.5, "top_p": 0.5, "top_k": 7, "stop_sequences": ["x"], "stream": true,
        "tools": [{"name": "f", "description": "d", "input_schema": schema}], "tool_choice": {"type": "none"},
        "thinking": {"type": "enabled", "budget_tokens": 2000}, "output_config": {"effort": "high"}, "metadata": {"user_id": "u"},
        "service_tier": "standard_only", "container": "c", "context_management": {"edits": []}, "mcp_servers": [{"type": "url", "url": "https://x.test", "name": "x"}],
        "inference_geo": "eu", "speed": "fast",
    })
}

fn gemini() -> Value {
    let schema = json!({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}});
    let declaration = json!({"name": "f", "description": "d", "parameters": schema});
    json!({
        "systemInstruction": {"parts": [{"text": "s"}]}, "generationConfig.maxOutputTokens": 7, "generationConfig.temperature": 1.5,
        "generationConfig.topP": 0.5, "generationConfig.topK": 7, "generationConfig.frequencyPenalty": 0.5, "generationConfig.presencePenalty": 0.5,
        "generationConfig.stopSequences": ["x"], "generationConfig.seed": 7, "generationConfig.candidateCount": 2,
        "generationConfig.responseLogprobs": true, "generationConfig.logprobs": 2, "generationConfig.responseMimeType": "application/json",
        "generationConfig.responseSchema": schema, "generationConfig.responseJsonSchema": {"type": "object"},
        "generationConfig.thinkingConfig": {"thinkingBudget": 2000}, "generationConfig.responseModalities": ["TEXT"],
        "generationConfig.speechConfig": {"languageCode": "de"}, "generationConfig.mediaResolution": "MEDIA_RESOLUTION_LOW",
        "tools": [{"functionDeclarations": [declaration]}], "toolConfig": {"functionCallingConfig": {"mode": "NONE"}},
        "safetySettings": [{"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}], "cachedContent": "cachedContents/1",
        "labels": {"a": "b"}, "store": true, "serviceTier": "flex",
    })
}

/// The body with that field; choices go with the tools that they choose among, and what needs another field comes with that.
fn with(dialect: Dialect, name: &str, value: &Value) -> Value {
    let mut body = least(dialect);
    let all = fields(dialect);
    let needed: &[&str] = match name {
        "tool_choice" | "parallel_tool_calls" | "toolConfig" | "max_tool_calls" => &["tools"],
        "function_call" => &["functions"],
        "top_logprobs" if dialect == Dialect::OpenAiChat => &["logprobs"],
        "stream_options" => &["stream"],
        "generationConfig.logprobs" => &["generationConfig.responseLogprobs"],
        "generationConfig.responseSchema" | "generationConfig.responseJsonSchema" => {
            &["generationConfig.responseMimeType"]
        }
        _ => &[],
    };
    for name in needed {
        set(&mut body, name, all[*name].clone());
    }
    set(&mut body, name, value.clone());
    body
}

fn set(body: &mut Value, name: &str, value: Value) {
    match name.split_once('.') {
        Some((outer, inner)) => body[outer][inner] = value,
        None => body[name] = value,
    }
}

fn read(dialect: Dialect, body: &Value) -> Option<ChatRequest> {
    match dialect.wire().decode_request(&Bytes::from(body.to_string())).ok()? {
        HubRequest::Chat(chat) => Some(ChatRequest { model: "m".into(), include_usage: false, ..*chat }),
        HubRequest::Embed(_) => None,
    }
}

fn written(dialect: Dialect, request: &ChatRequest) -> Option<Encoded> {
    dialect.wire().encode_request(&HubRequest::Chat(Box::new(request.clone())), &TARGET).ok()
}

/// What becomes of a field: it is refused, named as dropped, or arrives; as what it was, within other bounds, or in another form.
fn fate(client: Dialect, name: &str, value: &Value, target: Dialect) -> &'static str {
    let Some(request) = read(client, &with(client, name, value)) else { return "refused" };
    let Some(encoded) = written(target, &request) else { return "refused" };
    if !encoded.dropped.is_empty() {
        return "dropped";
    }
    if name == "stream" && target == Dialect::Gemini {
        return "path";
    }
    let without = read(client, &least(client)).and_then(|request| written(target, &request)).unwrap();
    if without.body == encoded.body {
        return "no effect";
    }
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    let Some(again) = read(target, &body) else { return "mapped" };
    if again.temperature.is_some() && again.temperature != request.temperature {
        return "clamped";
    }
    // A limit that the target demands of everybody is nothing of this field's.
    let limit = request.max_output_tokens.and(again.max_output_tokens);
    let plain =
        |request: ChatRequest| ChatRequest { extras: BTreeMap::new(), max_output_tokens: None, ..request };
    let same = request.max_output_tokens == limit && plain(again) == plain(request);
    if same { "carried" } else { "mapped" }
}

fn table() -> String {
    let mut out = String::new();
    for client in chat_dialects() {
        let targets: Vec<Dialect> = chat_dialects().filter(|target| *target != client).collect();
        write!(out, "### A client of `{}`\n\n| field |", client.name()).unwrap();
        for target in &targets {
            write!(out, " `{}` |", target.name()).unwrap();
        }
        write!(out, "\n|---|{}", "---|".repeat(targets.len())).unwrap();
        for (name, value) in fields(client).as_object().unwrap() {
            write!(out, "\n| `{name}` |").unwrap();
            for target in &targets {
                write!(out, " {} |", fate(client, name, value, *target)).unwrap();
            }
        }
        out.push_str("\n\n");
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

#[test]
fn the_document_says_what_becomes_of_each_published_field() {
    hold("DIALECTS.md", "client fields", &table());
}
