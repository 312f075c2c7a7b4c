//! The pool on a real server that comes and goes.

pub(crate) mod cores;

use std::time::Duration;

use orchestrator_base::task;
use orchestrator_testkit::{certificates::Authority, databases::redis::RedisServer};
use redis::{Script, cmd};
use secrecy::SecretString;
use tokio::time::Instant;

use super::*;

pub(crate) fn settings(server: &RedisServer, prefix: &str) -> config::Redis {
    config::Redis {
        enabled: true,
        url: SecretString::from(server.url()),
        prefix: prefix.to_owned(),
        // Machines that test are busy: the time-outs of earnest would be met by accident.
        checkout_ms: 5000,
        command_ms: 5000,
        ..config::Redis::default()
    }
}

/// Asks until it is answered, and says after how long.
pub(crate) async fn found_after(redis: &Redis) -> Duration {
    let begun = Instant::now();
    while redis.command::<String>(&cmd("PING")).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "Redis is not found again");
        sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

/// How long it takes to hear that Redis is away, at worst, once that is known.
async fn costs(redis: &Redis) -> Duration {
    let mut worst = Duration::ZERO;
    for _ in 0..100 {
        let begun = Instant::now();
        assert_eq!(redis.command::<String>(&cmd("PING")).await, Err(Away::Unasked));
        worst = worst.max(begun.elapsed());
    }
    worst
}

#[tokio::test]
async fn a_redis_that_dies_costs_nothing_and_is_found_again() {
    let server = RedisServer::start();
    let redis = config::Redis { command_ms: 250, ..settings(&server, "t:") };
    let redis = Redis::new(&redis).unwrap();
    let stop = CancellationToken::new();
    let keeping = task::spawn("keeps", redis.clone().keep(stop.clone()));
    found_after(&redis).await;
    // Several connections lie in the pool.
    let asked = (0..8).map(|_| async { redis.command::<String>(&cmd("PING")).await });
    for answer in futures_util::future::join_all(asked).await {
        assert_eq!(answer, Ok("PONG".to_owned()));
    }

    server.stop();
    assert!(redis.command::<String>(&cmd("PING")).await.is_err());
    assert!(!redis.is_up());
    assert!(costs(&redis).await < Duration::from_millis(50));
    server.resume();
    let found = found_after(&redis).await;
    assert!(found < Duration::from_secs(2), "{found:?}");
    // No dead connection is left.
    for _ in 0..32 {
        assert_eq!(redis.command::<String>(&cmd("PING")).await, Ok("PONG".to_owned()));
    }

    server.freeze();
    let begun = Instant::now();
    assert_eq!(redis.command::<String>(&cmd("PING")).await, Err(Away::Unknown));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(costs(&redis).await < Duration::from_millis(50));
    server.thaw();
    let found = found_after(&redis).await;
    assert!(found < Duration::from_secs(2), "{found:?}");

    stop.cancel();
    assert_eq!(keeping.await.unwrap(), Some(()));
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_away_and_our_own_mistake_is_not() {
    let server = RedisServer::start();
    let redis = Redis::new(&settings(&server, "t:")).unwrap();
    assert!(redis.try_now().await);
    let script = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    let key = redis.key("tag", "count");
    assert_eq!(key, "t:{tag}:count");
    let mut adding = script.key(&key);
    assert_eq!(redis.script::<i64>(adding.arg(2)).await, Ok(2));
    // Scripts are gone with a restart, and come back.
    server.command(&["SCRIPT", "FLUSH"]);
    assert_eq!(redis.script::<i64>(&adding).await, Ok(4));

    assert_eq!(redis.command::<i64>(cmd("LPUSH").arg(&key).arg(1)).await, Err(Away::Refused));
    assert!(redis.is_up(), "a wrong command says nothing of the server");

    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    assert!(redis.script::<i64>(&adding).await.is_err());
    assert!(!redis.is_up());
    assert!(!redis.try_now().await);
    server.command(&["REPLICAOF", "NO", "ONE"]);
    assert!(redis.try_now().await);
    assert_eq!(redis.script::<i64>(&adding).await, Ok(6));

    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(redis.script::<i64>(&adding).await.is_err());
    assert!(!redis.is_up() && !redis.try_now().await);
}

#[tokio::test]
async fn over_tls_both_sides_are_who_their_authority_says() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = RedisServer::start_encrypted(&authority);
    let mut known = settings(&server, "t:");
    known.url = SecretString::from(server.encrypted_url());
    known.ca = Some(authority.path("ca.pem"));
    let (cert, key) = authority.sign("core", 2099);
    (known.cert, known.key) = (Some(cert.clone()), Some(key));

    let redis = Redis::new(&known).unwrap();
    assert!(redis.try_now().await);
    assert_eq!(redis.command::<String>(&cmd("PING")).await, Ok("PONG".to_owned()));

    let without = config::Redis { cert: None, key: None, ..known.clone() };
    let (strange_cert, strange_key) = stranger.sign("core", 2099);
    let strange = config::Redis { cert: Some(strange_cert), key: Some(strange_key), ..known.clone() };
    let doubting = config::Redis { ca: Some(stranger.path("ca.pem")), ..known.clone() };
    let public = config::Redis { ca: None, ..known.clone() };
    for (refused, why) in [
        (without, "no certificate"),
        (strange, "another authority's certificate"),
        (doubting, "another authority for the server"),
        (public, "the public authorities"),
    ] {
        assert!(!Redis::new(&refused).unwrap().try_now().await, "{why}");
    }

    let half = config::Redis { key: None, ..known.clone() };
    let missing = config::Redis { ca: Some("missing.pem".into()), ..known.clone() };
    let broken = config::Redis { key: Some(cert), ..known.clone() };
    let plain = config::Redis { url: SecretString::from(server.url()), ..known };
    for (wrong, named) in
        [(half, "redis.key"), (missing, "missing.pem"), (broken, "redis.key"), (plain, "rediss://")]
    {
        let why = Redis::new(&wrong).err().unwrap();
        assert!(why.contains(named), "{why}");
    }
}
