//! Requests: golden texts of every shape, what is refused, and what another vendor makes of them.

mod answers;
mod any_request;

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::{
    chat::{ChatRequest, Reasoning},
    dialect::{Quirks, openai_chat::OpenAiChat, seal},
    error::ErrorKind,
};

const SONNET: &str = "claude-sonnet-4-5-20250929";

const FULL: &str = r#"{
  "model": "m", "max_tokens": 4096, "stream": true,
  "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
  "messages": [
    {"role": "user", "content": [
      {"type": "text", "text": "Look:"},
      {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}, "cache_control": {"type": "ephemeral"}},
      {"type": "image", "source": {"type": "url", "url": "https://a.example/p.png"}},
      {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
      {"type": "document", "title": "One", "context": "old", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}, "citations": {"enabled": true}},
      {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "grüße"}},
      {"type": "document", "source": {"type": "url", "url": "https://a.example/d.pdf"}},
      {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "chunk"}]}, "citations": {"enabled": true}},
      {"type": "search_result", "source": "https://a.example", "title": "S", "content": [{"type": "text", "text": "found"}]}]},
    {"role": "assistant", "content": [
      {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, {"type": "redacted_thinking", "data": "cmVk"},
      {"type": "text", "text": "So.", "citations": [{"type": "char_location", "cited_text": "grüße", "document_index": 1, "document_title": null, "start_char_index": 0, "end_char_index": 5}]},
      {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
      {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
      {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"b": 1.0, "a": "ü"}, "cache_control": {"type": "ephemeral"}},
      {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}}]},
    {"role": "user", "content": [
      {"type": "tool_result", "tool_use_id": "toolu_1", "cache_control": {"type": "ephemeral"}, "content": [
        {"type": "text", "text": "see", "cache_control": {"type": "ephemeral"}}, {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9g="}}]},
      {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": true, "content": "no"},
      {"type": "text", "text": "Go on."}]}
  ],
  "tools": [
    {"name": "f", "description": "F", "input_schema": {"type": "object", "properties": {"b": {"type": "number"}, "a": {"type": "string"}}}, "strict": true, "cache_control": {"type": "ephemeral"}},
    {"type": "custom", "name": "g", "input_schema": {"type": "object"}, "defer_loading": true},
    {"type": "web_search_20250305", "name": "web_search", "max_uses": 2, "cache_control": {"type": "ephemeral"}}],
  "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
  "thinking": {"type": "enabled", "budget_tokens": 2048},
  "output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {"x": {"type": "integer"}}}}, "task_budget": {"type": "tokens", "total": 9}},
  "temperature": 1.0, "top_p": 0.99, "stop_sequences": ["END", "\n1"], "service_tier": "auto",
  "metadata": {"user_id": "u-1", "tomorrow": 1}, "container": "c", "mcp_servers": [{"type": "url", "url": "https://mcp.example", "name": "x"}]
}"#;

fn decoded(body: &str) -> ChatRequest {
    match Anthropic.decode_request(&Bytes::copy_from_slice(body.as_bytes())).unwrap() {
        HubRequest::Chat(chat) => *chat,
        HubRequest::Embed(_) => panic!("a chat"),
    }
}

fn encoded_for(wire: &dyn Wire, request: &ChatRequest, model: &str) -> (String, Vec<String>) {
    let target = EncodeTarget {
        model,
        include_usage: false,
        overrides: &[],
        legacy_names: false,
        quirks: Quirks::NONE,
    };
    let encoded = wire.encode_request(&HubRequest::Chat(Box::new(request.clone())), &target).unwrap();
    (String::from_utf8(encoded.body.to_vec()).unwrap(), encoded.dropped)
}

fn encoded(request: &ChatRequest, model: &str) -> (Value, Vec<String>) {
    let (body, dropped) = encoded_for(&Anthropic, request, model);
    (serde_json::from_str(&body).unwrap(), dropped)
}

fn pretty(json: &[u8]) -> String {
    let value: Value = serde_json::from_slice(json).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

#[test]
fn a_full_request_goes_into_the_hub_and_comes_back() {
    let hub = decoded(FULL);
    insta::assert_debug_snapshot!(hub);
    let (body, dropped) = encoded(&hub, "claude-3-7-sonnet-20250219");
    assert_eq!(dropped, Vec::<String>::new());
    let mut expected: Value = serde_json::from_str(FULL).unwrap();
    expected["model"] = "claude-3-7-sonnet-20250219".into();
    // As good as said.
    expected["tools"][1].as_object_mut().unwrap().remove("type");
    // What Anthropic demands of every object.
    expected["output_config"]["format"]["schema"]["additionalProperties"] = false.into();
    assert_eq!(body, expected, "nothing is lost on the way");
}

#[test]
fn an_openai_server_gets_what_it_can_take_and_the_rest_is_named() {
    let (body, dropped) = encoded_for(&OpenAiChat, &decoded(FULL), "gpt-5");
    insta::assert_snapshot!(format!("{}\n{dropped:#?}", pretty(body.as_bytes())));
}

#[test]
fn what_anthropic_cannot_carry_is_named() {
    let body = r#"{"model":"m","messages":[{"role":"system","content":"A."},{"role":"user","name":"ann","content":[
        {"type":"text","text":"Hi"},{"type":"input_audio","input_audio":{"data":"AAA=","format":"wav"}},
        {"type":"image_url","image_url":{"url":"https://a.example/p.png","detail":"low"}}]},{"role":"developer","content":"B."}],
        "n":2,"seed":7,"frequency_penalty":0.5,"presence_penalty":0.5,"logprobs":true,"top_logprobs":2,"temperature":1.7,"top_p":0.5,
        "stop":["x"," "],"response_format":{"type":"json_object"},"logit_bias":{"1":2},"service_tier":"flex","user":"u"}"#;
    let HubRequest::Chat(hub) = OpenAiChat.decode_request(&Bytes::from(body)).unwrap() else {
        panic!("a chat")
    };
    let (body, dropped) = encoded(&hub, SONNET);
    insta::assert_snapshot!(format!("{}\n{dropped:#?}", serde_json::to_string_pretty(&body).unwrap()));
}

