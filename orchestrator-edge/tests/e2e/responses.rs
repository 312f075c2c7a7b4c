//! OpenAI Responses through the running gateway: recorded exchanges pass byte for byte, other providers are reached by translation,
//! and what a provider stores is found again at that provider alone.

use bytes::Bytes;
use http::Method;
use orchestrator_testkit::{
    fixtures,
    judge::{Body, Judge, Operation},
    provider::{Answer, Cut, Provider},
    recorded,
};
use serde_json::{Value, json};

use crate::gateway::{CHANNELS, CLIENT_KEY, Gateway, PROVIDER_KEY, openai_error};

const RESPONSES: &str = "/responses";
const PATH: &str = "/v1/responses";

#[tokio::test]
async fn every_recorded_exchange_passes_unchanged_and_is_accounted_for() {
    for channel in CHANNELS {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        for (number, recording) in recorded::responses().into_iter().enumerate() {
            let name = format!("r{number}");
            let endpoint = provider.named(&name);
            let asked_once = json!({"max_retries": 0});
            gateway.add_provider(&name, &endpoint.base_url(), asked_once).await;
            let request = recording.request_body.clone().unwrap();
            let judge = Judge::new(
                Operation::Responses,
                PROVIDER_KEY,
                &recording.upstream_model,
                Body::recorded(&request),
            );
            endpoint.judge(RESPONSES, judge.secret(CLIENT_KEY));
            let mut body: Value = serde_json::from_str(&request).unwrap();
            body["model"] = format!("{name}/{}", recording.upstream_model).into();
            for cut in [Cut::Whole, Cut::Seeded(11)] {
                endpoint.route(RESPONSES, recording.answer(&cut));
                let id = format!("{name}-{}", matches!(cut, Cut::Whole));
                let headers = [("content-type", "application/json"), ("x-request-id", &*id)];
                let answer =
                    gateway.client.send(Method::POST, PATH, &headers, Bytes::from(body.to_string())).await;
                let case = format!("{channel:?} {} {cut:?}", recording.file);
                assert_eq!(endpoint.complaints(), Vec::<String>::new(), "{case}");
                let row = gateway.record(&id).await;
                if fails_before_content(&recording) {
                    assert_eq!(answer.status, 502, "{case}");
                    assert!(!openai_error(&answer).2.is_empty(), "{case}");
                    continue;
                }
                assert_eq!(answer.status, recording.status, "{case}");
                assert_eq!(answer.text(), String::from_utf8_lossy(&recording.body), "{case}");
                if let Some(usage) = recorded::usage_of(&recording).filter(|_| recording.status == 200) {
                    assert_eq!(row["prompt_tokens"].as_u64(), usage.prompt, "{case}");
                    assert_eq!(row["completion_tokens"].as_u64(), usage.completion, "{case}");
                    assert_eq!(row["usage_source"], "provider", "{case}");
                }
            }
        }
        gateway.stop().await;
    }
}

/// The answer is a failure under a 200 of which nothing was passed on yet.
fn fails_before_content(recording: &recorded::Recording) -> bool {
    if recording.status != 200 {
        return false;
    }
    if !recording.is_event_stream() {
        return serde_json::from_slice::<Value>(&recording.body).unwrap()["status"] == "failed";
    }
    let text = String::from_utf8_lossy(&recording.body);
    text.contains("event: error") && !text.contains(".delta\n")
}

