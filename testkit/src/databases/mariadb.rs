//! MariaDB: `mariadbd` and `mariadb-install-db`, of Debian's package `mariadb-server`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, MySqlConnection, mysql::MySqlConnectOptions,
};

use super::{Keeping, PASSWORD, USER, first_of, guard, missing, quoted};

pub(super) fn program() -> Result<PathBuf, String> {
    let names = ["mariadbd", "mysqld"];
    let folders = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"];
    let candidates = names.iter().flat_map(|name| folders.map(|folder| Path::new(folder).join(name)));
    first_of(candidates).ok_or_else(|| missing("mariadbd", "mariadb-server"))
}

/// Makes the data folder, and a file of what the server does before it listens: it makes the user.
pub(super) fn prepare(folder: &Path, account: guard::Account) -> Result<(), String> {
    let install =
        first_of(["/usr/bin/mariadb-install-db", "/usr/local/bin/mariadb-install-db"].map(PathBuf::from))
            .ok_or_else(|| missing("mariadb-install-db", "mariadb-server"))?;
    let users = format!(
        "CREATE USER IF NOT EXISTS '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL ON *.* TO '{USER}'@'127.0.0.1' WITH GRANT OPTION;\n"
    );
    let file = folder.join("init.sql");
    fs::write(&file, users).map_err(|error| error.to_string())?;
    if let Some((user, group)) = account {
        std::os::unix::fs::chown(&file, Some(user), Some(group)).map_err(|error| error.to_string())?;
    }
    let mut command = Command::new(install);
    command
        .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
        .args(["--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0"])
        .arg(format!("--datadir={}", folder.join("data").display()))
        .arg(format!("--tmpdir={}", folder.display()))
        .current_dir(folder);
    guard::finish(&mut command, account)
}

/// What runs it. Where nothing needs to be kept safe from a power cut, it is small and quick; else as it is installed.
pub(super) fn command(program: &Path, folder: &Path, port: u16, keeping: Keeping) -> String {
    let (data, temporary) = (quoted(&folder.join("data")), quoted(folder));
    let (socket, init) = (quoted(&folder.join("s")), quoted(&folder.join("init.sql")));
    let keeping = match keeping {
        Keeping::Nothing => {
            "--innodb-log-file-size=8M --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=64M"
        }
        Keeping::All => "",
    };
    format!(
        "{} --no-defaults --datadir={data} --tmpdir={temporary} --socket={socket} --pid-file={temporary}/pid --port={port} \
         --bind-address=127.0.0.1 --skip-name-resolve --init-file={init} --max-connections=300 --skip-log-bin {keeping}",
        quoted(program)
    )
}

async fn connect(url: &str) -> MySqlConnection {
    let options: MySqlConnectOptions = url.parse().expect("the test's own URL");
    options.connect().await.expect("the server answers")
}

pub(super) async fn create(server: &str, name: &str) {
    // The default is one that the program must not depend on.
    run(server, &format!("CREATE DATABASE {name} CHARACTER SET latin1")).await;
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
