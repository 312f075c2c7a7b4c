//! Golden texts of both forms, and the way to OpenAI's embeddings and back.

use bytes::Bytes;
use orchestrator_testkit::{
    fixtures,
    judge::{Body, Judge, Operation},
};

use super::*;
use crate::{
    dialect::openai_embeddings::OpenAiEmbeddings,
    embedding::{EmbedInput, EmbedRequest},
};

const MODEL: &str = "gemini-embedding-001";

fn decoded(wire: &dyn Wire, body: &str) -> EmbedRequest {
    match wire.decode_request(&Bytes::copy_from_slice(body.as_bytes())).unwrap() {
        HubRequest::Embed(request) => *request,
        HubRequest::Chat(_) => panic!("embeddings"),
    }
}

fn encoded(wire: &dyn Wire, request: &EmbedRequest) -> Result<(String, Vec<String>)> {
    let target = EncodeTarget {
        model: MODEL,
        include_usage: false,
        overrides: &[],
        legacy_names: false,
        quirks: crate::dialect::Quirks::NONE,
    };
    let encoded = wire.encode_request(&HubRequest::Embed(Box::new(request.clone())), &target)?;
    Ok((String::from_utf8(encoded.body.to_vec()).unwrap(), encoded.dropped))
}

#[test]
fn both_forms_go_into_the_hub_and_come_back() {
    for (name, wire, operation) in [
        ("gemini_embed", SINGLE, Operation::EmbedContent),
        ("gemini_embed_batch", BATCH, Operation::BatchEmbedContents),
    ] {
        let fixture = fixtures::named(name);
        let request = fixture.request_body.unwrap();
        let (body, dropped) = encoded(&wire, &decoded(&wire, &request)).unwrap();
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!((json(&body), dropped), (json(&request), Vec::new()), "{name}");
        let judge = Judge::new(operation, "key", MODEL, Body::published());
        assert_eq!(judge.body_complaints(&body), Vec::<String>::new(), "{name}");

        let reply = wire.decode_reply(&fixture.body).unwrap();
        let again = wire.encode_reply(&reply).unwrap();
        assert_eq!(wire.decode_reply(&again).unwrap(), reply, "{name}");
        assert!(wire.inspect(&fixture.body).content);
    }
}

#[test]
fn what_differs_between_the_requests_of_a_batch_survives() {
    let body = r#"{"requests":[{"model":"models/gemini-embedding-001","content":{"parts":[{"text":"a"}]},"taskType":"CLUSTERING"},
        {"model":"models/gemini-embedding-001","content":{"parts":[{"text":"b"}]},"title":"B"}]}"#;
    let (again, _) = encoded(&BATCH, &decoded(&BATCH, body)).unwrap();
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(json(&again), json(body));
}

#[test]
fn clients_of_openais_and_of_geminis_can_use_each_others_models() {
    let asked = r#"{"model":"m","input":["a","b"],"dimensions":2,"encoding_format":"base64","user":"u"}"#;
    let (body, dropped) = encoded(&BATCH, &decoded(&OpenAiEmbeddings, asked)).unwrap();
    assert_eq!(dropped, ["end_user"]);
    insta::assert_snapshot!(body);
    let reply = BATCH.decode_reply(&fixtures::named("gemini_embed_batch").body).unwrap();
    let openai = OpenAiEmbeddings.encode_reply(&reply).unwrap();
    insta::assert_snapshot!(String::from_utf8_lossy(&openai));

    let asked = r#"{"content":{"parts":[{"text":"a"},{"text":"b"}]},"taskType":"CLUSTERING"}"#;
    let (body, dropped) = encoded(&OpenAiEmbeddings, &decoded(&SINGLE, asked)).unwrap();
    assert_eq!(dropped, ["extras.gemini_embeddings.taskType"]);
    insta::assert_snapshot!(body);
    let reply = OpenAiEmbeddings.decode_reply(&Bytes::from_static(
        br#"{"data":[{"index":0,"embedding":[0.5,1.0]}],"model":"e","usage":{"prompt_tokens":3,"total_tokens":3}}"#,
    ));
    insta::assert_snapshot!(String::from_utf8_lossy(&SINGLE.encode_reply(&reply.unwrap()).unwrap()));
}

#[test]
fn what_gemini_does_not_embed_and_what_is_wrong_is_named() {
    let tokens = EmbedRequest { inputs: vec![EmbedInput::Tokens(vec![1])], ..EmbedRequest::default() };
    let mut said = vec![encoded(&BATCH, &tokens).unwrap_err().message];
    let wrong = [
        (&BATCH, r#"{"requests":[]}"#),
        (
            &BATCH,
            r#"{"requests":[{"content":{"parts":[]},"outputDimensionality":1},{"content":{"parts":[]}}]}"#,
        ),
        (&BATCH, r#"{"requests":[{}]}"#),
        (&SINGLE, r#"{"content":{"parts":[{"inlineData":{}}]}}"#),
        (&SINGLE, r#"{"content":{"parts":[]},"output_dimensionality":"3"}"#),
    ];
    for (wire, body) in wrong {
        said.push(wire.decode_request(&Bytes::from_static(body.as_bytes())).unwrap_err().message);
    }
    for (wire, body) in [(&BATCH, "{}"), (&BATCH, r#"{"requests":{}}"#), (&SINGLE, r#"{"content":"a"}"#)] {
        said.push(wire.peek(&Bytes::from_static(body.as_bytes()), 128).unwrap_err().message);
    }
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn the_model_is_rewritten_in_every_request_of_a_batch() {
    let body = Bytes::from_static(br#"{ "requests" : [{"model":"models/a","x":1.0} , {"content":{}}] }"#);
    let edits = Edits { model: "b", include_usage: false, overrides: &[], taken: &[], outline: None };
    assert_eq!(
        BATCH.splice(&body, &edits).unwrap(),
        r#"{ "requests" : [{"model":"models/b","x":1.0} , {"content":{}}] }"#
    );
}
