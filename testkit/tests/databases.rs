//! The servers that tests begin: they run, stop, begin again, and end with whoever began them.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{
    net::TcpStream,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use orchestrator_testkit::databases::{Kind, Server};

const KINDS: [Kind; 2] = [Kind::MariaDb, Kind::Postgres];

/// Whether something listens at a database's URL.
fn answers(url: &str) -> bool {
    let address = url.rsplit('@').next().unwrap().split('/').next().unwrap();
    TcpStream::connect(address).is_ok()
}

#[tokio::test]
async fn a_server_keeps_its_data_over_a_stop_and_ends_when_it_is_dropped() {
    for kind in KINDS {
        let server = Server::start(kind);
        let (one, other) = (server.database().await, server.database().await);
        server.run(&one, "CREATE TABLE t (x VARCHAR(9))").await;
        server.run(&other, "CREATE TABLE t (x VARCHAR(9))").await;
        server.run(&one, "INSERT INTO t VALUES ('kept')").await;
        server.stop();
        assert!(!answers(&one), "{kind:?}");
        server.resume();
        assert_eq!(server.texts(&one, "SELECT x FROM t").await, ["kept"]);
        assert!(server.texts(&other, "SELECT x FROM t").await.is_empty(), "each database is its own");
        drop(server);
        assert!(!answers(&one), "{kind:?}");
    }
}

/// Run by the next test, in a process that is killed.
#[tokio::test]
#[ignore = "it waits to be killed"]
async fn begins_servers_and_waits() {
    let servers = KINDS.map(Server::start);
    for server in &servers {
        println!("url {}", server.database().await);
    }
    println!("ready");
    tokio::time::sleep(Duration::from_mins(1)).await;
}

#[test]
fn a_server_ends_when_the_process_that_began_it_is_killed() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "begins_servers_and_waits", "--nocapture"])
        .stdin(Stdio::null())
        .stdout(log.reopen().unwrap())
        .stderr(log.reopen().unwrap())
        .spawn()
        .unwrap();
    let said = || std::fs::read_to_string(log.path()).unwrap();
    let until = |what: &dyn Fn() -> bool| {
        for _ in 0..3000 {
            if what() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("it did not come to that: {}", said());
    };
    until(&|| said().contains("ready"));
    let text = said();
    let urls: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once("url ")?.1)).collect();
    assert_eq!(urls.len(), KINDS.len(), "{text}");
    assert!(urls.iter().all(|url| answers(url)));

    child.kill().unwrap();
    child.wait().unwrap();
    until(&|| !urls.iter().any(|url| answers(url)));
    let folders = |number| PathBuf::from(format!("/tmp/llmo-db-{}-{number}", child.id()));
    until(&|| !folders(0).exists() && !folders(1).exists());
}
