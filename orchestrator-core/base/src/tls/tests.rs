//! Handshakes over sockets, with certificates made here.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use orchestrator_testkit::certificates::Authority;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    clock::{Clock, UnixMicros},
    config::{ClientAuth, Config, Role},
};

/// A test that waits longer than this waits for something that will not happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// An edge before a core with certificates of this authority on both sides.
fn config_of(authority: &Authority) -> Config {
    let mut config = Config::default();
    let (cert, key) = authority.sign("core", 2099);
    (config.tls.grpc_cert, config.tls.grpc_key) = (Some(cert), Some(key));
    config.tls.core_ca = Some(authority.path("ca.pem"));
    config.edge.core_endpoint = Some("https://localhost:50051".into());
    config
}

fn folder_of(authority: &Authority) -> PathBuf {
    authority.path("")
}

fn core_of(config: &Config) -> Ends {
    Ends::open(config, Role::Core).unwrap()
}

fn edge_of(config: &Config) -> Ends {
    Ends::open(config, Role::Edge).unwrap()
}

/// The subject of the certificate that the core shows, and of the one that it is shown, once a byte went each way.
async fn shake(core: &Ends, edge: &Ends) -> Result<(String, Option<String>), std::io::Error> {
    let (near, far) = duplex(64 * 1024);
    let server = async {
        let mut wire = core.grpc.as_ref().unwrap().accept(far, None).await?;
        assert_eq!(wire.read_u8().await?, 7);
        wire.write_u8(8).await?;
        wire.flush().await?;
        Ok::<_, std::io::Error>(wire.peer().map(|about| about.subject))
    };
    let client = async {
        let mut wire = edge.core.as_ref().unwrap().connect("localhost", near).await?;
        wire.write_u8(7).await?;
        wire.flush().await?;
        assert_eq!(wire.read_u8().await?, 8);
        Ok::<_, std::io::Error>(wire.peer().unwrap().subject)
    };
    let (server, client) = timeout(PATIENCE, async { tokio::join!(server, client) }).await.unwrap();
    // Under TLS 1.3 a client learns only afterwards that it was refused.
    let (shown_to_core, shown) = (server?, client?);
    Ok((shown, shown_to_core))
}

#[test]
fn the_choice_may_be_made_twice() {
    install_crypto();
    install_crypto();
    assert!(CryptoProvider::get_default().is_some());
}

#[tokio::test]
async fn a_client_believes_its_authority_alone() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let mut config = config_of(&ours);
    let core = core_of(&config);
    assert_eq!(shake(&core, &edge_of(&config)).await.unwrap(), ("CN=core".to_owned(), None));

    config.tls.core_server_name = Some("other.example".into());
    assert!(shake(&core, &edge_of(&config)).await.is_err(), "another name than the certificate's");
    config.tls.core_server_name = None;
    config.tls.core_ca = Some(theirs.path("ca.pem"));
    assert!(shake(&core, &edge_of(&config)).await.is_err(), "another authority");
    config.tls.core_ca = None;
    assert!(shake(&core, &edge_of(&config)).await.is_err(), "the public authorities know nothing of it");
}

#[tokio::test]
async fn a_client_needs_a_certificate_where_one_is_asked_for_and_no_other_will_do() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let mut config = config_of(&ours);
    config.tls.grpc_client_ca = Some(ours.path("ca.pem"));
    let with = |(cert, key): (PathBuf, PathBuf)| {
        let mut config = config.clone();
        (config.tls.core_cert, config.tls.core_key) = (Some(cert), Some(key));
        edge_of(&config)
    };
    let (none, good, bad) =
        (edge_of(&config), with(ours.sign("edge", 2099)), with(theirs.sign("edge", 2099)));
    let expired = with(ours.sign("late", 2020));

    let required = core_of(&config);
    assert_eq!(shake(&required, &good).await.unwrap().1.as_deref(), Some("CN=edge"));
    for (refused, why) in [(&none, "none"), (&bad, "of another authority"), (&expired, "expired")] {
        assert!(shake(&required, refused).await.is_err(), "{why}");
    }

    config.tls.grpc_client_auth = ClientAuth::Optional;
    let optional = core_of(&config);
    assert_eq!(shake(&optional, &good).await.unwrap().1.as_deref(), Some("CN=edge"));
    assert_eq!(shake(&optional, &none).await.unwrap().1, None);
    for (refused, why) in [(&bad, "of another authority"), (&expired, "expired")] {
        assert!(shake(&optional, refused).await.is_err(), "{why}");
    }
}

