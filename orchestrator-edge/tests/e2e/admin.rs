//! Admin as operators use it, over REST and gRPC: each noun from its making to its end, each change live when the call returns,
//! each field with its effect, and no secret where somebody could read it.

mod fields;
mod operators;
mod over_grpc;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use http::Method;
use orchestrator_testkit::provider::{Answer as Scripted, Endpoint, Provider};
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client},
    gateway::{ADMIN_KEY, CHANNELS, CLIENT_KEY, Channel, Gateway, PROVIDER_KEY},
};

const CHAT: &str = "/v1/chat/completions";

fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

/// Lets a provider answer every chat with its own name.
fn answering(provider: &Endpoint, name: &str) {
    let answer = json!({"id": "c1", "object": "chat.completion", "model": "m", "choices":
        [{"index": 0, "message": {"role": "assistant", "content": name}, "finish_reason": "stop"}]});
    provider.route("chat/completions", Scripted::json(200, &answer));
}

fn text(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

async fn patch(gateway: &Gateway, path: &str, body: Value) -> Answer {
    gateway.admin.send(Method::PATCH, path, &[], body.to_string().into()).await
}

async fn change(gateway: &Gateway, path: &str, body: Value) -> Value {
    let answer = patch(gateway, path, body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn delete(client: &Client, path: &str) -> u16 {
    client.send(Method::DELETE, path, &[], "".into()).await.status
}

/// The error's field and message.
fn refused(answer: &Answer, status: u16) -> (String, String) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let error = &answer.json()["error"];
    assert!(error["code"].is_string(), "{error}");
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    (text("field"), text("message"))
}

#[tokio::test]
async fn each_noun_lives_from_its_making_to_its_end() {
    for channel in CHANNELS {
        let gateway = Gateway::start(channel).await;
        for prefix in ["/admin", "/api/admin"] {
            let provider =
                json!({"name": "p", "kind": "openai_compatible", "base_url": "http://127.0.0.1:9/v1"});
            let provider = gateway.create(&format!("{prefix}/providers"), &provider).await;
            let model = gateway.create(&format!("{prefix}/models"), &json!({"name": "m"})).await;
            let association = json!({"model_id": model, "provider_id": provider});
            let nouns = [
                (format!("{prefix}/providers/{provider}/keys"), json!({"label": "l", "secret": "s"})),
                (format!("{prefix}/model-providers"), association),
                (format!("{prefix}/keys"), json!({"name": "k"})),
                (format!("{prefix}/models"), json!({"name": "m2"})),
                (format!("{prefix}/providers"), json!({"name": "p2", "kind": "openai"})),
            ];
            for (list, body) in nouns {
                let before = gateway.admin.get(&list).await.json().as_array().unwrap().len();
                let id = gateway.create(&list, &body).await;
                let one = format!("{list}/{id}");
                let made = gateway.admin.get(&one).await.json();
                assert_eq!(
                    (made["id"].as_str(), made["enabled"].as_bool()),
                    (Some(&*id), Some(true)),
                    "{made}"
                );
                assert_eq!(change(&gateway, &one, json!({"enabled": false})).await["enabled"], false);
                assert_eq!(gateway.admin.get(&one).await.json()["enabled"], false, "{one}");
                let listed = gateway.admin.get(&list).await.json();
                assert_eq!(listed.as_array().unwrap().len(), before + 1, "{listed}");
                assert_eq!(delete(&gateway.admin, &one).await, 204, "{one}");
                refused(&gateway.admin.get(&one).await, 404);
                assert_eq!(delete(&gateway.admin, &one).await, 404, "{one}");
            }
            for path in [format!("{prefix}/models/{model}"), format!("{prefix}/providers/{provider}")] {
                assert_eq!(delete(&gateway.admin, &path).await, 204, "{path}");
            }
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_change_is_live_when_the_call_returns() {
    for channel in CHANNELS {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        answering(&provider.named("a"), "a");
        let ask = async || gateway.client.post(CHAT, &chat("live")).await;
        assert_eq!(ask().await.status, 404);
        let id = gateway.add_provider("a", &provider.named("a").base_url(), json!({})).await;
        let model = gateway.add_model("live", "upstream", &[&id]).await;
        assert_eq!(text(&ask().await), "a");

        let provider_path = format!("/admin/providers/{id}");
        let key = gateway.admin.get(&format!("{provider_path}/keys")).await.json()[0]["id"].clone();
        let key_path = format!("{provider_path}/keys/{}", key.as_str().unwrap());
        let associations =
            gateway.admin.get(&format!("/admin/model-providers?model_id={model}")).await.json();
        let status = format!("/admin/model-providers/{}/status", associations[0]["id"].as_str().unwrap());
        for (path, without) in [
            (provider_path.clone(), 400),
            (key_path, 400),
            (status, 400),
            (format!("/admin/models/{model}"), 404),
        ] {
            change(&gateway, &path, json!({"enabled": false})).await;
            assert_eq!(ask().await.status, without, "{path} off");
            change(&gateway, &path, json!({"enabled": true})).await;
            assert_eq!(ask().await.status, 200, "{path} on");
        }
        assert!(provider.named("a").seen().iter().all(|seen| seen.header("authorization").is_some()));

        let made = gateway.admin.post("/admin/keys", &json!({"name": "new"})).await.json();
        let caller = gateway.client.with_key(made["secret"].as_str());
        let key_path = format!("/admin/keys/{}", made["id"].as_str().unwrap());
        assert_eq!(caller.post(CHAT, &chat("live")).await.status, 200);
        change(&gateway, &key_path, json!({"enabled": false})).await;
        assert_eq!(caller.post(CHAT, &chat("live")).await.status, 401);
        change(&gateway, &key_path, json!({"enabled": true, "expires_at": "2020-01-01T00:00:00Z"})).await;
        assert_eq!(caller.post(CHAT, &chat("live")).await.status, 401);
        change(&gateway, &key_path, json!({"expires_at": null})).await;
        assert_eq!(caller.post(CHAT, &chat("live")).await.status, 200, "null takes the end away");
        assert_eq!(delete(&gateway.admin, &key_path).await, 204);
        assert_eq!(caller.post(CHAT, &chat("live")).await.status, 401);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn another_core_on_the_same_database_sees_a_change_within_a_second() {
    let first = Gateway::start(Channel::Embedded).await;
    let master = fs::read_to_string(first.database.with_file_name("master.key")).unwrap();
    let url = format!("sqlite://{}", first.database.display());
    let second = Gateway::start_with(Channel::Embedded, |config| {
        config.database.url = Some(url.into());
        config.keys.master = Some(master.trim().into());
    });
    let second = second.await;
    let made = first.admin.post("/admin/keys", &json!({"name": "new"})).await.json();
    let caller = second.client.with_key(made["secret"].as_str());
    let seen = async |wanted: u16| {
        for _ in 0..50 {
            if caller.post(CHAT, &chat("echo")).await.status == wanted {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    };
    assert!(seen(200).await, "a key made at the first core");
    assert_eq!(delete(&first.admin, &format!("/admin/keys/{}", made["id"].as_str().unwrap())).await, 204);
    assert!(seen(401).await, "and deleted there");
    second.stop().await;
    first.stop().await;
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test]
async fn secrets_are_told_once_or_never_and_lie_nowhere_in_plain() {
    for channel in CHANNELS {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        answering(&provider.named("a"), "a");
        let id = gateway.add_provider("a", &provider.named("a").base_url(), json!({})).await;
        gateway.add_model("m", "m", &[&id]).await;
        let second = json!({"label": "second", "secret": "sk-second-canary-0123456789"});
        let keys = format!("/admin/providers/{id}/keys");
        let made = gateway.admin.post(&keys, &second).await;
        assert_eq!(made.status, 201);
        let made_key = gateway.admin.post("/admin/keys", &json!({"name": "caller"})).await.json();
        let caller_secret = made_key["secret"].as_str().unwrap();
        let stored = rows(&gateway, "SELECT * FROM api_keys WHERE name = 'caller'").await;
        assert!(!stored.to_string().contains(caller_secret), "{stored}");
        assert!(caller_secret.starts_with(made_key["prefix"].as_str().unwrap()), "{made_key}");
        assert_eq!(gateway.client.with_key(Some(caller_secret)).post(CHAT, &chat("m")).await.status, 200);
        gateway.logs(1).await;

        let mut told = made.text();
        for path in ["/admin/providers", &keys, "/admin/keys", "/v1/models"] {
            told.push_str(&gateway.admin.get(path).await.text());
        }
        assert!(told.contains("sk-s") && told.contains('…'), "masked ends: {told}");
        let secrets = ["sk-second-canary-0123456789", PROVIDER_KEY, caller_secret, ADMIN_KEY, CLIENT_KEY];
        assert!(secrets.iter().all(|secret| !told.contains(secret)), "{told}");
        let all = files(gateway.database.parent().unwrap());
        assert!(all.iter().any(|path| path.to_string_lossy().contains("journal")), "{all:?}");
        for path in all {
            let bytes = fs::read(&path).unwrap();
            let plain = |secret: &&&str| holds(&bytes, secret.as_bytes());
            assert_eq!(secrets.iter().find(plain), None, "in {}", path.display());
        }
        gateway.stop().await;
    }
}

fn holds(bytes: &[u8], sought: &[u8]) -> bool {
    bytes.windows(sought.len()).any(|window| window == sought)
}

async fn rows(gateway: &Gateway, query: &'static str) -> Value {
    orchestrator_testkit::sqlite::rows(&gateway.database, query).await.into()
}

#[tokio::test]
async fn only_an_admin_key_opens_admin() {
    for channel in CHANNELS {
        let gateway = Gateway::start(channel).await;
        for key in [None, Some("wrong"), Some(CLIENT_KEY)] {
            let stranger = gateway.admin.with_key(key);
            for path in ["/admin/verify", "/api/admin/providers", "/admin/keys"] {
                refused(&stranger.get(path).await, 401);
            }
            refused(&stranger.post("/admin/keys", &json!({"name": "mine"})).await, 401);
            assert_eq!(delete(&stranger, "/admin/keys/any").await, 401);
        }
        let nobody = gateway.admin.with_key(None);
        let by_header = [("x-admin-key", ADMIN_KEY)];
        assert_eq!(nobody.send(Method::GET, "/admin/verify", &by_header, "".into()).await.status, 200);
        let other = [("x-admin-key", "wrong")];
        refused(&gateway.admin.send(Method::GET, "/admin/verify", &other, "".into()).await, 401);
        assert_eq!(gateway.admin.post(CHAT, &chat("echo")).await.status, 401, "an admin key calls no model");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn mistakes_are_named() {
    for channel in CHANNELS {
        let gateway = Gateway::start(channel).await;
        let provider = |more: Value| {
            let mut body = json!({"name": "p", "kind": "openai"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            ("/admin/providers", body)
        };
        let key = |more: Value| {
            let mut body = json!({"name": "k"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            ("/admin/keys", body)
        };
        for ((path, body), field, says) in [
            (provider(json!({"priorty": 1})), "priorty", "`priority`"),
            (provider(json!({"timeouts": {"idle": 1}})), "timeouts.idle", "`timeouts.idle`"),
            (provider(json!({"timeouts": {"idle_m": 1}})), "timeouts.idle_m", "`idle_ms`"),
            (provider(json!({"priority": "high"})), "priority", "priority"),
            (provider(json!({"priority": 1001})), "priority", "0 to 1000"),
            (provider(json!({"name": "a b"})), "name", "letters"),
            (provider(json!({"kind": "tomorrow"})), "kind", "must be one of"),
            (provider(json!({"rate_limit": 0})), "rate_limit", "rate_limit"),
            (provider(json!({"base_url": "http://169.254.169.254/v1"})), "base_url", "metadata"),
            (provider(json!({"base_url": "http://[fe80::1]/v1"})), "base_url", "link-local"),
            (provider(json!({"headers": {"authorization": "x"}})), "headers", "authorization"),
            (provider(json!({"options": {"dialects": ["openai_chats"]}})), "options.dialects", "openai_chat"),
            (key(json!({"requests_per_minute": 0})), "requests_per_minute", "1 to 1000000"),
            (key(json!({"tokens_per_minute": "many"})), "tokens_per_minute", "tokens_per_minute"),
            (key(json!({"max_concurrency": -1})), "max_concurrency", "max_concurrency"),
            (key(json!({"budget_usd": 5})), "budget_period", "day, month or total"),
            (key(json!({"budget_usd": 9e10, "budget_period": "day"})), "budget_usd", "9000000000"),
            (key(json!({"budget_period": "day"})), "budget_period", "budget_usd"),
            (key(json!({"team": "nobody"})), "team", "nobody"),
            (key(json!({"operations": ["chats"]})), "operations[0]", "chat, completions"),
            (key(json!({"expires_at": "soon"})), "expires_at", "expires_at"),
            (("/admin/models", json!({"name": "m", "fallbacks": ["nobody"]})), "fallbacks[0]", "nobody"),
            (("/admin/models", json!({"name": "m", "strategy": "random"})), "strategy", "priority"),
        ] {
            let answer = gateway.admin.post(path, &body).await;
            let (named, message) = refused(&answer, 400);
            assert_eq!(named, field, "{body}: {message}");
            assert!(message.contains(says), "{body}: {message}");
        }
        refused(&gateway.admin.post("/admin/models", &json!({"name": "echo"})).await, 409);
        refused(&gateway.admin.post_bytes("/admin/models", "{").await, 400);
        refused(&gateway.admin.post_bytes("/admin/models", "[]").await, 400);
        let nobody = json!({"model_id": "none", "provider_id": "none"});
        let answer = gateway.admin.post("/admin/model-providers", &nobody).await;
        assert!((400..500).contains(&answer.status), "{}", answer.text());
        assert!(answer.json()["error"]["field"].is_string(), "{}", answer.text());
        gateway.stop().await;
    }
}

#[tokio::test]
async fn lists_come_in_pages_and_null_clears() {
    for channel in CHANNELS {
        let gateway = Gateway::start(channel).await;
        for number in 0..4 {
            gateway.create("/admin/keys", &json!({"name": format!("k{number}")})).await;
        }
        let (mut names, mut token) = (Vec::new(), String::new());
        loop {
            let page = gateway.admin.get(&format!("/admin/keys?page_size=2&page_token={token}")).await;
            let listed = page.json();
            assert!(listed.as_array().unwrap().len() <= 2);
            names.extend(
                listed.as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap().to_owned()),
            );
            token = page.header("next-page-token").to_owned();
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(names[1..], ["k0", "k1", "k2", "k3"], "after the first client's");
        let answer = gateway.admin.get("/admin/keys?page_size=2&page_token=nonsense").await;
        assert_eq!(refused(&answer, 400).0, "page_token");
        refused(&gateway.admin.get("/admin/keys?page_sise=2").await, 400);

        let model = json!({"name": "m", "timeout": 5, "fallbacks": ["echo"], "max_retry": 0});
        let path = format!("/admin/models/{}", gateway.create("/admin/models", &model).await);
        let changed =
            change(&gateway, &path, json!({"timeout": null, "fallbacks": null, "remark": "r"})).await;
        assert_eq!((&changed["timeout"], &changed["fallbacks"]), (&Value::Null, &json!([])));
        assert_eq!(
            (&changed["max_retry"], &changed["remark"]),
            (&json!(0), &json!("r")),
            "what is not named stays"
        );
        gateway.stop().await;
    }
}
