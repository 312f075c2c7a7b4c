//! What only sockets show.

use std::net::{Ipv4Addr, TcpListener};

use super::*;

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_costs_no_more_than_the_connection_may() {
    orchestrator_base::tls::install_crypto();
    // The kernel accepts for it; TLS waits for a word that never comes.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let ask = Ask {
        method: Method::POST,
        uri: format!("https://{}/", silent.local_addr().unwrap()).parse().unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        connect_timeout: Duration::from_millis(50),
    };
    let failure = HttpClient::new(false).send(ask).await.unwrap_err();
    assert_eq!(failure.to_string(), "no connection: none within 50ms");
}
