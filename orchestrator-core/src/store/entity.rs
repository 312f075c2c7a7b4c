//! What the catalog's tables have in common: how a row is inserted, changed, deleted, found and listed.
//!
//! Each table's file says its columns, once, and how a row is written and read ([`Entity`]); the statements are made here.

use super::{
    Slice, StoreError,
    db::{Row, Tx, Value, damaged, unavailable},
};
use crate::catalog::ManagedBy;

/// A table of the catalog.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    /// The table's name.
    pub(super) name: &'static str,
    /// What one row is called in messages.
    pub(super) noun: &'static str,
    /// Every column, `id` first.
    pub(super) columns: &'static [&'static str],
}

/// One row of a table, in the domain's words.
pub(super) trait Entity: Sized {
    /// Where it lies.
    const TABLE: Table;

    /// What it is called in messages: its name, or what is unique about it.
    fn label(&self) -> &str;

    /// A value for each column, in the table's order.
    fn values(&self) -> Result<Vec<Value>, StoreError>;

    /// Reads a row.
    fn read(row: &Row) -> Result<Self, StoreError>;
}

/// Adds a row.
pub(super) async fn insert<E: Entity>(tx: &mut Tx, entity: &E) -> Result<(), StoreError> {
    let Table { name, columns, .. } = E::TABLE;
    let sql = format!("INSERT INTO {name} ({}) VALUES {}", columns.join(", "), placeholders(columns.len()));
    tx.execute(sql, entity.values()?).await.map_err(|error| refused::<E>(error, entity.label()))?;
    Ok(())
}

/// Writes every column of the row with this id.
pub(super) async fn update<E: Entity>(tx: &mut Tx, entity: &E) -> Result<(), StoreError> {
    let Table { name, noun, columns } = E::TABLE;
    let sets: Vec<String> = columns[1..].iter().map(|column| format!("{column} = ?")).collect();
    let sql = format!("UPDATE {name} SET {} WHERE id = ?", sets.join(", "));
    // The id is the first column, and the last placeholder.
    let mut values = entity.values()?;
    values.rotate_left(1);
    let touched = tx.execute(sql, values).await.map_err(|error| refused::<E>(error, entity.label()))?;
    if touched == 0 { Err(StoreError::NotFound(noun)) } else { Ok(()) }
}

/// Deletes the row with this id, and what belongs to it.
pub(super) async fn delete<E: Entity>(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    let sql = format!("DELETE FROM {} WHERE id = ?", E::TABLE.name);
    let touched = tx.execute(sql, vec![id.into()]).await.map_err(unavailable)?;
    if touched == 0 { Err(StoreError::NotFound(E::TABLE.noun)) } else { Ok(()) }
}

/// The row whose `column` has this value.
pub(super) async fn find<E: Entity>(tx: &mut Tx, column: &str, value: &str) -> Result<Option<E>, StoreError> {
    let sql = format!("{} WHERE {column} = ?", select::<E>());
    let rows = tx.rows(sql, vec![value.into()]).await?;
    rows.first().map(E::read).transpose()
}

/// A slice of the rows that match every filter (column and value), oldest first: ids of UUID v7 sort by their time.
pub(super) async fn list<E: Entity>(
    tx: &mut Tx,
    filters: &[(&str, Option<&str>)],
    slice: &Slice,
) -> Result<Vec<E>, StoreError> {
    let mut conditions = Vec::new();
    let mut values = Vec::new();
    for (column, value) in filters {
        if let Some(value) = value {
            conditions.push(format!("{column} = ?"));
            values.push(Value::from(*value));
        }
    }
    if let Some(after) = &slice.after {
        conditions.push("id > ?".to_owned());
        values.push(Value::from(after));
    }
    let mut sql = select::<E>();
    if !conditions.is_empty() {
        sql.push_str(" WHERE ");
        sql.push_str(&conditions.join(" AND "));
    }
    sql.push_str(" ORDER BY id LIMIT ?");
    values.push(Value::from(slice.limit));
    read_all(&tx.rows(sql, values).await?)
}

/// Every row, oldest first.
pub(super) async fn all<E: Entity>(tx: &mut Tx) -> Result<Vec<E>, StoreError> {
    let sql = format!("{} ORDER BY id", select::<E>());
    read_all(&tx.rows(sql, Vec::new()).await?)
}

/// The column `managed_by`.
pub(super) fn owner(row: &Row) -> Result<ManagedBy, StoreError> {
    ManagedBy::from_name(&row.text("managed_by")?).ok_or_else(|| damaged("managed_by", "unknown word"))
}

/// `(?, ?, ?)`.
pub(super) fn placeholders(count: usize) -> String {
    format!("({})", vec!["?"; count].join(", "))
}

fn select<E: Entity>() -> String {
    format!("SELECT {} FROM {}", E::TABLE.columns.join(", "), E::TABLE.name)
}

fn read_all<E: Entity>(rows: &[Row]) -> Result<Vec<E>, StoreError> {
    rows.iter().map(E::read).collect()
}

/// What the database has against a row, in the domain's words.
fn refused<E: Entity>(error: sqlx::Error, label: &str) -> StoreError {
    let noun = E::TABLE.noun;
    match error.as_database_error() {
        Some(said) if said.is_unique_violation() => StoreError::Exists { noun, name: label.to_owned() },
        Some(said) if said.is_foreign_key_violation() => {
            StoreError::Conflict(format!("{noun} {label} names a row that does not exist"))
        }
        _ => unavailable(error),
    }
}
