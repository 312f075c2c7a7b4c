//! How the program ends: in its time, at once, and what a service manager hears of it.

use std::os::unix::net::UnixDatagram;

use orchestrator_testkit::{provider::Script, sqlite};
use tokio::time::Instant;

use super::*;

/// An answer that begins and does not end.
fn endless() -> Scripted {
    let event = r#"data: {"choices":[{"index":0,"delta":{"content":"first"}}]}"#;
    Scripted::pieces(vec![Piece::Data(format!("{event}\n\n").into()), Piece::Wait(Duration::from_mins(5))])
}

/// A program with a provider whose streams do not end, and one of them under way.
struct Busy {
    home: tempfile::TempDir,
    edge: Edge,
    stream: crate::client::Streaming,
    _provider: Provider,
}

async fn busy(settings: &[(&str, &str)]) -> Busy {
    let (home, provider) = (home(), Provider::start().await);
    provider.route("chat/completions", Script::always(endless()));
    let base_url = provider.base_url();
    let own = [("OPENAI_API_KEY", "sk-x"), ("OPENAI_BASE_URL", base_url.as_str())];
    let environment: Vec<_> = own.iter().chain(settings).copied().collect();
    let edge = Edge::serving(home.path(), &environment, &[]).await;
    let client = edge.client(&key(home.path(), "client.key"));
    let body = json!({"model": "openai/m", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let mut stream = client.open(Method::POST, "/v1/chat/completions", &[], body.to_string().into()).await;
    assert_eq!(stream.status, 200);
    stream.piece().await.unwrap().unwrap();
    Busy { home, edge, stream, _provider: provider }
}

async fn outcomes(home: &Path) -> Vec<String> {
    let rows = sqlite::rows(&home.join("data/llm_orchestrator.db"), "SELECT * FROM request_logs").await;
    rows.iter().map(|row| row["outcome"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_stream_that_takes_longer_than_it_may_ends_with_an_error_and_the_process_in_order() {
    let mut busy = busy(&[("ORCHESTRATOR__SHUTDOWN__DRAIN_MS", "300")]).await;
    let asked = Instant::now();
    busy.edge.terminate();
    let rest = busy.stream.read_all().await.text();
    assert!(asked.elapsed() >= Duration::from_millis(300), "it had its time");
    assert!(rest.contains(r#""code":"stopping""#) && !rest.contains("[DONE]"), "{rest}");
    assert_eq!(busy.edge.exit_code().await, 0, "{}", busy.edge.log());
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert_eq!(outcomes(busy.home.path()).await, ["truncated"], "stored before the end");
}

#[tokio::test]
async fn a_second_signal_is_at_once_and_nothing_is_lost() {
    let mut busy = busy(&[]).await;
    let asked = Instant::now();
    busy.edge.terminate();
    tokio::time::sleep(Duration::from_millis(100)).await;
    busy.edge.terminate();
    let rest = busy.stream.read_all().await.text();
    assert!(rest.contains(r#""code":"stopping""#) && !rest.contains("[DONE]"), "{rest}");
    assert_eq!(busy.edge.exit_code().await, 3, "{}", busy.edge.log());
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    let again = Edge::serving(busy.home.path(), &[], &[]).await;
    again.stop().await;
    assert_eq!(outcomes(busy.home.path()).await, ["truncated"], "the journal had it");
}

#[tokio::test]
async fn load_balancers_have_a_while_to_notice() {
    let home = home();
    let mut edge =
        Edge::serving(home.path(), &[("ORCHESTRATOR__SHUTDOWN__READY_DELAY_MS", "1500")], &[]).await;
    let client = edge.client(&key(home.path(), "client.key"));
    edge.terminate();
    let told = async {
        loop {
            let answer = client.get("/health/ready").await;
            if answer.status == 503 {
                return answer.text();
            }
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(1), told).await.unwrap();
    assert!(told.contains("draining"), "{told}");
    assert_eq!(ask_echo(&client).await.status, 200, "it is served still");
    assert_eq!(edge.exit_code().await, 0, "{}", edge.log());
}

#[tokio::test]
async fn a_service_manager_hears_when_it_serves_that_it_lives_and_when_it_ends() {
    let home = home();
    let path = home.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_nonblocking(true).unwrap();
    let mut heard = Vec::new();
    let mut hear = async |mark: &str| {
        for _ in 0..1000 {
            let mut datagram = [0; 512];
            match manager.recv(&mut datagram) {
                Ok(length) => heard.push(String::from_utf8(datagram[..length].to_vec()).unwrap()),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
            if let Some(line) = heard.iter().find(|line| line.contains(mark)) {
                return line.clone();
            }
        }
        panic!("`{mark}` was not said: {heard:?}");
    };
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "400000")];
    let mut edge = Edge::start(home.path(), &environment, &[]);
    let ready = hear("READY=1").await;
    // The log is written by a thread of its own, so what was logged before may be read a moment later.
    edge.logged("Application startup complete").await;
    let address = edge.address("Listening for REST");
    assert!(ready.contains(&format!("STATUS=serving REST on {address}")), "{ready}");
    hear("WATCHDOG=1").await;
    edge.terminate();
    let stopping = hear("STOPPING=1").await;
    assert!(stopping.contains("EXTEND_TIMEOUT_USEC="), "{stopping}");
    assert_eq!(edge.exit_code().await, 0, "{}", edge.log());
}

#[tokio::test]
async fn whoever_waits_for_a_database_can_be_told_to_stop() {
    let home = home();
    // Nobody listens there.
    let environment = [("DATABASE_URL", "mysql://llm:x@127.0.0.1:9/llm"), ("DATABASE_WAIT_INTERVAL", "60")];
    let mut edge = Edge::start(home.path(), &environment, &[]);
    edge.logged("Waiting for database").await;
    edge.terminate();
    assert_eq!(edge.exit_code().await, 0, "{}", edge.log());
    assert!(edge.log().contains("Stopped"), "{}", edge.log());
}
