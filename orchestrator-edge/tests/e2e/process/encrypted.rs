//! The program under TLS, and with listeners for operators alone.

use std::net::SocketAddr;

use orchestrator_testkit::certificates::Authority;

use super::{Command, Duration, Edge, fails, fs, home, json, key};
use crate::{
    client::Client,
    tls::{Believer, Caller},
};

fn address(edge: &Edge, message: &str) -> SocketAddr {
    edge.address(message).parse().unwrap()
}

fn hang_up(edge: &Edge) {
    let command = format!("kill -HUP {}", edge.child.id());
    assert!(Command::new("/bin/sh").args(["-c", &command]).status().unwrap().success());
}

#[tokio::test]
async fn a_certificate_is_replaced_under_a_running_edge_and_its_connections() {
    let (home, authority) = (home(), Authority::new());
    let (cert, its_key) = authority.sign("first", 2099);
    let ca = authority.path("ca.pem");
    let environment = [
        ("TLS_CERT", cert.to_str().unwrap()),
        ("TLS_KEY", its_key.to_str().unwrap()),
        ("TLS_CLIENT_CA", ca.to_str().unwrap()),
    ];
    let edge = Edge::serving(home.path(), &environment, &[]).await;
    assert!(edge.out().contains("curl -N https://"), "{}", edge.out());
    assert!(edge.log().contains("CN=first"), "{}", edge.log());
    let (rest, client_key) = (address(&edge, "Listening for REST"), key(home.path(), "client.key"));
    let client = Believer::certified(&authority, &authority);
    let mut old = Caller::over(client.connect(rest).await.unwrap()).await.unwrap();
    assert_eq!(old.ask(&client_key).await.unwrap().1, 200);

    let shown = async || {
        let stream = client.connect(rest).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let before = shown().await;
    let (new_cert, new_key) = authority.sign("second", 2099);
    fs::rename(new_cert, &cert).unwrap();
    fs::rename(new_key, &its_key).unwrap();
    hang_up(&edge);
    for _ in 0..500 {
        if shown().await != before {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_ne!(shown().await, before, "{}", edge.log());
    for subject in ["CN=second", "CN=caller"] {
        edge.logged(subject).await;
    }
    assert_eq!(old.ask(&client_key).await.unwrap().1, 200, "the old connection lives on");

    // The health check has no certificate that the authority signed for clients, and passes all the same.
    let port = rest.port().to_string();
    let mut asking = environment.to_vec();
    asking.push(("APP_PORT", &port));
    let mut health = Edge::start(home.path(), &asking, &["health"]);
    assert_eq!((health.exit_code().await, health.log()), (0, String::new()));
    edge.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_certificates_is_said_before_the_start() {
    let (home, authority) = (home(), Authority::new());
    let ((cert, its_key), (_, other_key)) = (authority.sign("edge", 2099), authority.sign("other", 2099));
    let good = [("TLS_CERT", cert.to_str().unwrap()), ("TLS_KEY", its_key.to_str().unwrap())];
    let mut edge = Edge::start(home.path(), &good, &["check-config"]);
    assert_eq!(edge.exit_code().await, 0, "{}", edge.log());
    assert!(edge.out().contains("# tls.edge_cert: CN=edge, valid until 2099-01-01T"), "{}", edge.out());

    let bad = [good[0], ("TLS_KEY", other_key.to_str().unwrap())];
    for arguments in [&["check-config"][..], &[]] {
        let (code, said) = fails(home.path(), &bad, arguments).await;
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("tls.edge_key") && said.contains("does not go with"), "{said}");
    }
    assert!(!home.path().join("data").exists(), "nothing was made");
}

#[tokio::test]
async fn an_edge_and_a_core_in_two_processes_know_each_other_by_certificate() {
    let (home, authority) = (home(), Authority::new());
    let (cert, its_key) = authority.sign("core", 2099);
    let ca = authority.path("ca.pem");
    let ca = ca.to_str().unwrap();
    let core = [
        ("GRPC_TLS_CERT", cert.to_str().unwrap()),
        ("GRPC_TLS_KEY", its_key.to_str().unwrap()),
        ("GRPC_TLS_CLIENT_CA", ca),
    ];
    let core = Edge::serving(home.path(), &core, &[]).await;
    let client_key = key(home.path(), "client.key");
    let endpoint = format!("https://{}", core.address("Listening for gRPC"));

    let (cert, its_key) = authority.sign("edge", 2099);
    let known = [
        ("CORE_TLS_CA", ca),
        ("CORE_TLS_CERT", cert.to_str().unwrap()),
        ("CORE_TLS_KEY", its_key.to_str().unwrap()),
    ];
    for (environment, status) in [(&known[..], 200), (&known[..1], 503)] {
        let front = super::home();
        let edge = Edge::serving(front.path(), environment, &["--core", &endpoint]).await;
        let answer = super::ask_echo(&edge.client(&client_key)).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        edge.stop().await;
    }
    core.stop().await;
}

#[tokio::test]
async fn operators_may_have_listeners_of_their_own() {
    let home = home();
    let apart = [("ADMIN_PORT", "0"), ("ADMIN_GRPC_PORT", "0")];
    let edge = Edge::serving(home.path(), &apart, &[]).await;
    let (admin_key, client_key) = (key(home.path(), "admin.key"), key(home.path(), "client.key"));
    let public = edge.client(&client_key);
    let operators = Client::new(&edge.address("Listening for Admin over REST"), &admin_key);
    assert_eq!(super::ask_echo(&public).await.status, 200);
    assert_eq!(super::ask_echo(&operators).await.status, 404);
    assert_eq!(public.with_key(Some(&admin_key)).get("/admin/providers").await.status, 404);
    assert_eq!(operators.get("/admin/providers").await.status, 200);
    for client in [&public, &operators] {
        assert_eq!(client.get("/health/ready").await.status, 200);
    }

    // Another edge before this core: it has to know where Admin is.
    let core = format!("http://{}", edge.address("Listening for gRPC"));
    let admin = format!("http://{}", edge.address("Listening for Admin over gRPC"));
    for (environment, found) in [(&[][..], false), (&[("CORE_ADMIN_ENDPOINT", &*admin)][..], true)] {
        let front = super::home();
        let before = Edge::serving(front.path(), environment, &["--core", &core]).await;
        assert_eq!(super::ask_echo(&before.client(&client_key)).await.status, 200);
        let answer = before.client(&admin_key).post("/admin/models", &json!({"name": "m"})).await;
        assert_eq!(answer.status == 201, found, "{}: {}", answer.status, answer.text());
        before.stop().await;
    }
    edge.stop().await;
}
