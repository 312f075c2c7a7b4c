//! Callers' keys and teams as operators and callers meet them: every field over REST, secrets that are rotated, what one core revokes and
//! another refuses, and the table of who may come in where.

pub(crate) mod isolation;

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    client::{Answer, Client},
    gateway::{CHANNELS, Channel, Gateway, openai_error},
};

const CHAT: &str = "/v1/chat/completions";

async fn ask(client: &Client) -> Answer {
    client.post(CHAT, &json!({"model": "echo", "messages": [{"role": "user", "content": "hi"}]})).await
}

async fn patch(gateway: &Gateway, path: &str, body: Value) -> Answer {
    gateway.admin.send(Method::PATCH, path, &[], body.to_string().into()).await
}

async fn changed(gateway: &Gateway, path: &str, body: Value) -> Value {
    let answer = patch(gateway, path, body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn delete(gateway: &Gateway, path: &str) -> Answer {
    gateway.admin.send(Method::DELETE, path, &[], "".into()).await
}

/// Makes a key; gives its path and its secret.
async fn made(gateway: &Gateway, body: &Value) -> (String, String) {
    let made = gateway.admin.post("/admin/keys", body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    (format!("/admin/keys/{}", made["id"].as_str().unwrap()), made["secret"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn every_limit_is_shown_as_it_was_set_and_null_clears_it() {
    for channel in CHANNELS {
        let gateway = Gateway::start(channel).await;
        let limits = json!({"requests_per_minute": 1000, "tokens_per_minute": 1_000_000_000_000_u64, "max_concurrency": 5,
            "budget_usd": 12.345_678_901, "budget_period": "month"});
        let fields =
            ["requests_per_minute", "tokens_per_minute", "max_concurrency", "budget_usd", "budget_period"];
        for (noun, name) in [("keys", "limited"), ("teams", "limited")] {
            let mut body = limits.clone();
            body["name"] = name.into();
            let created = gateway.admin.post(&format!("/admin/{noun}"), &body).await;
            assert_eq!(created.status, 201, "{}", created.text());
            // Digit by digit, as it stands in the text.
            assert!(created.text().contains(r#""budget_usd":12.345678901,"#), "{}", created.text());
            let path = format!("/admin/{noun}/{}", created.json()["id"].as_str().unwrap());
            for field in fields {
                assert_eq!(gateway.admin.get(&path).await.json()[field], limits[field], "{noun} {field}");
            }
            let less = changed(&gateway, &path, json!({"budget_usd": null, "tokens_per_minute": null})).await;
            assert_eq!(
                fields.map(|field| &less[field]),
                [&json!(1000), &Value::Null, &json!(5), &Value::Null, &json!("")],
                "{noun}: what is not named stays, and a period goes with its budget"
            );
            let again =
                changed(&gateway, &path, json!({"budget_usd": 0.000_000_001, "budget_period": "day"})).await;
            assert_eq!((&again["budget_usd"], &again["budget_period"]), (&json!(1e-9), &json!("day")));
            for (body, field) in [
                (json!({"requests_per_minute": 0}), "requests_per_minute"),
                (json!({"tokens_per_minute": 1_000_000_000_001_u64}), "tokens_per_minute"),
                (json!({"max_concurrency": 1_000_001}), "max_concurrency"),
                (json!({"budget_usd": -1}), "budget_usd"),
                (json!({"budget_usd": 0.000_000_000_1}), "budget_usd"),
                (json!({"budget_period": "week"}), "budget_period"),
                (json!({"budget_period": null}), "budget_period"),
            ] {
                let answer = patch(&gateway, &path, body.clone()).await;
                assert_eq!((answer.status, &answer.json()["error"]["field"]), (400, &json!(field)), "{body}");
            }
        }
        let model = json!({"name": "m", "requests_per_minute": 7, "tokens_per_minute": 9});
        let path = format!("/admin/models/{}", gateway.create("/admin/models", &model).await);
        let less = changed(&gateway, &path, json!({"requests_per_minute": null})).await;
        assert_eq!((&less["requests_per_minute"], &less["tokens_per_minute"]), (&Value::Null, &json!(9)));
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_team_holds_its_keys_together() {
    for channel in CHANNELS {
        let gateway = Gateway::start(channel).await;
        let orphan = gateway.admin.post("/admin/keys", &json!({"name": "ci", "team": "blue"})).await;
        assert_eq!(
            (orphan.status, &orphan.json()["error"]["field"]),
            (400, &json!("team")),
            "{}",
            orphan.text()
        );
        let team = gateway.create("/admin/teams", &json!({"name": "blue", "remark": "r"})).await;
        let team = format!("/admin/teams/{team}");
        let (key, secret) = made(&gateway, &json!({"name": "ci", "team": "blue"})).await;
        let caller = gateway.client.with_key(Some(&secret));
        assert_eq!(ask(&caller).await.status, 200, "{channel:?}");

        assert_eq!(changed(&gateway, &team, json!({"name": "navy"})).await["name"], "navy");
        assert_eq!(gateway.admin.get(&key).await.json()["team"], "navy", "{channel:?}");
        assert_eq!(gateway.admin.get("/admin/teams/navy").await.json()["remark"], "r");
        let kept = delete(&gateway, &team).await;
        assert_eq!(kept.status, 409, "{}", kept.text());
        assert!(kept.json()["error"]["message"].as_str().unwrap().contains("ci"), "{}", kept.text());

        changed(&gateway, &team, json!({"enabled": false})).await;
        let refused = ask(&caller).await;
        assert_eq!(
            (refused.status, openai_error(&refused).2.as_str()),
            (401, "the API key's team is disabled")
        );
        assert_eq!(refused.header("x-should-retry"), "false");
        changed(&gateway, &team, json!({"enabled": true})).await;
        assert_eq!(ask(&caller).await.status, 200);

        changed(&gateway, &key, json!({"team": null})).await;
        assert_eq!(delete(&gateway, &team).await.status, 204);
        assert_eq!(gateway.admin.get("/admin/teams").await.json(), json!([]));
        let log = gateway.admin.get("/admin/audit?noun=team").await.json();
        let mut actions: Vec<&str> =
            log.as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
        actions.sort_unstable();
        assert_eq!(actions, ["create", "delete", "update", "update", "update"], "{channel:?}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_secret_is_shown_once_and_its_last_use_is_known() {
    for channel in CHANNELS {
        let gateway = Gateway::start(channel).await;
        let (path, first) = made(&gateway, &json!({"name": "ci"})).await;
        let fresh = gateway.admin.get(&path).await.json();
        assert_eq!((&fresh["last_used_at"], &fresh["previous_until"]), (&Value::Null, &Value::Null));
        assert!(
            fresh.get("secret").is_none() && first.starts_with(fresh["prefix"].as_str().unwrap()),
            "{fresh}"
        );

        let rotated = gateway.admin.post(&format!("{path}/rotate"), &json!({"overlap_seconds": 3600})).await;
        assert_eq!(rotated.status, 200, "{}", rotated.text());
        let second = rotated.json()["secret"].as_str().unwrap().to_owned();
        assert!(second != first && rotated.json()["previous_until"].is_string(), "{}", rotated.text());
        for secret in [&first, &second] {
            assert_eq!(ask(&gateway.client.with_key(Some(secret))).await.status, 200, "{channel:?}");
        }
        let third = gateway.admin.post_bytes(&format!("{path}/rotate"), "").await.json();
        assert_eq!(third["previous_until"], Value::Null, "without an overlap there is none");
        for secret in [&first, &second] {
            let refused = ask(&gateway.client.with_key(Some(secret))).await;
            assert_eq!(refused.status, 401, "{channel:?}");
            assert_eq!(openai_error(&refused).2, "the API key is not known here");
        }
        let third = third["secret"].as_str().unwrap();
        let typo = format!("{}{}", &third[..third.len() - 1], if third.ends_with('x') { "y" } else { "x" });
        let refused = ask(&gateway.client.with_key(Some(&typo))).await;
        assert!(openai_error(&refused).2.contains("checksum"), "{}", refused.text());
        let too_long =
            gateway.admin.post(&format!("{path}/rotate"), &json!({"overlap_seconds": 2_592_001})).await;
        assert_eq!((too_long.status, &too_long.json()["error"]["field"]), (400, &json!("overlap_seconds")));

        gateway.logs(2).await;
        let used = gateway.admin.get(&path).await.json();
        let latest =
            gateway.rows("SELECT max(started_at) AS at FROM request_logs WHERE api_key_name = 'ci'").await;
        let seconds =
            used["last_used_at"].as_str().unwrap_or_else(|| panic!("{used}")).rsplit_once('.').unwrap();
        let micros = latest[0]["at"].as_i64().unwrap() % 1_000_000;
        assert_eq!(
            seconds.1.trim_end_matches('Z').parse::<i64>().unwrap() * 10_i64.pow(7 - seconds.1.len() as u32),
            micros
        );
        let listed = gateway.admin.get("/admin/keys").await.json();
        let listed = listed.as_array().unwrap().iter().find(|key| key["name"] == "ci").unwrap().clone();
        assert_eq!(listed, used, "{channel:?}");
        gateway.stop().await;
    }
}

/// How long a change of one core may take to hold in another.
const WITHIN: Duration = Duration::from_secs(1);

/// Waits until a caller gets this status.
async fn until(caller: &Client, status: u16, what: &str) {
    let began = Instant::now();
    loop {
        let answer = ask(caller).await;
        if answer.status == status {
            return;
        }
        assert!(
            began.elapsed() < WITHIN,
            "{what}: still {} after a second: {}",
            answer.status,
            answer.text()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_one_core_revokes_the_other_refuses_within_a_second() {
    let master = |config: &mut orchestrator_base::config::Config| {
        config.keys.master = Some("one-master-key-for-both-0123456789abcdef".into());
    };
    let one = Gateway::start_with(Channel::Embedded, master).await;
    let url = format!("sqlite://{}", one.database.display());
    let both = |config: &mut orchestrator_base::config::Config| {
        master(config);
        config.database.url = Some(url.into());
    };
    let two = Gateway::start_with(Channel::Split, both).await;
    let team = format!("/admin/teams/{}", one.create("/admin/teams", &json!({"name": "blue"})).await);
    let (key, secret) = made(&one, &json!({"name": "ci", "team": "blue"})).await;
    let there = two.client.with_key(Some(&secret));
    until(&there, 200, "made").await;
    for (path, off, on) in [
        (&key, json!({"enabled": false}), json!({"enabled": true})),
        (&key, json!({"expires_at": "2020-01-01T00:00:00Z"}), json!({"expires_at": null})),
        (&team, json!({"enabled": false}), json!({"enabled": true})),
    ] {
        changed(&one, path, off.clone()).await;
        until(&there, 401, &off.to_string()).await;
        changed(&one, path, on.clone()).await;
        until(&there, 200, &on.to_string()).await;
    }
    let rotated = one.admin.post(&format!("{key}/rotate"), &json!({"overlap_seconds": 2})).await.json();
    let rotated_at = Instant::now();
    let new = two.client.with_key(Some(rotated["secret"].as_str().unwrap()));
    until(&new, 200, "rotated").await;
    assert_eq!(ask(&there).await.status, 200, "both are taken");
    tokio::time::sleep_until(rotated_at + Duration::from_secs(2)).await;
    assert_eq!(ask(&there).await.status, 401, "the overlap ends by the clock, with no look at the database");
    assert_eq!(delete(&one, &key).await.status, 204);
    until(&new, 401, "deleted").await;
    two.stop().await;
    one.stop().await;
}