#[test]
fn only_anthropics_own_signatures_go_back_to_it() {
    let thought = |origin| {
        let sealed = seal::seal(origin, "c2ln");
        json!({"type": "thinking", "thinking": "Hm.", "signature": sealed})
    };
    let turn = |thinking: Value| {
        let call = json!({"type": "tool_use", "id": "t", "name": "f", "input": {}});
        let result =
            json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "1"}]});
        let messages = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": [thinking, call]}, result]);
        let body = json!({"model": "m", "max_tokens": 4000, "messages": messages, "thinking": {"type": "enabled", "budget_tokens": 2000}});
        encoded(&decoded(&body.to_string()), SONNET)
    };
    let (own, dropped) = turn(thought(Dialect::Anthropic));
    assert_eq!(own["messages"][1]["content"][0]["signature"], "c2ln");
    assert!(own["thinking"].is_object() && dropped.is_empty(), "{dropped:?}");
    // A turn whose thoughts were another's cannot be thought on.
    let (foreign, dropped) = turn(thought(Dialect::Gemini));
    assert_eq!(foreign["messages"][1]["content"].as_array().unwrap().len(), 1);
    assert!(foreign["thinking"].is_null());
    assert_eq!(dropped, ["reasoning", "messages[1].parts[0].reasoning"]);
}

