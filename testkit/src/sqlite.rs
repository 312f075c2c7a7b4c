//! A look into a gateway's SQLite file from outside, as an operator would take it.

use std::path::Path;

use serde_json::{Map, Value};
use sqlx::{
    Column as _, ConnectOptions as _, Row as _, TypeInfo as _, ValueRef as _,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

/// What a query finds, each row as a JSON object by column.
///
/// # Panics
/// The file cannot be opened, or the query is wrong: a test's own mistake.
pub async fn rows(database: &Path, query: &'static str) -> Vec<Value> {
    let options = SqliteConnectOptions::new().filename(database).read_only(true);
    let mut connection = options.connect().await.expect("the database opens");
    let rows = sqlx::query(query).fetch_all(&mut connection).await.expect("the query runs");
    rows.iter().map(object).collect()
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