#[tokio::test]
async fn the_health_check_passes_its_own_listener_and_believes_no_other() {
    let ours = Authority::new();
    let mut config = config_of(&ours);
    config.tls.grpc_client_ca = Some(ours.path("ca.pem"));
    let core = core_of(&config);
    let own = Ends { core: of_own_grpc(&config).unwrap().map(Arc::new), ..Ends::default() };
    assert_eq!(shake(&core, &own).await.unwrap().1.as_deref(), Some("CN=core"));

    let (cert, key) = ours.sign("impostor", 2099);
    (config.tls.grpc_cert, config.tls.grpc_key) = (Some(cert), Some(key));
    assert!(shake(&core_of(&config), &own).await.is_err(), "of the same authority, and another all the same");
}

/// A handshake of which the client says nothing.
fn silent(core: &Ends) -> (DuplexStream, tokio::task::JoinHandle<bool>) {
    let (near, far) = duplex(1024);
    let server = core.grpc.clone().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
    let task = tokio::spawn(async move { server.accept(far, None).await.is_ok() });
    (near, task)
}

#[tokio::test(start_paused = true)]
async fn handshakes_are_bounded_in_time_and_in_number() {
    let ours = Authority::new();
    let mut config = config_of(&ours);
    config.tls.max_handshakes = 2;
    let (core, edge) = (core_of(&config), edge_of(&config));
    let first = silent(&core);
    assert!(shake(&core, &edge).await.is_ok(), "one that is slow stops nobody");

    let second = silent(&core);
    // Both places are taken: the third is served when the first two have run out of time, and not before.
    let begun = tokio::time::Instant::now();
    sleep(Duration::from_secs(3)).await;
    assert!(shake(&core, &edge).await.is_ok());
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(9) && waited < Duration::from_secs(11), "{waited:?}");
    assert!(!first.1.await.unwrap() && !second.1.await.unwrap());
}

/// Until the core shows that certificate to new connections.
async fn until_shown(core: &Ends, edge: &Ends, subject: &str) {
    let shown = async {
        while shake(core, edge).await.unwrap().0 != subject {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, shown).await.unwrap_or_else(|_| panic!("{subject} is not shown"));
}

fn replace(from: (PathBuf, PathBuf), config: &Config) {
    fs::rename(from.0, config.tls.grpc_cert.as_ref().unwrap()).unwrap();
    fs::rename(from.1, config.tls.grpc_key.as_ref().unwrap()).unwrap();
}

#[tokio::test]
async fn new_files_are_taken_and_bad_ones_are_not() {
    let ours = Authority::new();
    let config = config_of(&ours);
    let (core, edge) = (core_of(&config), edge_of(&config));
    let stop = CancellationToken::new();
    let watch = core.watch_every(Duration::from_millis(10), 30, Clock::system(), stop.clone()).unwrap();

    replace(ours.sign("second", 2099), &config);
    until_shown(&core, &edge, "CN=second").await;

    // Half of a change: the certificate is another's than the key.
    let (cert, key) = ours.sign("third", 2099);
    fs::rename(cert, config.tls.grpc_cert.as_ref().unwrap()).unwrap();
    sleep(Duration::from_millis(100)).await;
    assert_eq!(shake(&core, &edge).await.unwrap().0, "CN=second");
    fs::write(config.tls.grpc_key.as_ref().unwrap(), "no key").unwrap();
    sleep(Duration::from_millis(100)).await;
    assert_eq!(shake(&core, &edge).await.unwrap().0, "CN=second");
    fs::rename(key, config.tls.grpc_key.as_ref().unwrap()).unwrap();
    until_shown(&core, &edge, "CN=third").await;

    stop.cancel();
    timeout(PATIENCE, watch).await.unwrap().unwrap();
    assert!(
        Ends::default().watch(30, Clock::system(), stop).is_none(),
        "where nothing is encrypted, nothing runs"
    );
}

#[tokio::test]
async fn a_hangup_makes_it_look_at_once_and_a_connection_lives_through_it() {
    let ours = Authority::new();
    let config = config_of(&ours);
    let (core, edge) = (core_of(&config), edge_of(&config));
    let hour = Duration::from_hours(1);
    let watch = core.watch_every(hour, 30, Clock::system(), CancellationToken::new()).unwrap();
    // The first look comes at once, and hears signals from then on.
    sleep(Duration::from_millis(50)).await;

    let (near, far) = duplex(64 * 1024);
    let (server, client) = tokio::join!(
        core.grpc.as_ref().unwrap().accept(far, None),
        edge.core.as_ref().unwrap().connect("localhost", near)
    );
    let (mut server, mut client) = (server.unwrap(), client.unwrap());

    replace(ours.sign("second", 2099), &config);
    let command = format!("kill -s HUP {}", std::process::id());
    assert!(std::process::Command::new("sh").args(["-c", &command]).status().unwrap().success());
    until_shown(&core, &edge, "CN=second").await;

    client.write_u8(7).await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), 7);
    assert_eq!(client.peer().unwrap().subject, "CN=core");
    watch.abort();
}