#[test]
fn each_generation_is_told_to_think_in_its_own_way() {
    let mut lines = Vec::new();
    let effort = |effort: &str| Reasoning { effort: Some(effort.into()), ..Reasoning::default() };
    let shown = Reasoning { include_text: Some(true), ..Reasoning::default() };
    let budget = Reasoning { budget_tokens: Some(9000), ..Reasoning::default() };
    let hidden = Reasoning { include_text: Some(false), ..effort("high") };
    for model in
        ["claude-sonnet-4-5", "claude-opus-4-5", "claude-opus-4-6", "claude-opus-4-7", "claude-fable-5"]
    {
        for reasoning in [
            effort("minimal"),
            effort("xhigh"),
            effort("none"),
            shown.clone(),
            budget.clone(),
            hidden.clone(),
        ] {
            let mut request = decoded(
                r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a"}],"temperature":0.5,"top_p":0.9,"top_k":4}"#,
            );
            request.max_output_tokens = None;
            request.reasoning = Some(reasoning.clone());
            let (body, dropped) = encoded(&request, model);
            let said = ["max_tokens", "thinking", "output_config", "temperature", "top_p", "top_k"]
                .into_iter()
                .filter(|name| !body[*name].is_null())
                .map(|name| format!("{name}={}", body[name]));
            let asked = [
                reasoning.effort.clone(),
                reasoning.budget_tokens.map(|it| it.to_string()),
                reasoning.include_text.map(|it| format!("text={it}")),
            ];
            let asked: Vec<String> = asked.into_iter().flatten().collect();
            lines.push(format!(
                "{model} {}: {} -{dropped:?}",
                asked.join(" "),
                said.collect::<Vec<_>>().join(" ")
            ));
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn instructions_stay_behind_a_users_turn_where_the_model_takes_them() {
    let body = r#"{"model":"m","max_tokens":1,"system":"Top.","messages":[
        {"role":"user","content":"a"},{"role":"system","content":"One."},{"role":"system","content":"Two."},
        {"role":"assistant","content":"b"},{"role":"system","content":"Three."},{"role":"user","content":"c"},{"role":"system","content":"Four."}]}"#;
    let told = |model: &str| {
        let (body, dropped) = encoded(&decoded(body), model);
        let turns = body["messages"].as_array().unwrap().iter();
        let roles: Vec<String> = turns
            .map(|turn| {
                format!("{}{}", turn["role"].as_str().unwrap(), turn["content"].as_array().unwrap().len())
            })
            .collect();
        (roles.join(" "), body["system"].as_array().map(Vec::len), dropped)
    };
    let (roles, top, dropped) = told("claude-opus-4-8");
    assert_eq!((roles.as_str(), top), ("user1 system2 assistant1 user1 system1", Some(2)));
    assert_eq!(dropped, ["messages[5].role"]);
    let (roles, top, dropped) = told("claude-opus-4-7");
    assert_eq!((roles.as_str(), top, dropped.len()), ("user1 assistant1 user1", Some(5), 4));
}

#[test]
fn bad_input_names_the_path_of_the_field() {
    let with = |field: &str, json: &str| {
        format!(
            r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"a"}}],"{field}":{json}}}"#
        )
    };
    let saying = |content: &str| {
        format!(r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":{content}}}]}}"#)
    };
    for (body, path) in [
        (r#"{"max_tokens":9,"messages":[]}"#.to_owned(), "model"),
        (r#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#.to_owned(), "max_tokens"),
        (
            r#"{"model":"m","max_tokens":"9","messages":[{"role":"user","content":"a"}]}"#.to_owned(),
            "max_tokens",
        ),
        (r#"{"model":"m","max_tokens":9}"#.to_owned(), "messages"),
        (r#"{"model":"m","max_tokens":9,"messages":[]}"#.to_owned(), "messages"),
        (
            r#"{"model":"m","max_tokens":9,"messages":[{"role":"tool","content":"a"}]}"#.to_owned(),
            "messages[0].role",
        ),
        (r#"{"model":"m","max_tokens":9,"messages":[{"role":"user"}]}"#.to_owned(), "messages[0].content"),
        (saying("7"), "messages[0].content"),
        (saying("[7]"), "messages[0].content[0]"),
        (saying(r#"[{"text":"a"}]"#), "messages[0].content[0].type"),
        (saying(r#"[{"type":"text"}]"#), "messages[0].content[0].text"),
        (saying(r#"[{"type":"hologram"}]"#), "messages[0].content[0].type"),
        (saying(r#"[{"type":"text","text":"a"},{"type":"image"}]"#), "messages[0].content[1].source"),
        (saying(r#"[{"type":"image","source":{"type":"disk"}}]"#), "messages[0].content[0].source.type"),
        (
            saying(r#"[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"~"}}]"#),
            "messages[0].content[0].source.data",
        ),
        (
            saying(r#"[{"type":"image","source":{"type":"base64","data":"AAA="}}]"#),
            "messages[0].content[0].source.media_type",
        ),
        (
            saying(r#"[{"type":"tool_result","tool_use_id":"nobody","content":"a"}]"#),
            "messages[0].content[0].tool_use_id",
        ),
        (saying(r#"[{"type":"tool_use","id":"t","name":"f","input":{}}]"#), "messages[0].content"),
        (with("system", "[{\"type\":\"text\",\"text\":1}]"), "system[0].text"),
        (with("temperature", "\"hot\""), "temperature"),
        (with("top_k", "1.5"), "top_k"),
        (with("stop_sequences", "[1]"), "stop_sequences[0]"),
        (with("tools", r#"[{"input_schema":{}}]"#), "tools[0].name"),
        (with("tools", r#"[{"name":"f","input_schema":7}]"#), "tools[0].input_schema"),
        (with("tool_choice", r#"{"type":"maybe"}"#), "tool_choice.type"),
        (with("tool_choice", r#"{"type":"tool"}"#), "tool_choice.name"),
        (with("thinking", r#"{"type":"enabled"}"#), "thinking.budget_tokens"),
        (with("thinking", r#"{"type":"deep"}"#), "thinking.type"),
        (with("output_config", r#"{"format":{"type":"xml"}}"#), "output_config.format.type"),
        (with("metadata", "7"), "metadata"),
    ] {
        let error =
            Anthropic.decode_request(&Bytes::from(body.clone())).err().unwrap_or_else(|| panic!("{body}"));
        assert_eq!(error.kind, ErrorKind::InvalidRequest, "{body}");
        assert_eq!(error.param.as_deref(), Some(path), "{body}: {}", error.message);
        assert!(error.message.contains(path), "{}", error.message);
    }
}

#[test]
fn peek_reads_what_the_gateway_must_know() {
    let peek = |body: &str| Anthropic.peek(&Bytes::copy_from_slice(body.as_bytes()), 64);
    let facts = peek(FULL).unwrap();
    assert_eq!((facts.model.as_str(), facts.stream, facts.include_usage), ("m", true, true));
    assert!(facts.tools && facts.structured && facts.images && !facts.sealed);
    assert_eq!(
        (facts.body_bytes, facts.end_user.as_deref(), facts.session_id),
        (FULL.len(), Some("u-1"), None)
    );
    for (user, session) in [
        ("user_ab_account__session_5f0e-1", Some("5f0e-1")),
        (r#"{\"device_id\":\"d\",\"session_id\":\"s-2\"}"#, Some("s-2")),
        ("user_session_", None),
        ("plain", None),
    ] {
        let body =
            format!(r#"{{"model":"m","max_tokens":1,"messages":[],"metadata":{{"user_id":"{user}"}}}}"#);
        assert_eq!(peek(&body).unwrap().session_id.as_deref(), session, "{user}");
    }
    for (body, path) in [
        (r#"{"max_tokens":1,"messages":[]}"#, "model"),
        (r#"{"model":"m","messages":[]}"#, "max_tokens"),
        (r#"{"model":"m","max_tokens":-1,"messages":[]}"#, "max_tokens"),
        (r#"{"model":"m","max_tokens":1}"#, "messages"),
        (r#"{"model":"m","max_tokens":1,"messages":{}}"#, "messages"),
        (r#"{"model":"m","max_tokens":1,"messages":[],"stream":1}"#, "stream"),
        (r#"{"model":"m","max_tokens":1,"messages":[],"tools":{}}"#, "tools"),
    ] {
        assert_eq!(peek(body).unwrap_err().param.as_deref(), Some(path), "{body}");
    }
}

#[test]
fn a_splice_rewrites_the_model_and_sets_the_overrides_alone() {
    let overrides = [("max_tokens".to_owned(), "9".to_owned())];
    let edits = Edits { model: "up", overrides: &overrides, ..Edits::default() };
    let body = Bytes::from_static(br#"{ "model" : "m","max_tokens":1,"x":1.50, "messages":[ ] }"#);
    let spliced = Anthropic.splice(&body, &edits).unwrap();
    assert_eq!(spliced, r#"{ "model" : "up","max_tokens":9,"x":1.50, "messages":[ ] }"#);
}
