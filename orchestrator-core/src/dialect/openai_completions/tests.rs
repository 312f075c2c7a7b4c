//! Golden texts of every shape.

use bytes::Bytes;

use super::*;
use crate::dialect::Quirks;
use crate::{
    chat::{ChatEvent, ChatReply, ChatRequest, Usage},
    dialect::openai_chat::OpenAiChat,
};

fn decode(body: &str) -> Result<ChatRequest> {
    OpenAiCompletions.decode_request(&Bytes::copy_from_slice(body.as_bytes())).map(|request| match request {
        HubRequest::Chat(chat) => *chat,
        HubRequest::Embed(_) => panic!("not a chat"),
    })
}

fn encode(wire: &dyn Wire, request: &ChatRequest) -> (String, Vec<String>) {
    let target = EncodeTarget {
        model: "theirs",
        include_usage: true,
        overrides: &[],
        legacy_names: false,
        quirks: Quirks::NONE,
    };
    let encoded = wire.encode_request(&HubRequest::Chat(Box::new(request.clone())), &target).unwrap();
    (String::from_utf8(encoded.body.to_vec()).unwrap(), encoded.dropped)
}

const FULL: &str = r#"{"model":"m","prompt":["say hi"],"suffix":"!","echo":false,"best_of":1,"logit_bias":{"1":-1.0},"max_tokens":5,
    "temperature":0,"logprobs":2,"stop":"x","user":"u","stream":true,"stream_options":{"include_usage":true,"x":1}}"#;

#[test]
fn a_prompt_becomes_one_user_message_and_comes_back() {
    let request = decode(FULL).unwrap();
    insta::assert_debug_snapshot!(request);
    let (body, dropped) = encode(&OpenAiCompletions, &request);
    insta::assert_snapshot!(body);
    assert_eq!(dropped, Vec::<String>::new());
    assert_eq!(ChatRequest { model: "m".into(), ..decode(&body).unwrap() }, request);
}

#[test]
fn in_chat_the_fields_of_completions_are_dropped_by_name() {
    let (body, dropped) = encode(&OpenAiChat, &decode(FULL).unwrap());
    insta::assert_snapshot!(body);
    assert_eq!(
        dropped,
        [
            "extras.openai_completions.best_of",
            "extras.openai_completions.echo",
            "extras.openai_completions.suffix"
        ]
    );
}

#[test]
fn prompts_that_are_not_one_text_are_refused() {
    for prompt in [r#"["a","b"]"#, "[1,2]", "[[1,2]]", "[]", "7", "null"] {
        let error = decode(&format!(r#"{{"model":"m","prompt":{prompt}}}"#)).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("prompt"), "{prompt}");
    }
}

#[test]
fn a_conversation_cannot_be_asked_for_here() {
    let body = Bytes::from_static(
        br#"{"model":"m","messages":[{"role":"system","content":"a"},{"role":"user","content":"b"}]}"#,
    );
    let request = OpenAiChat.decode_request(&body).unwrap();
    let target = EncodeTarget {
        model: "m",
        include_usage: false,
        overrides: &[],
        legacy_names: false,
        quirks: Quirks::NONE,
    };
    let error = OpenAiCompletions.encode_request(&request, &target).unwrap_err();
    assert_eq!((error.status(), error.param.as_deref()), (400, Some("messages")));
}

#[test]
fn an_answer_goes_into_the_hub_and_comes_back() {
    let body = Bytes::from_static(
        br#"{"id":"cmpl-1","object":"text_completion","created":17,"model":"m","choices":[{"text":"hi","index":0,
        "logprobs":{"tokens":["hi"]},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#,
    );
    let reply = OpenAiCompletions.decode_reply(&body).unwrap();
    let written = OpenAiCompletions.encode_reply(&reply).unwrap();
    insta::assert_snapshot!(String::from_utf8(written.to_vec()).unwrap());
    assert_eq!(OpenAiCompletions.decode_reply(&written).unwrap(), reply);
    let nameless = OpenAiCompletions.encode_reply(&HubReply::Chat(ChatReply::default())).unwrap();
    insta::assert_snapshot!(String::from_utf8(nameless.to_vec()).unwrap());
}

#[test]
fn a_stream_goes_into_the_hub_and_comes_back() {
    let stream = Bytes::from_static(
        b"data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":17,\"model\":\"m\",\"choices\":[{\"text\":\"\",\"index\":0,\"finish_reason\":null}]}\n\n\
          data: {\"id\":\"cmpl-1\",\"choices\":[{\"text\":\"hi\",\"index\":0,\"logprobs\":{\"tokens\":[\"hi\"]},\"finish_reason\":null}]}\n\n\
          data: {\"id\":\"cmpl-1\",\"choices\":[{\"text\":\"!\",\"index\":0,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n\
          data: [DONE]\n\n",
    );
    let batch = OpenAiCompletions.stream_decoder().decode(&stream);
    assert!(batch.signals.content && batch.signals.terminator);
    assert_eq!(batch.signals.usage, Some(Usage { prompt: 1, completion: 2, ..Usage::default() }));
    let mut encoder = OpenAiCompletions.stream_encoder(&Facts { include_usage: true, ..Facts::default() });
    let mut written = encoder.encode(&batch.events).to_vec();
    written.extend_from_slice(&encoder.finish());
    insta::assert_snapshot!(String::from_utf8(written.clone()).unwrap());
    let told = |events: Vec<ChatEvent>| -> String {
        let texts = events.into_iter().filter_map(|event| match event {
            ChatEvent::Text { text, .. } => Some(text),
            _ => None,
        });
        texts.collect()
    };
    let again = OpenAiCompletions.stream_decoder().decode(&Bytes::from(written));
    assert_eq!(told(again.events), "hi!");
}

#[test]
fn an_empty_text_is_not_content() {
    let stretch = Bytes::from_static(b"data: {\"choices\":[{\"text\":\"\",\"index\":0}]}\n\n");
    assert!(!OpenAiCompletions.tap(false).pass(stretch).signals.content);
}
