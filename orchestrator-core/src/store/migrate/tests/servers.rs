//! What can stand in the way on a server.

use std::time::Duration;

use orchestrator_testkit::databases::{Kind, Server, shared};

use super::*;
use crate::store::CatalogReader as _;

async fn connect(url: &str) -> Database {
    Database::connect(&DatabaseTarget::parse(url).unwrap()).await.unwrap()
}

/// What the program says of this database, in a line.
async fn refused(url: &str) -> String {
    let said = connect(url).await.migrate().await.unwrap_err().to_string();
    assert!(!said.contains('\n'), "{said}");
    said
}

async fn ready(server: &Server) -> String {
    let url = server.database().await;
    assert_eq!(connect(&url).await.migrate().await.unwrap().len(), SQLITE.iter().count());
    url
}

#[test]
fn the_three_databases_have_the_same_migrations() {
    let names = |migrator: &Migrator| migrator.iter().map(described).collect::<Vec<_>>();
    assert_eq!(names(&MYSQL), names(&SQLITE));
    assert_eq!(names(&POSTGRES), names(&SQLITE));
    let made = |migrator: &Migrator| {
        let made = migrator.iter().flat_map(|step| made_by(step.sql.as_str()));
        made.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(made(&MYSQL), made(&SQLITE));
    assert_eq!(made(&POSTGRES), made(&SQLITE));
    assert!(made(&SQLITE).contains(&"usage_hourly".to_owned()));
}

#[tokio::test]
async fn the_three_databases_have_the_same_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    Database::open(&path).await.unwrap();
    let sql = "SELECT m.name || '.' || c.name AS name FROM sqlite_master m, pragma_table_info(m.name) c \
               WHERE m.name NOT LIKE 'sqlite_%' ORDER BY 1";
    let rows = orchestrator_testkit::sqlite::rows(&path, sql).await;
    let mut wanted: Vec<_> = rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect();
    wanted.sort();
    let columns = |schema: &str, text: &str| {
        format!(
            "SELECT CAST(CONCAT(table_name, '.', column_name) AS {text}) FROM information_schema.columns \
             WHERE table_schema = {schema}"
        )
    };
    for (kind, sql) in [
        (Kind::MariaDb, columns("DATABASE()", "CHAR")),
        (Kind::Postgres, columns("current_schema()", "TEXT")),
    ] {
        let url = ready(shared(kind)).await;
        let mut found = shared(kind).texts(&url, &sql).await;
        found.sort();
        assert_eq!(found, wanted, "{kind:?}");
    }
}

#[tokio::test]
async fn a_newer_programs_database_and_a_changed_migration_are_refused() {
    for kind in [Kind::MariaDb, Kind::Postgres] {
        let server = shared(kind);
        let url = ready(server).await;
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                     VALUES (900, 'future', TRUE, 'x', 0)";
        server.run(&url, newer).await;
        let said = refused(&url).await;
        assert!(said.contains("migration 900") && said.contains("newer"), "{said}");
        let states = connect(&url).await.migrations().await.unwrap();
        assert_eq!(states.last().unwrap().state, MigrationState::Unknown);
        server.run(&url, "DELETE FROM _sqlx_migrations WHERE version = 900").await;
        server.run(&url, "UPDATE _sqlx_migrations SET checksum = 'x' WHERE version = 2").await;
        assert!(refused(&url).await.contains("migration 2 is not the one"));
    }
}

#[tokio::test]
async fn on_mysql_a_migration_that_broke_off_is_done_again() {
    let server = shared(Kind::MariaDb);
    // After each statement of the first migration, and in the middle of the list.
    let url = ready(server).await;
    let broken = "DROP TABLE settings, catalog_revision, prices; DROP VIEW provider_validations, provider_usage_stats; \
                  DELETE FROM _sqlx_migrations WHERE version IN (11, 15); \
                  UPDATE _sqlx_migrations SET success = FALSE WHERE version = 1";
    server.run(&url, broken).await;
    let states = connect(&url).await.migrations().await.unwrap();
    assert_eq!(states[0].state, MigrationState::BrokenOff);
    let database = connect(&url).await;
    let versions: Vec<_> = database.migrate().await.unwrap().iter().map(|step| step.version).collect();
    assert_eq!(versions, [1, 11, 15]);
    assert_eq!(database.revision().await.unwrap(), 0, "its row is there again");
}

