//! Every answer that is made here in an OpenAI dialect, held against OpenAI's published description, where that is there: whole
//! answers and streams, out of every recorded answer of every dialect that the hub reads, lists of models, and errors.

use bytes::Bytes;
use orchestrator_testkit::{openapi::Description, recorded};
use serde_json::Value;

use super::{Dialect, wire_of};
use crate::{
    call::{Facts, ModelInfo},
    dialect::HubReply,
    error::{Error, ErrorKind},
};

/// The dialects of chats, with the schema of a whole answer and of a stream's event.
const CHATS: [(Dialect, &str, &str); 3] = [
    (Dialect::OpenAiChat, "CreateChatCompletionResponse", "CreateChatCompletionStreamResponse"),
    (Dialect::OpenAiCompletions, "CreateCompletionResponse", "CreateCompletionResponse"),
    (Dialect::OpenAiResponses, "Response", "ResponseStreamEvent"),
];

/// What OpenAI's description says otherwise than OpenAI does, or cannot know.
fn is_known(complaint: &str) -> bool {
    // A text completion's `logprobs` is null where none were asked for, its `finish_reason` until the end, and usage until it is told. Completions know no calls. Compatible
    // servers have tiers of their own.
    let known = [
        "service_tier is",
        "logprobs is null",
        "finish_reason is null",
        "usage is null",
        "finish_reason is \"tool_calls\"",
    ];
    known.iter().any(|known| complaint.contains(known))
}

fn assert_published(description: &Description, schema: &str, json: &Value, case: &str) {
    let mut complaints = description.complaints(schema, json);
    complaints.retain(|complaint| !is_known(complaint));
    assert_eq!(complaints, Vec::<String>::new(), "{schema} {case}: {json}");
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn whole_answers_are_what_openai_publishes() {
    let Some(description) = Description::find() else { return };
    let exchanges = recorded::everything().into_iter().chain(recorded::responses());
    for exchange in exchanges.filter(|exchange| exchange.status == 200 && !exchange.streaming) {
        let Ok(reply) = wire_of(&exchange).decode_reply(&exchange.body) else { continue };
        match &reply {
            HubReply::Count { .. } => panic!("a count"),
            HubReply::Embed(_) => {
                let body = Dialect::OpenAiEmbeddings.wire().encode_reply(&reply).unwrap();
                let base64 = parsed(&exchange.body)["data"][0]["embedding"].is_string();
                if !base64 {
                    let schema = "CreateEmbeddingResponse";
                    assert_published(&description, schema, &parsed(&body), &exchange.file);
                }
            }
            HubReply::Chat(chat) => {
                // What a provider adds to its own dialect comes back out there, whatever the description says of it.
                let mut plain = chat.clone();
                plain.extras.clear();
                plain.choices.iter_mut().for_each(|choice| {
                    choice
                        .message
                        .parts
                        .retain(|part| !matches!(part.kind, crate::chat::PartKind::Opaque { .. }));
                });
                for (dialect, schema, _) in CHATS {
                    let body = dialect.wire().encode_reply(&HubReply::Chat(plain.clone())).unwrap();
                    assert_published(&description, schema, &parsed(&body), &exchange.file);
                }
            }
        }
    }
}

#[test]
fn streams_are_what_openai_publishes() {
    let Some(description) = Description::find() else { return };
    let exchanges = recorded::everything().into_iter().chain(recorded::responses());
    for exchange in exchanges.filter(|exchange| exchange.status == 200 && exchange.streaming) {
        let decoded = wire_of(&exchange).stream_decoder().decode(&exchange.body);
        for (dialect, _, schema) in CHATS {
            let facts = Facts { include_usage: true, ..Facts::default() };
            let mut encoder = dialect.wire().stream_encoder(&facts);
            let written = [encoder.encode(&decoded.events), encoder.finish()].concat();
            let written = String::from_utf8(written).unwrap();
            let data = written.lines().filter_map(|line| line.strip_prefix("data: "));
            for event in data.filter(|data| *data != "[DONE]") {
                assert_published(&description, schema, &parsed(event.as_bytes()), &exchange.file);
            }
        }
    }
}

#[test]
fn errors_and_lists_of_models_are_what_openai_publishes() {
    let Some(description) = Description::find() else { return };
    let model = ModelInfo { id: "m".into(), created: 1, providers: vec!["acme".into()] };
    for dialect in Dialect::ALL.into_iter().filter(|dialect| dialect.name().starts_with("openai")) {
        let wire = dialect.wire();
        let name = dialect.name();
        let list = parsed(&wire.render_models(std::slice::from_ref(&model)));
        assert_published(&description, "ListModelsResponse", &list, name);
        assert_published(&description, "Model", &parsed(&wire.render_model(&model)), name);
        for error in [
            Error::invalid("input".to_owned(), "no"),
            Error::new(ErrorKind::RateLimited, "slow").with_code("rate_limit_exceeded"),
            Error::internal("oh"),
        ] {
            assert_published(&description, "ErrorResponse", &parsed(&wire.render_error(&error, "r")), name);
        }
    }
    let event: Bytes = Dialect::OpenAiResponses.wire().render_error_event(&Error::internal("oh"), "r");
    let event = String::from_utf8(event.to_vec()).unwrap();
    let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    assert_published(&description, "ResponseStreamEvent", &parsed(data.as_bytes()), "error");
}
