//! Whole answers: each is read, and comes back as it went.

use bytes::Bytes;

use super::super::*;
use crate::chat::{ChatReply, Choice, Finish, Message, Role};

fn decode_reply(body: &str) -> ChatReply {
    match OpenAiChat.decode_reply(&Bytes::copy_from_slice(body.as_bytes())).unwrap() {
        HubReply::Chat(reply) => reply,
        HubReply::Embed(_) | HubReply::Count { .. } => panic!("not a chat"),
    }
}

pub(super) fn encode_reply(reply: &ChatReply) -> String {
    String::from_utf8(OpenAiChat.encode_reply(&HubReply::Chat(reply.clone())).unwrap().to_vec()).unwrap()
}

#[test]
fn a_full_answer_goes_into_the_hub_and_comes_back() {
    let body = r#"{"id":"chatcmpl-7","object":"chat.completion","created":1700000000,"model":"m-1","choices":[
        {"index":0,"message":{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},
            {"type":"text","text":"hi"}],"annotations":[]},"logprobs":{"content":[{"token":"hi","logprob":-0.10}]},"finish_reason":"stop"},
        {"index":1,"message":{"role":"assistant","content":null,"refusal":null,"tool_calls":[
            {"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"},
        {"index":2,"message":{"role":"assistant","content":null,"refusal":"no"},"logprobs":{"tokens":[]},"finish_reason":"eos"}],
        "usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12},"service_tier":"default","system_fingerprint":"fp"}"#;
    let reply = decode_reply(body);
    insta::assert_debug_snapshot!(reply);
    let written = encode_reply(&reply);
    insta::assert_snapshot!(written);
    let again = decode_reply(&written);
    assert_eq!(encode_reply(&again), written);
}

#[test]
fn an_error_under_a_200_is_no_answer() {
    for body in [r#"{"error":{"message":"overloaded"}}"#, "{}", "<html>", r#"{"choices":[{}]}"#] {
        let error = OpenAiChat.decode_reply(&Bytes::copy_from_slice(body.as_bytes())).unwrap_err();
        assert_eq!(error.kind, crate::error::ErrorKind::ProviderFailed, "{body}");
    }
}

#[test]
fn an_answer_without_an_id_gets_a_fixed_one() {
    let choice = Choice {
        index: 0,
        message: Message { role: Role::Assistant, parts: Vec::new(), name: None },
        finish: Finish::default(),
        logprobs: None,
    };
    let reply = ChatReply { choices: vec![choice], ..ChatReply::default() };
    insta::assert_snapshot!(encode_reply(&reply));
}
