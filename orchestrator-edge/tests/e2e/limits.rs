//! Limits and budgets over the wire: what callers are told, and what the books say afterwards.

use http::Method;
use orchestrator_testkit::provider::Provider;
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client},
    gateway::{CHANNELS, Channel, Gateway, openai_error},
    stage::{Stage, whole},
};

const HEADERS: [&str; 3] = ["retry-after", "x-should-retry", "content-type"];

async fn stage(channel: Channel) -> Stage {
    let stage = Stage::of_one(channel, |_| {}, json!({"max_retries": 0})).await;
    stage.first_answers(whole("Hello"));
    let price = json!({"kind": "openai", "upstream_model": "m-upstream", "input": "1000", "output": "1000"});
    stage.gateway.create_price(&price).await;
    stage
}

/// A caller with limits, and its key's id.
async fn caller(gateway: &Gateway, limits: Value) -> (Client, String) {
    let mut body = json!({"name": "limited"});
    body.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
    let answer = gateway.admin.post("/admin/keys", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let (secret, id) = (answer.json()["secret"].clone(), answer.json()["id"].clone());
    (gateway.client.with_key(secret.as_str()), id.as_str().unwrap().to_owned())
}

fn chat(max_tokens: u32) -> Value {
    json!({"model": "m", "max_tokens": max_tokens, "messages": [{"role": "user", "content": "hi"}]})
}

/// The headers about limits, and those that say whether to come back.
fn told(answer: &Answer) -> Vec<String> {
    let is_told = |name: &str| name.contains("ratelimit") || HEADERS.contains(&name);
    let headers = answer.headers.iter().filter(|(name, _)| is_told(name.as_str()));
    let mut lines: Vec<String> =
        headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn three_dialects_are_refused_in_their_own_words_with_the_headers_that_their_clients_read() {
    for channel in CHANNELS {
        let stage = stage(channel).await;
        let (caller, _) = caller(&stage.gateway, json!({"requests_per_minute": 1})).await;
        let answer = caller.post("/v1/chat/completions", &chat(9)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            told(&answer),
            [
                "content-type: application/json",
                "x-ratelimit-limit-requests: 1",
                "x-ratelimit-remaining-requests: 0",
                "x-ratelimit-reset-requests: 1m0s",
            ]
        );
        let refused = caller.post("/v1/chat/completions", &chat(9)).await;
        let (_, code, message) = openai_error(&refused);
        assert_eq!((refused.status, code.as_deref()), (429, Some("rate_limit_exceeded")), "{channel:?}");
        assert!(
            message.starts_with("this API key is limited to 1 request a minute; try again in "),
            "{message}"
        );
        let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((50..=60).contains(&wait), "{wait}");
        assert_eq!(refused.headers["x-ratelimit-remaining-requests"], "0");

        let refused = caller.post("/v1/messages", &chat(9)).await;
        assert_eq!(refused.status, 429);
        assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
        assert_eq!(refused.headers["anthropic-ratelimit-requests-limit"], "1");
        let reset = refused.headers["anthropic-ratelimit-requests-reset"].to_str().unwrap();
        assert!(reset.len() == 20 && reset.ends_with('Z'), "{reset}");

        let contents = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
        let refused = caller.post("/v1beta/models/m:generateContent", &contents).await;
        assert_eq!((refused.status, &refused.json()["error"]["status"]), (429, &"RESOURCE_EXHAUSTED".into()));
        let details = refused.json()["error"]["details"].to_string();
        assert!(details.contains("RetryInfo") && details.contains("QuotaFailure"), "{details}");
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_budget_is_spent_to_the_end_and_log_book_and_caller_agree() {
    for channel in CHANNELS {
        let stage = stage(channel).await;
        let team = json!({"name": "crew", "budget_usd": 100, "budget_period": "month"});
        stage.gateway.create("/admin/teams", &team).await;
        // The provider says three tokens read and five written, a thousandth of a dollar each.
        let limits = json!({"budget_usd": 0.05, "budget_period": "total", "team": "crew"});
        let (caller, id) = caller(&stage.gateway, limits).await;
        let mut spent = 0;
        loop {
            let answer = caller.post("/v1/chat/completions", &chat(5)).await;
            if answer.status != 200 {
                let (_, code, message) = openai_error(&answer);
                assert_eq!((answer.status, code.as_deref()), (429, Some("insufficient_quota")), "{message}");
                assert_eq!(answer.json()["error"]["type"], "insufficient_quota");
                assert_eq!(answer.headers["x-should-retry"], "false");
                break;
            }
            spent += 8_000_000;
        }
        assert!(spent > 0 && spent <= 50_000_000, "{spent}");
        stage.gateway.logs(spent / 8_000_000 + 1).await;
        let sum = "SELECT SUM(charged_nanos) AS charged, SUM(cost_nanos) AS cost FROM request_logs";
        let rows = stage.gateway.rows(sum).await;
        assert_eq!((&rows[0]["charged"], &rows[0]["cost"]), (&json!(spent), &json!(spent)), "{channel:?}");
        let book = stage.gateway.rows("SELECT scope, charged_nanos FROM budget_spend ORDER BY scope").await;
        assert_eq!(book.len(), 2, "{book:?}");
        assert_eq!(book[0], json!({"scope": format!("key:{id}"), "charged_nanos": spent}));
        assert_eq!(book[1]["charged_nanos"], json!(spent));

        // Whoever starts again finds it spent.
        let data = stage.gateway.stop().await;
        let again = Gateway::start_on(channel, data, |_| {}).await;
        let caller = Client::new(&format!("http://{}", again.rest), "x").with_key(caller.key());
        let answer = caller.post("/v1/chat/completions", &chat(5)).await;
        assert_eq!(answer.status, 429, "{}", answer.text());
        again.stop().await;
    }
}

#[tokio::test]
async fn a_budget_that_runs_out_is_an_alert_that_an_operator_acknowledges() {
    for channel in CHANNELS {
        let listener = Provider::start().await;
        let hook = listener.named("hook");
        hook.route("alert", whole("thanks"));
        let url = format!("{}/alert", hook.base_url());
        let set = move |config: &mut orchestrator_base::config::Config| {
            config.alerts.webhook_url = Some(url.into());
            config.alerts.budget_percent = vec![40];
        };
        let stage = Stage::of_one(channel, set, json!({"max_retries": 0})).await;
        stage.first_answers(whole("Hello"));
        let price =
            json!({"kind": "openai", "upstream_model": "m-upstream", "input": "1000", "output": "1000"});
        stage.gateway.create_price(&price).await;
        let limits = json!({"budget_usd": 0.036, "budget_period": "day"});
        let (caller, id) = caller(&stage.gateway, limits).await;
        for _ in 0..2 {
            let answer = caller.post("/v1/chat/completions", &chat(5)).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let alert = loop {
            let alerts = stage.gateway.admin.get("/admin/alerts?open_only=true").await;
            assert_eq!(alerts.status, 200, "{}", alerts.text());
            if let Some(alert) = alerts.json().as_array().unwrap().first() {
                break alert.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };
        assert_eq!(
            (&alert["kind"], &alert["subject"]),
            (&"budget_threshold".into(), &format!("key:{id}").into())
        );
        assert_eq!(
            alert["message"],
            "the API key limited has spent 0.016 of its 0.036 dollars of a day: 40 % is reached"
        );
        let path = format!("/admin/alerts/{}/acknowledge", alert["id"].as_str().unwrap());
        let known = stage.gateway.admin.send(Method::POST, &path, &[], bytes::Bytes::new()).await;
        assert_eq!(known.status, 200, "{}", known.text());
        assert!(known.json()["acknowledged_at"].is_string());
        assert_eq!(stage.gateway.admin.get("/admin/alerts?open_only=true").await.json(), json!([]));
        let seen = loop {
            if let Some(seen) = hook.seen().first() {
                break seen.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!((&body["id"], &body["message"]), (&alert["id"], &alert["message"]));
        stage.gateway.stop().await;
    }
}