#[tokio::test]
async fn every_migration_of_mysql_does_no_harm_when_done_twice() {
    let server = shared(Kind::MariaDb);
    let url = ready(server).await;
    for step in MYSQL.iter() {
        server.run(&url, step.sql.as_str()).await;
    }
    assert_eq!(connect(&url).await.revision().await.unwrap(), 0);
}

#[tokio::test]
async fn somebody_elses_table_is_left_alone() {
    for kind in [Kind::MariaDb, Kind::Postgres] {
        let url = shared(kind).database().await;
        shared(kind).run(&url, "CREATE TABLE models (id BIGINT)").await;
        let said = refused(&url).await;
        assert!(said.contains("there is a table models already") && said.contains("migration 1 "), "{said}");
        let (schema, text) = match kind {
            Kind::MariaDb => ("DATABASE()", "CHAR"),
            Kind::Postgres => ("current_schema()", "TEXT"),
        };
        let tables = format!(
            "SELECT CAST(table_name AS {text}) FROM information_schema.tables WHERE table_schema = {schema}"
        );
        assert_eq!(shared(kind).texts(&url, &tables).await, ["models"]);
    }
}

#[tokio::test]
async fn a_user_who_may_not_is_told_what_is_missing() {
    for kind in [Kind::MariaDb, Kind::Postgres] {
        let server = shared(kind);
        let (empty, url) = (server.database().await, ready(server).await);
        let database = url.rsplit('/').next().unwrap();
        let other = empty.rsplit('/').next().unwrap();
        let user = format!("reader_{database}");
        match kind {
            Kind::MariaDb => {
                let sql = format!(
                    "CREATE USER {user}@'127.0.0.1' IDENTIFIED BY 'x'; GRANT SELECT ON {database}.* TO {user}@'127.0.0.1'; \
                     GRANT SELECT ON {other}.* TO {user}@'127.0.0.1'"
                );
                server.run(&url, &sql).await;
            }
            Kind::Postgres => {
                let sql = format!(
                    "CREATE USER {user} PASSWORD 'x'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}"
                );
                server.run(&url, &sql).await;
            }
        }
        let theirs = |url: &str| {
            let at = url.find("orchestrator:").unwrap();
            format!("{}{user}:x{}", &url[..at], &url[url.find('@').unwrap()..])
        };
        if kind == Kind::Postgres {
            // Before version 15 everybody could make tables.
            server.run(&empty, "REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
        }
        let said = refused(&theirs(&empty)).await;
        assert!(said.contains("may not do what migrating needs"), "{said}");
        // Where there is nothing to do, nothing is needed.
        assert_eq!(connect(&theirs(&url)).await.migrate().await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_program_that_migrates_for_too_long_is_not_waited_for() {
    let wait = Duration::from_millis(1500);
    let server = shared(Kind::MariaDb);
    let url = ready(server).await;
    let options = mysql_options(&url).unwrap();
    let mut other = sqlx::ConnectOptions::connect(&options).await.unwrap();
    mysql::lock(&mut other, wait).await.unwrap();
    let refused = mysql::run(&Plan::of(&MYSQL), &options, wait).await.unwrap_err().to_string();
    assert!(refused.contains("another program has held the lock"), "{refused}");
    drop(other);
    mysql::run(&Plan::of(&MYSQL), &options, Duration::from_secs(10)).await.unwrap();

    let url = ready(shared(Kind::Postgres)).await;
    let options = postgres_options(&url).unwrap();
    let mut other = sqlx::ConnectOptions::connect(&options).await.unwrap();
    postgres::lock(&mut other, wait).await.unwrap();
    let refused = postgres::run(&Plan::of(&POSTGRES), &options, wait).await.unwrap_err().to_string();
    assert!(refused.contains("another program has held the lock"), "{refused}");
    drop(other);
    postgres::run(&Plan::of(&POSTGRES), &options, Duration::from_secs(10)).await.unwrap();
}
