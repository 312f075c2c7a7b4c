//! Two cores that share a database and a Redis, as their callers meet them; and what they do without it.

use std::time::Duration;

use futures_util::future::join_all;
use orchestrator_base::config::Config;
use orchestrator_testkit::databases::redis::RedisServer;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    client::{Answer, Client},
    gateway::{Channel, Gateway},
};

async fn ask(client: &Client) -> Answer {
    let body = json!({"model": "echo", "messages": [{"role": "user", "content": "hi"}]});
    client.post("/v1/chat/completions", &body).await
}

fn sharing(config: &mut Config, server: &RedisServer) {
    config.keys.master = Some("one-master-key-for-both-0123456789abcdef".into());
    config.redis.enabled = true;
    config.redis.url = server.url().into();
    // A machine that tests is busy.
    (config.redis.checkout_ms, config.redis.command_ms) = (5000, 1000);
}

async fn two(server: &RedisServer) -> [Gateway; 2] {
    let one = Gateway::start_with(Channel::Embedded, |config| sharing(config, server)).await;
    let url = format!("sqlite://{}", one.database.display());
    let both = |config: &mut Config| {
        sharing(config, server);
        config.database.url = Some(url.into());
    };
    let two = Gateway::start_with(Channel::Split, both).await;
    [one, two]
}

/// Makes a key, and gives callers of both cores that have it.
async fn callers(cores: &[Gateway; 2], body: &Value) -> [Client; 2] {
    let made = cores[0].admin.post("/admin/keys", body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let callers = [0, 1].map(|core: usize| cores[core].client.with_key(made["secret"].as_str()));
    let begun = Instant::now();
    // To be listed takes nothing of a limit.
    while callers[1].get("/v1/models").await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(10), "the other core does not know the key");
        sleep(Duration::from_millis(10)).await;
    }
    callers
}

#[tokio::test]
async fn two_cores_admit_together_what_the_limit_says() {
    let server = RedisServer::start();
    let cores = two(&server).await;
    let callers = callers(&cores, &json!({"name": "limited", "requests_per_minute": 10})).await;
    let asked = (0..40).map(|number| ask(&callers[number % 2]));
    let answers = join_all(asked).await;
    let admitted = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| answer.status == 429).count();
    assert_eq!(admitted + refused, 40);
    // One more every six seconds.
    assert!((10..=12).contains(&admitted), "{admitted}");
}

#[tokio::test]
async fn requests_go_on_while_redis_is_away_and_health_says_so() {
    let server = RedisServer::start();
    let cores = two(&server).await;
    let callers = callers(&cores, &json!({"name": "limited", "requests_per_minute": 1000})).await;
    assert_eq!(ask(&callers[0]).await.status, 200);
    server.stop();
    for number in 0..20 {
        assert_eq!(ask(&callers[number % 2]).await.status, 200);
    }
    let says = async |degraded: bool| {
        let begun = Instant::now();
        while cores[1].client.get("/health/ready").await.text().contains("Redis") != degraded {
            assert!(begun.elapsed() < Duration::from_secs(10), "health never says degraded: {degraded}");
            sleep(Duration::from_millis(20)).await;
        }
    };
    says(true).await;
    server.resume();
    says(false).await;
    assert_eq!(ask(&callers[1]).await.status, 200);
}