#[tokio::test]
async fn a_caller_of_chat_reaches_a_provider_of_responses_and_the_other_way_round() {
    for channel in CHANNELS {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        let only = |name: &str| json!({"max_retries": 0, "options": {"dialects": [name]}});
        gateway.add_provider("new", &provider.base_url(), only("openai_responses")).await;
        gateway.add_provider("old", &provider.base_url(), only("openai_chat")).await;
        let published = |operation| Judge::new(operation, PROVIDER_KEY, "m", Body::published());
        provider.judge(RESPONSES, published(Operation::Responses));
        provider.judge("/chat/completions", published(Operation::ChatCompletions));

        provider.route(RESPONSES, fixtures::named("responses").answer(&Cut::Whole));
        let chat = json!({"model": "new/m", "messages": [{"role": "user", "content": "hi"}]});
        let answer = gateway.client.post("/v1/chat/completions", &chat).await;
        assert_eq!(provider.complaints(), Vec::<String>::new(), "{channel:?}");
        let message = &answer.json()["choices"][0]["message"];
        assert_eq!(message["content"], "Zürich is sunny 👋", "{channel:?}");
        assert_eq!(message["tool_calls"][1]["id"], "call_2", "{channel:?}");

        provider.route("/chat/completions", fixtures::named("chat_stream_tool_calls").answer(&Cut::Whole));
        let asked = json!({"model": "old/m", "input": "hi", "stream": true});
        let answer = gateway.client.post(PATH, &asked).await;
        assert_eq!(provider.complaints(), Vec::<String>::new(), "{channel:?}");
        assert!(!answer.text().contains("[DONE]"), "{channel:?}");
        let last =
            answer.text().lines().rev().find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
        let last: Value = serde_json::from_str(&last.unwrap()).unwrap();
        assert_eq!(last["type"], "response.completed", "{channel:?}");
        assert_eq!(last["response"]["output"][1]["call_id"], "call_2", "{channel:?}");
        assert_eq!(last["response"]["usage"]["input_tokens"], 11, "{channel:?}");
        gateway.stop().await;
    }
}

/// A provider that stores the response `id`, and answers for it.
fn storing(provider: &Provider, name: &str, id: &str) -> orchestrator_testkit::provider::Endpoint {
    let endpoint = provider.named(name);
    let response = json!({"id": id, "object": "response", "status": "completed", "model": "m", "output": [], "store": true});
    let json = |body: &Value| Answer::whole(200, "application/json", body.to_string());
    endpoint.route(RESPONSES, json(&response));
    endpoint.route(&format!("/responses/{id}"), json(&response));
    endpoint.route(&format!("/responses/{id}/cancel"), json(&response));
    endpoint.route(&format!("/responses/{id}/input_items"), json(&json!({"object": "list", "data": []})));
    endpoint
}

