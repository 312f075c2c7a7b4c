//! Golden texts of every shape.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::dialect::Quirks;
use crate::embedding::{EmbedEncoding, EmbedInput, EmbedReply, EmbedRequest};

fn decode(body: &str) -> Result<EmbedRequest> {
    OpenAiEmbeddings.decode_request(&Bytes::copy_from_slice(body.as_bytes())).map(|request| match request {
        HubRequest::Embed(embed) => *embed,
        HubRequest::Chat(_) => panic!("not embeddings"),
    })
}

fn encode(request: &EmbedRequest) -> Encoded {
    let overrides = [("truncate".to_owned(), "true".to_owned())];
    let target = EncodeTarget {
        model: "theirs",
        include_usage: true,
        overrides: &overrides,
        legacy_names: false,
        quirks: Quirks::NONE,
    };
    OpenAiEmbeddings.encode_request(&HubRequest::Embed(Box::new(request.clone())), &target).unwrap()
}

#[test]
fn every_form_of_input_is_read_and_written() {
    let inputs = [r#""a""#, r#"["a","b"]"#, "[1,2]", "[[1,2],[3]]", r#"["a"]"#];
    let mut written = Vec::new();
    for input in inputs {
        let request = decode(&format!(
            r#"{{"model":"m","input":{input},"encoding_format":"base64","dimensions":8,"user":"u","x":1.0}}"#
        ));
        let request = request.unwrap();
        let body = encode(&request).body;
        let again = decode(std::str::from_utf8(&body).unwrap()).unwrap();
        assert_eq!(again.inputs, request.inputs, "{input}");
        written.push(String::from_utf8(body.to_vec()).unwrap());
    }
    insta::assert_snapshot!(written.join("\n"));
}

#[test]
fn wrong_fields_are_named_by_their_path() {
    let bodies = [
        r#"{"model":"m"}"#,
        r#"{"model":"m","input":7}"#,
        r#"{"model":"m","input":[]}"#,
        r#"{"model":"m","input":["a",{}]}"#,
        r#"{"model":"m","input":[1,"a"]}"#,
        r#"{"model":"m","input":[[1,-2]]}"#,
        r#"{"model":"m","input":"a","encoding_format":"hex"}"#,
        r#"{"model":"m","input":"a","dimensions":"many"}"#,
    ];
    let answers: Vec<String> = bodies
        .iter()
        .map(|body| {
            let error = decode(body).unwrap_err();
            format!("{}: {}", error.param.unwrap_or_default(), error.message)
        })
        .collect();
    insta::assert_snapshot!(answers.join("\n"));
}

#[test]
fn extras_of_other_dialects_are_dropped_by_name() {
    let request = EmbedRequest {
        inputs: vec![EmbedInput::Text("a".into())],
        extras: [("gemini.taskType".to_owned(), "1".to_owned())].into(),
        ..EmbedRequest::default()
    };
    assert_eq!(encode(&request).dropped, ["extras.gemini.taskType"]);
}

#[test]
fn vectors_are_read_in_both_encodings_and_in_the_order_of_their_index() {
    let floats = br#"{"data":[{"index":1,"embedding":[3]},{"index":0,"embedding":[1,-2.5]}],"model":"e","usage":{"prompt_tokens":4,"total_tokens":4}}"#;
    let reply = OpenAiEmbeddings.decode_reply(&Bytes::from_static(floats)).unwrap();
    let HubReply::Embed(mut embed) = reply else { panic!("not embeddings") };
    assert_eq!(embed.embeddings, [vec![1.0, -2.5], vec![3.0]]);
    embed.encoding = EmbedEncoding::Base64;
    let written = OpenAiEmbeddings.encode_reply(&HubReply::Embed(embed.clone())).unwrap();
    insta::assert_snapshot!(String::from_utf8(written.to_vec()).unwrap());
    assert_eq!(OpenAiEmbeddings.decode_reply(&written).unwrap(), HubReply::Embed(embed));
}

#[test]
fn broken_answers_are_the_providers_failure() {
    for body in
        [r#"{"error":{"message":"x"}}"#, "{}", "x", r#"{"data":[{"embedding":"AAA="}]}"#, r#"{"data":[{}]}"#]
    {
        let error = OpenAiEmbeddings.decode_reply(&Bytes::copy_from_slice(body.as_bytes())).unwrap_err();
        assert_eq!(error.kind, crate::error::ErrorKind::ProviderFailed, "{body}");
    }
}

#[test]
fn streams_are_refused() {
    let error = OpenAiEmbeddings
        .peek(&Bytes::from_static(br#"{"model":"m","input":"a","stream":true}"#), 128)
        .unwrap_err();
    assert_eq!(error.param.as_deref(), Some("stream"));
    assert_eq!(OpenAiEmbeddings.idle_bytes(), None);
}

proptest! {
    #![proptest_config(crate::dialect::fixed_cases())]

    #[test]
    fn vectors_survive_bit_by_bit(
        vectors in prop::collection::vec(prop::collection::vec(-1e3f32..1e3, 0..5), 0..4),
        base64 in any::<bool>(),
    ) {
        let written_any_vector = !vectors.is_empty();
        let encoding = if base64 && written_any_vector { EmbedEncoding::Base64 } else { EmbedEncoding::Float };
        let reply = HubReply::Embed(EmbedReply { model: "m".into(), embeddings: vectors, encoding, usage: None });
        let body = OpenAiEmbeddings.encode_reply(&reply).unwrap();
        prop_assert_eq!(OpenAiEmbeddings.decode_reply(&body).unwrap(), reply);
    }
}
