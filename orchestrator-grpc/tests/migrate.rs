//! `migrate`, as operators and orchestrators of containers run it: several programs at once, on each database.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use orchestrator_testkit::databases::{Kind, shared};

/// The migrations that there are.
const MIGRATIONS: usize = 24;

fn program(home: &Path, url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator-grpc"));
    command
        .args(arguments)
        .current_dir(home)
        .env_clear()
        .envs([("DATABASE_URL", url), ("LOG_FORMAT", "json"), ("DATABASE_WAIT_RETRIES", "1")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(home: &Path, url: &str, arguments: &[&str]) -> Output {
    program(home, url, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn four_at_once(url: &str) {
    let home = tempfile::tempdir().unwrap();
    let status = run(home.path(), url, &["migrate", "--status"]);
    assert!(status.status.success(), "{}", text(&status.stderr));
    assert_eq!(text(&status.stdout).matches("pending").count(), MIGRATIONS);

    let programs: Vec<_> = (0..4).map(|_| program(home.path(), url, &["migrate"]).spawn().unwrap()).collect();
    let mut applied = 0;
    for program in programs {
        let output = program.wait_with_output().unwrap();
        let log = text(&output.stderr);
        assert!(output.status.success(), "{log}");
        assert!(log.contains("The database is up to date"), "{log}");
        applied += log.matches("Applied migration: ").count();
    }
    assert_eq!(applied, MIGRATIONS, "each migration is applied by one of the four");

    let status = run(home.path(), url, &["migrate", "--status"]);
    let list = text(&status.stdout);
    assert!(status.status.success() && list.contains("0001  catalog                   applied\n"), "{list}");
    assert_eq!(list.matches("applied").count(), MIGRATIONS);
}

#[test]
fn four_programs_migrate_a_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    four_at_once(&format!("sqlite://{}", folder.path().join("x.db").display()));
}

#[test]
fn a_look_at_a_file_that_is_not_there_does_not_make_it() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("x.db");
    let status = run(home.path(), &format!("sqlite://{}", path.display()), &["migrate", "--status"]);
    assert!(status.status.success(), "{}", text(&status.stderr));
    assert_eq!(text(&status.stdout).matches("pending").count(), MIGRATIONS);
    assert!(!path.exists());
}

#[tokio::test]
async fn four_programs_migrate_mariadb_at_once() {
    four_at_once(&shared(Kind::MariaDb).database().await);
}

#[tokio::test]
async fn four_programs_migrate_postgresql_at_once() {
    four_at_once(&shared(Kind::Postgres).database().await);
}

/// What stands in the way is one line and exit code 1, of `migrate` and of a start alike.
#[tokio::test]
async fn what_stands_in_the_way_is_one_line_without_the_password() {
    for kind in [Kind::MariaDb, Kind::Postgres] {
        let server = shared(kind);
        let url = server.database().await;
        server.run(&url, "CREATE TABLE providers (id BIGINT)").await;
        let home = tempfile::tempdir().unwrap();
        for arguments in [["migrate"].as_slice(), &["serve"]] {
            let output = run(home.path(), &url, arguments);
            let log = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{log}");
            let errors: Vec<_> = log.lines().filter(|line| line.contains("\"ERROR\"")).collect();
            assert!(
                matches!(errors.as_slice(), [one] if one.contains("there is a table providers already")),
                "{log}"
            );
        }
        let wrong = url.replace("p%40ss", "wr0ng");
        for arguments in [["migrate"].as_slice(), &["migrate", "--status"]] {
            let output = run(home.path(), &wrong, arguments);
            let log = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{log}");
            assert!(log.contains("connecting to the database"), "{log}");
            assert!(!log.contains("wr0ng"), "{log}");
        }
    }
}