#[tokio::test]
async fn a_stored_response_leads_back_to_its_provider_and_belongs_to_its_caller() {
    for channel in CHANNELS {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        let endpoints = [storing(&provider, "one", "resp_1"), storing(&provider, "two", "resp_2")];
        let mut ids = Vec::new();
        for (name, endpoint) in ["one", "two"].into_iter().zip(&endpoints) {
            ids.push(gateway.add_provider(name, &endpoint.base_url(), json!({"max_retries": 0})).await);
        }
        gateway.add_model("shared", "m", &[&ids[0], &ids[1]]).await;
        // Made until each of the two has made one.
        let mut made = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let answer = gateway.client.post(PATH, &json!({"model": "shared", "input": "hi"})).await;
            made.insert(
                answer.json()["id"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned(),
            );
            if made.len() == 2 {
                break;
            }
        }
        assert_eq!(made.len(), 2, "{channel:?}");

        for (id, endpoint) in ["resp_1", "resp_2"].into_iter().zip(&endpoints) {
            let before = endpoint.seen().len();
            let next = json!({"model": "shared", "input": "go on", "previous_response_id": id});
            for _ in 0..5 {
                assert_eq!(gateway.client.post(PATH, &next).await.json()["id"], id, "{channel:?}");
            }
            let one = format!("{PATH}/{id}");
            assert_eq!(gateway.client.get(&one).await.json()["id"], id);
            let items = gateway.client.get(&format!("{one}/input_items?limit=2")).await;
            assert_eq!(items.json()["object"], "list", "{}", items.text());
            assert_eq!(gateway.client.post_bytes(&format!("{one}/cancel"), "").await.status, 200);
            let deleted = gateway.client.send(Method::DELETE, &one, &[], Bytes::new()).await;
            assert_eq!(deleted.status, 200, "{channel:?} {}", deleted.text());
            let seen = endpoint.seen().split_off(before + 5);
            let asked: Vec<String> =
                seen.iter().map(|seen| format!("{} {}?{}", seen.method, seen.path, seen.query)).collect();
            let ends = ["GET", "/input_items?limit=2", "/cancel?", "DELETE"];
            assert_eq!(asked.len(), 4, "{asked:?}");
            assert!(asked.iter().zip(ends).all(|(asked, end)| asked.contains(end)), "{asked:?}");
            let key = format!("Bearer {PROVIDER_KEY}");
            assert!(seen.iter().all(|seen| seen.header("authorization") == Some(&*key)));
            // Deleted is deleted.
            assert_eq!(gateway.client.get(&one).await.status, 404);
        }

        let unknown = gateway.client.get("/v1/responses/resp_9").await;
        assert_eq!(unknown.status, 404);
        assert!(openai_error(&unknown).2.contains("resp_9"));

        // Another caller's key finds nothing, and cannot go on from it either.
        let made = gateway.client.post(PATH, &json!({"model": "one/m", "input": "hi"})).await;
        assert_eq!(made.json()["id"], "resp_1");
        let key = gateway.admin.post("/admin/keys", &json!({"name": "other"})).await.json();
        let other = gateway.client.with_key(Some(key["secret"].as_str().unwrap()));
        assert_eq!(other.get("/v1/responses/resp_1").await.status, 404, "{channel:?}");
        let stolen = json!({"model": "one/m", "input": "go on", "previous_response_id": "resp_1"});
        let refused = other.post(PATH, &stolen).await;
        assert_eq!(
            (refused.status, openai_error(&refused).0.as_deref()),
            (400, Some("previous_response_id"))
        );
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_stored_response_is_streamed_again_and_gone_on_from_without_a_model() {
    for channel in CHANNELS {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        let endpoint = storing(&provider, "one", "resp_1");
        gateway.add_provider("one", &endpoint.base_url(), json!({"max_retries": 0})).await;
        let made = gateway.client.post(PATH, &json!({"model": "one/m", "input": "hi"})).await;
        assert_eq!(made.json()["id"], "resp_1");

        let next = json!({"input": "go on", "previous_response_id": "resp_1"});
        assert_eq!(gateway.client.post(PATH, &next).await.json()["id"], "resp_1", "{channel:?}");
        assert_eq!(endpoint.seen().last().unwrap().json()["model"], "m", "{channel:?}");
        for unknown in [json!({"previous_response_id": "resp_9"}), json!({"prompt": {"id": "pmpt_1"}})] {
            let answer = gateway.client.post(PATH, &unknown).await;
            assert_eq!((answer.status, openai_error(&answer).0.as_deref()), (400, Some("model")));
        }

        let events = fixtures::named("responses_stream").answer(&Cut::Seeded(3));
        endpoint.route("/responses/resp_1", events.clone());
        let query = "stream=true&starting_after=0";
        let id = [("x-request-id", "again")];
        let path = format!("{PATH}/resp_1?{query}");
        let again = gateway.client.send(Method::GET, &path, &id, Bytes::new()).await;
        assert_eq!((again.status, &again.body), (200, &events.body_bytes()), "{channel:?}");
        assert_eq!(again.header("content-type"), "text/event-stream");
        assert_eq!(endpoint.seen().last().unwrap().query, query);
        let row = gateway.record("again").await;
        assert_eq!(
            (&row["outcome"], &row["status"], &row["completion_tokens"]),
            (&json!("ok"), &json!(200), &json!(0))
        );

        endpoint.route("/responses/resp_1", events.fin_after(900));
        let cut = gateway.client.get(&path).await;
        assert!(cut.text().contains("event: error\n"), "{channel:?}: {}", cut.text());
        gateway.stop().await;
    }
}

#[tokio::test]
async fn what_only_one_provider_has_is_told_to_no_other() {
    let (gateway, provider) = (Gateway::start(CHANNELS[0]).await, Provider::start().await);
    let compatible = json!({"kind": "openai_compatible"});
    gateway.add_provider("old", &provider.base_url(), compatible).await;
    let fields = [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("prompt", json!({"id": "pmpt_1"})),
        ("background", json!(true)),
    ];
    for (field, value) in fields {
        let mut body = json!({"model": "old/m", "input": "hi"});
        body[field] = value;
        let answer = gateway.client.post(PATH, &body).await;
        assert_eq!((answer.status, openai_error(&answer).0.as_deref()), (400, Some(field)));
    }
    assert!(provider.seen().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_web_socket_is_declined_at_once() {
    let gateway = Gateway::start(CHANNELS[0]).await;
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
    for prefix in ["/v1", "/openai/v1", "/api/v1"] {
        let path = format!("{prefix}/responses");
        let answer = gateway.client.send(Method::GET, &path, &upgrade, Bytes::new()).await;
        assert_eq!(answer.status, 426, "{path}: {}", answer.text());
        let plain = gateway.client.get(&path).await;
        assert_eq!((plain.status, plain.header("allow")), (405, "POST"));
    }
    gateway.stop().await;
}
