//! `Embed`.

use orchestrator_proto::v1;
use orchestrator_testkit::{
    fixtures,
    judge::Operation,
    provider::{Cut, Script},
};
use serde_json::json;
use v1::embed_input::Kind as Input;

use super::{House, keyed, metadata, usage, ways};

fn embed(inputs: Vec<Input>) -> v1::EmbedRequest {
    let inputs = inputs.into_iter().map(|kind| v1::EmbedInput { kind: Some(kind) }).collect();
    v1::EmbedRequest { model: "m".into(), inputs, dimensions: Some(4), ..v1::EmbedRequest::default() }
}

#[tokio::test]
async fn texts_and_tokens_become_vectors_however_the_provider_writes_them() {
    let house = House::start().await;
    let names = ["embeddings_float", "embeddings_base64", "embeddings_tokens"];
    let vector = [0.0125, -0.5, 0.25, 1.0];
    for (way, mut client) in ways(&house.gateway) {
        let answers = names.map(|name| fixtures::named(name).answer(&Cut::Whole));
        house.route(Operation::Embeddings, Script::sequence(answers));

        let texts = embed(vec![Input::Text("hello".into()), Input::Text("世界".into())]);
        let answer = client.embed(keyed(texts)).await.unwrap();
        assert_eq!(metadata(&answer, "x-orchestrator-provider"), "upstream", "{way}");
        let answer = answer.into_inner();
        assert_eq!(answer.embeddings.len(), 2, "{way}");
        assert_eq!(answer.embeddings[1].values, vector, "{way}");
        let counted = usage(5, 0);
        assert_eq!((answer.usage, &*answer.model), (Some(counted), "text-embedding-3-small"), "{way}");
        assert_eq!(answer.routing.unwrap().attempts, 1, "{way}");
        assert_eq!(house.asked()["input"], json!(["hello", "世界"]), "{way}");

        let answer = client.embed(keyed(embed(vec![Input::Text("hello".into())]))).await.unwrap();
        assert_eq!(answer.get_ref().embeddings[0].values, vector, "{way}");

        let tokens = v1::TokenList { ids: vec![9906, 1917] };
        let answer = client.embed(keyed(embed(vec![Input::Tokens(tokens)]))).await.unwrap();
        assert_eq!(answer.get_ref().embeddings[0].values, vector, "{way}");
        assert_eq!(house.asked()["input"], json!([[9906, 1917]]), "{way}");
        assert_eq!(house.asked()["dimensions"], 4, "{way}");
    }
    house.finish().await;
}
