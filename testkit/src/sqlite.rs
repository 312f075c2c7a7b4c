//! A look into a gateway's SQLite file from outside, as an operator would take it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Map, Value};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Connection as _, Row as _, TypeInfo as _, ValueRef as _,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

/// What a query finds, each row as a JSON object by column.
///
/// # Panics
/// The file cannot be opened, or the query is wrong: a test's own mistake.
pub async fn rows(database: &Path, query: &str) -> Vec<Value> {
    let options = SqliteConnectOptions::new().filename(database).read_only(true);
    let mut connection = options.connect().await.expect("the database opens");
    let rows = sqlx::query(AssertSqlSafe(query.to_owned()))
        .fetch_all(&mut connection)
        .await
        .expect("the query runs");
    rows.iter().map(object).collect()
}

/// A database that no statement of the gateway works on any more: its tables have other names until they are put back.
#[derive(Debug)]
pub struct Outage {
    database: PathBuf,
    tables: Vec<String>,
}

impl Outage {
    /// Takes all tables away from whoever has the file open.
    ///
    /// # Panics
    /// The file cannot be opened or changed: a test's own mistake.
    pub async fn begin(database: &Path) -> Self {
        let query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let names = rows(database, query).await;
        let tables: Vec<String> =
            names.iter().filter_map(|row| Some(row["name"].as_str()?.to_owned())).collect();
        assert!(!tables.is_empty(), "the database has tables");
        let renames = tables.iter().map(|table| format!("ALTER TABLE {table} RENAME TO away_{table};"));
        change(database, renames.collect()).await;
        Self { database: database.to_owned(), tables }
    }

    /// Puts the tables back as they were.
    ///
    /// # Panics
    /// The file cannot be opened or changed: a test's own mistake.
    pub async fn end(self) {
        let renames = self.tables.iter().map(|table| format!("ALTER TABLE away_{table} RENAME TO {table};"));
        change(&self.database, renames.collect()).await;
    }
}

/// A file that another connection than the gateway's holds locked: it can be read, and not written.
#[derive(Debug)]
pub struct Lock(sqlx::SqliteConnection);

impl Lock {
    /// Takes the lock (`BEGIN EXCLUSIVE`), as soon as nobody writes.
    ///
    /// # Panics
    /// The file cannot be opened, or others write without end: a test's own mistake.
    pub async fn take(database: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(database).busy_timeout(Duration::from_secs(10));
        let mut connection = options.connect().await.expect("the database opens");
        sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut connection).await.expect("the lock is free once");
        Self(connection)
    }

    /// Gives it back.
    ///
    /// # Panics
    /// It was not held.
    pub async fn release(mut self) {
        sqlx::raw_sql("COMMIT").execute(&mut self.0).await.expect("the lock was held");
        self.0.close().await.expect("the connection closes");
    }
}

/// All of these statements at once, or none.
async fn change(database: &Path, statements: String) {
    let options = SqliteConnectOptions::new().filename(database).busy_timeout(Duration::from_secs(10));
    let mut connection = options.connect().await.expect("the database opens");
    let transaction = format!("BEGIN IMMEDIATE; {statements} COMMIT;");
    sqlx::raw_sql(sqlx::AssertSqlSafe(transaction))
        .execute(&mut connection)
        .await
        .expect("the change is made");
}

fn object(row: &SqliteRow) -> Value {
    let columns = row.columns().iter().enumerate();
    Value::Object(
        columns.map(|(place, column)| (column.name().to_owned(), value(row, place))).collect::<Map<_, _>>(),
    )
}

fn value(row: &SqliteRow, place: usize) -> Value {
    let raw = row.try_get_raw(place).expect("a column in range");
    if raw.is_null() {
        return Value::Null;
    }
    match raw.type_info().name() {
        "INTEGER" | "BOOLEAN" => row.get::<i64, _>(place).into(),
        "REAL" => row.get::<f64, _>(place).into(),
        _ => row.get::<String, _>(place).into(),
    }
}
