//! PostgreSQL: `postgres` and `initdb`, of Debian's package `postgresql`, which keeps them off the path.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};

use super::{Keeping, PASSWORD, USER, first_of, guard, missing, quoted};

pub(super) fn program() -> Result<PathBuf, String> {
    let mut candidates: Vec<PathBuf> = Vec::new();
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        candidates.extend(versions.flatten().map(|version| version.path().join("bin/postgres")));
    }
    // The newest first.
    candidates.sort();
    candidates.reverse();
    candidates.extend(["/usr/bin/postgres", "/usr/local/bin/postgres"].map(PathBuf::from));
    first_of(candidates).ok_or_else(|| missing("postgres", "postgresql"))
}

/// Makes the data folder and the user.
pub(super) fn prepare(program: &Path, folder: &Path, account: guard::Account) -> Result<(), String> {
    let password = folder.join("password");
    fs::write(&password, PASSWORD).map_err(|error| error.to_string())?;
    if let Some((user, group)) = account {
        std::os::unix::fs::chown(&password, Some(user), Some(group)).map_err(|error| error.to_string())?;
    }
    let mut command = Command::new(program.with_file_name("initdb"));
    command
        .args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"])
        .arg(format!("--username={USER}"))
        .arg(format!("--pwfile={}", password.display()))
        .arg("--pgdata")
        .arg(folder.join("data"))
        .current_dir(folder);
    guard::finish(&mut command, account)
}

/// What runs it. Where nothing needs to be kept safe from a power cut, it is small and quick; else as it is installed.
pub(super) fn command(program: &Path, folder: &Path, port: u16, keeping: Keeping) -> String {
    let keeping = match keeping {
        Keeping::Nothing => {
            "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=64MB"
        }
        Keeping::All => "",
    };
    format!(
        "{} -D {} -k {} -p {port} -c listen_addresses=127.0.0.1 -c max_connections=300 {keeping}",
        quoted(program),
        quoted(&folder.join("data")),
        quoted(folder)
    )
}

async fn connect(url: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().expect("the test's own URL");
    // It listens before it is ready.
    for _ in 0..500 {
        if let Ok(connection) = options.connect().await {
            return connection;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    options.connect().await.expect("the server answers")
}

pub(super) async fn create(server: &str, name: &str) {
    run(server, &format!("CREATE DATABASE {name}")).await;
}

pub(super) async fn run(url: &str, sql: &str) {
    let mut connection = connect(url).await;
    let statements = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    statements.execute(&mut connection).await.expect("the statements run");
    connection.close().await.expect("the connection closes");
}

pub(super) async fn texts(url: &str, sql: &str) -> Vec<String> {
    let mut connection = connect(url).await;
    let texts = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await;
    connection.close().await.expect("the connection closes");
    texts.expect("the query runs")
}
