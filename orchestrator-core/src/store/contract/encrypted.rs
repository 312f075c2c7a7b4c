//! A server's database over TLS: believed by its authority's word alone.

use orchestrator_base::{config::DatabaseTarget, tls};
use orchestrator_testkit::{
    certificates::Authority,
    databases::{Kind, Server},
};

use super::Database;

#[tokio::test]
async fn mariadb_is_believed_by_its_authoritys_word_alone() {
    believed(Kind::MariaDb, "ssl-mode=verify_identity&ssl-ca").await;
}

#[tokio::test]
async fn postgresql_is_believed_by_its_authoritys_word_alone() {
    believed(Kind::Postgres, "sslmode=verify-full&sslrootcert").await;
}

async fn believed(kind: Kind, asked: &str) {
    tls::install_crypto();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = Server::start_encrypted(kind, &authority);
    let url = server.database().await;
    let connect = async |by: &Authority| {
        let url = format!("{url}?{asked}={}", by.path("ca.pem").display());
        Database::connect(&DatabaseTarget::parse(&url).unwrap()).await
    };
    let known = connect(&authority).await.unwrap();
    known.migrate().await.unwrap();
    known.close().await;
    assert!(connect(&stranger).await.is_err(), "another authority");

    let plain = Server::start(kind);
    let url = format!("{}?{asked}={}", plain.database().await, authority.path("ca.pem").display());
    let refused = Database::connect(&DatabaseTarget::parse(&url).unwrap()).await;
    assert!(refused.is_err(), "a server that has no certificate of this authority");
}