/// What `check` says, with the folder's path left out.
fn checked(config: &Config, role: Role, folder: &Path) -> String {
    let now = Clock::manual(UnixMicros(0).plus(Duration::from_hours(24 * 365 * 56)));
    let said = check(config, role, &now).map_or_else(|error| error.to_string(), |lines| lines.join("\n"));
    said.replace(&folder.display().to_string(), "")
}

#[test]
fn files_that_do_not_fit_are_all_told_before_the_start() {
    let ours = Authority::new();
    let folder = &folder_of(&ours);
    let mut config = config_of(&ours);
    assert_eq!(checked(&config, Role::Edge, folder), "");
    let until = "valid until 2099-01-01T00:00:00.000000Z";
    assert_eq!(checked(&config, Role::Core, folder), format!("tls.grpc_cert: CN=core, {until}"));

    let (late, late_key) = ours.sign("late", 2020);
    (config.tls.edge_cert, config.tls.edge_key) = (Some(late), Some(late_key));
    config.tls.core_key = Some(folder.join("core.key"));
    assert_eq!(
        checked(&config, Role::Edge, folder),
        "tls.core_cert: is needed beside tls.core_key\n  \
         tls.edge_cert: has expired: CN=late, valid until 2020-01-01T00:00:00.000000Z"
    );

    // An edge with a core of its own.
    config.edge.core_endpoint = None;
    config.tls.edge_key = config.tls.grpc_key.clone();
    config.tls.grpc_key = Some(folder.join("missing.key"));
    assert_eq!(
        checked(&config, Role::Edge, folder),
        "tls.edge_key: core.key does not go with late.pem: keys may not be consistent: KeyMismatch\n  \
         tls.grpc_key: missing.key cannot be read: No such file or directory (os error 2)"
    );
    config.tls.grpc_key = config.tls.grpc_cert.clone();
    config.tls.edge_client_ca = config.tls.edge_cert.take();
    config.tls.grpc_client_ca = Some(folder.join("late.key"));
    assert_eq!(
        checked(&config, Role::Edge, folder),
        "tls.edge_cert: is needed beside tls.edge_key\n  \
         tls.grpc_key: core.pem holds no private key in PEM that can be read without a password"
    );
    config.tls.grpc_key = Some(folder.join("core.key"));
    assert_eq!(
        checked(&config, Role::Core, folder),
        "tls.grpc_client_ca: late.key holds no certificate in PEM"
    );
}

#[test]
fn files_for_redis_are_checked_where_a_core_runs() {
    let ours = Authority::new();
    let folder = &folder_of(&ours);
    let mut config = config_of(&ours);
    config.redis.ca = Some(folder.join("missing.pem"));
    assert!(!checked(&config, Role::Core, folder).contains("redis"), "it is not asked for");
    config.redis.enabled = true;
    config.redis.url = "redis://127.0.0.1".to_owned().into();
    let said = checked(&config, Role::Core, folder);
    assert_eq!(said, "redis.ca: is of no use: redis.url does not begin with rediss://");
    assert_eq!(checked(&config, Role::Edge, folder), "");
    config.redis.url = "rediss://127.0.0.1".to_owned().into();
    config.redis.key = config.tls.grpc_key.clone();
    assert_eq!(
        checked(&config, Role::Core, folder),
        "redis.cert: is needed beside redis.key\n  \
         redis.ca: missing.pem cannot be read: No such file or directory (os error 2)"
    );
    config.redis.ca = None;
    config.redis.cert = config.tls.grpc_cert.clone();
    let said = checked(&config, Role::Core, folder);
    assert!(said.ends_with("\nredis.cert: CN=core, valid until 2099-01-01T00:00:00.000000Z"), "{said}");
}

#[test]
fn certificates_for_cores_that_are_called_in_the_clear_are_a_mistake() {
    let ours = Authority::new();
    let mut config = config_of(&ours);
    config.edge.core_endpoint = Some("http://localhost:50051".into());
    let said = checked(&config, Role::Edge, &folder_of(&ours));
    assert_eq!(said, "tls.core_ca: is of no use: no endpoint of a core begins with https://");
}
