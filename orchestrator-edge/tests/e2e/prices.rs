//! What requests cost: exactly what the arithmetic says, by the price in force when they were made.

use bytes::Bytes;
use http::Method;
use orchestrator_testkit::provider::Answer as Scripted;
use serde_json::{Value, json};

use crate::{
    client::Answer,
    gateway::{CHANNELS, Channel},
    stage::{Asked, Stage, streamed, whole},
};

/// The price of the model `m` at its provider.
const PRICE: &str = "/admin/prices/openai/m-upstream";

async fn stage(channel: Channel) -> Stage {
    let stage = Stage::of_one(channel, |_| {}, json!({"max_retries": 0})).await;
    stage.first_answers(whole("Hello"));
    stage
}

async fn send(stage: &Stage, method: Method, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    stage.gateway.admin.send(method, path, &[], body).await
}

/// Sets what a million tokens cost.
async fn set_price(stage: &Stage, input: &str, output: &str) {
    let price = json!({"kind": "openai", "upstream_model": "m-upstream", "input": input, "output": output});
    let answer = send(stage, Method::POST, "/admin/prices", &price).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// The cost of a request and the version of its price, as its record has them.
async fn cost(stage: &Stage, asked: &Asked) -> [String; 2] {
    stage.record(asked, ["cost_nanos", "price_version"]).await
}

const UNKNOWN: [&str; 2] = ["null", ""];

#[tokio::test]
async fn a_request_costs_what_the_price_says_that_held_when_it_was_made() {
    for channel in CHANNELS {
        let stage = stage(channel).await;
        let first = stage.ask(false).await;
        assert_eq!(cost(&stage, &first).await, UNKNOWN, "{channel:?}");

        // Three tokens are read and five written.
        set_price(&stage, "2.5", "10").await;
        let second = stage.ask(false).await;
        assert_eq!(cost(&stage, &second).await, ["57500", "own-1"], "{channel:?}");

        let answer = send(&stage, Method::PATCH, PRICE, &json!({"input": "0.123456789"})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let third = stage.ask(false).await;
        assert_eq!(cost(&stage, &third).await, ["50370", "own-2"], "{channel:?}");
        let through = stage.ask_for("first/m-upstream", false, &[]).await;
        assert_eq!(cost(&stage, &through).await, ["50370", "own-2"], "{channel:?}");
        let other = stage.ask_for("first/other", false, &[]).await;
        assert_eq!(cost(&stage, &other).await, UNKNOWN, "{channel:?}");

        let answer = send(&stage, Method::DELETE, PRICE, &Value::Null).await;
        assert_eq!(answer.status, 204, "{}", answer.text());
        let last = stage.ask(false).await;
        assert_eq!(cost(&stage, &last).await, UNKNOWN, "{channel:?}");
        // What was written down stays.
        assert_eq!(cost(&stage, &first).await, UNKNOWN, "{channel:?}");
        assert_eq!(cost(&stage, &second).await, ["57500", "own-1"], "{channel:?}");
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn cached_tokens_estimates_failures_and_free_answers_are_told_apart() {
    for channel in CHANNELS {
        let stage = stage(channel).await;
        set_price(&stage, "2", "8").await;
        let cached = json!({"cached_read": "0.5", "cache_write": "2.5"});
        let answer = send(&stage, Method::PATCH, PRICE, &cached).await;
        assert_eq!(answer.status, 200, "{}", answer.text());

        let usage = json!({
            "prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
            "completion_tokens_details": {"reasoning_tokens": 9},
        });
        let mut body: Value = serde_json::from_slice(&whole("Hello").body_bytes()).unwrap();
        body["usage"] = usage;
        stage.first_answers(Scripted::json(200, &body));
        let asked = stage.ask(false).await;
        let nanos = 10 * 2000 + 60 * 500 + 30 * 2500 + 10 * 8000;
        assert_eq!(cost(&stage, &asked).await, [nanos.to_string(), "own-2".into()], "{channel:?}");

        stage.first_answers(streamed(&["Hello", " there"]));
        let asked = stage.ask(true).await;
        let row = stage
            .record(
                &asked,
                ["usage_source", "prompt_tokens", "completion_tokens", "cost_nanos", "price_version"],
            )
            .await;
        let tokens = |column: usize| row[column].parse::<u64>().unwrap();
        let nanos = tokens(1) * 2000 + tokens(2) * 8000;
        assert!(tokens(1) > 0 && tokens(2) > 0, "{row:?}");
        assert_eq!([&row[0], &row[3], &row[4]], ["estimated", &nanos.to_string(), "own-2"], "{channel:?}");

        stage.first_answers(Scripted::error(400));
        let asked = stage.ask(false).await;
        assert_eq!(cost(&stage, &asked).await, UNKNOWN, "nothing was used: {channel:?}");

        let asked = stage.ask_for("echo/anything", false, &[]).await;
        let [nanos, version] = cost(&stage, &asked).await;
        assert!(nanos == "0" && version.starts_with("shipped-20"), "{nanos} {version} {channel:?}");
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_price_is_named_by_kind_and_model_whatever_stands_in_the_name() {
    for channel in CHANNELS {
        let stage = stage(channel).await;
        let shipped =
            send(&stage, Method::GET, "/admin/prices/groq/openai%2Fgpt-oss-120b", &Value::Null).await;
        assert_eq!(
            (shipped.status, &shipped.json()["source"]),
            (200, &json!("shipped")),
            "{}",
            shipped.text()
        );
        assert_eq!(shipped.json()["input"], json!("0.15"));
        let number = json!({"kind": "openai", "upstream_model": "m", "input": 2.5});
        let answer = send(&stage, Method::POST, "/admin/prices", &number).await;
        assert_eq!((answer.status, &answer.json()["error"]["field"]), (400, &json!("input")));

        let list = send(&stage, Method::GET, "/admin/prices?kind=groq&page_size=2", &Value::Null).await;
        let next = format!("/admin/prices?kind=groq&page_token={}", list.header("next-page-token"));
        let rest = send(&stage, Method::GET, &next, &Value::Null).await;
        let names = |answer: &Answer| {
            let lines = answer.json();
            let lines = lines.as_array().unwrap().iter();
            lines.map(|line| line["upstream_model"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let (first, rest) = (names(&list), names(&rest));
        assert!(first.len() == 2 && !rest.is_empty() && first.iter().all(|name| !rest.contains(name)));
        stage.gateway.stop().await;
    }
}
