//! What a database says instead of an answer, and what it means.

use std::time::Duration;

use sqlx::error::ErrorKind;

use crate::store::StoreError;

/// A column that holds what this program never wrote.
pub(in crate::store) fn damaged(column: &str, why: &str) -> StoreError {
    StoreError::Unavailable(format!("column {column} cannot be read: {why}"))
}

/// Any failure that is not about the values given.
pub(in crate::store) fn unavailable(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(match error {
        // sqlx's own words name neither the database nor the reason.
        sqlx::Error::PoolTimedOut => "it gave no connection in time".to_owned(),
        sqlx::Error::PoolClosed => "its connections were closed: the program is ending".to_owned(),
        // The server's words, on one line.
        other => other.to_string().replace('\n', " "),
    })
}

/// A statement that was given up.
pub(super) fn too_slow(limit: Duration) -> sqlx::Error {
    let message = format!("it did not answer a statement within {} s", limit.as_secs());
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, message))
}

/// Whether the database undid the transaction because it stood in another's way: done again, it may well succeed.
///
/// MySQL: 1213 deadlock, 1205 lock wait time-out (<https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html>).
/// PostgreSQL: 40P01 deadlock, 40001 serialization failure, 55P03 lock wait time-out
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>). SQLite has one writer, and none of this.
pub(super) fn stood_in_the_way(error: &sqlx::Error) -> bool {
    let Some(said) = error.as_database_error() else { return false };
    if let Some(mysql) = said.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return matches!(mysql.number(), 1205 | 1213);
    }
    let is_postgres = said.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some();
    is_postgres && said.code().is_some_and(|code| matches!(&*code, "40P01" | "40001" | "55P03"))
}

/// Whether operators should see it: not what a constraint is there to refuse, nor what is tried again.
pub(super) fn is_a_failure(error: &sqlx::Error) -> bool {
    let refused = error.as_database_error().is_some_and(|said| !matches!(said.kind(), ErrorKind::Other));
    !refused && !stood_in_the_way(error)
}

/// A failure to add rows: whether they are there, whether the database will never take them, or whether it is worth trying again.
pub(in crate::store) fn stored(error: sqlx::Error) -> StoreError {
    let Some(said) = error.as_database_error() else {
        return match error {
            sqlx::Error::Encode(why) => StoreError::Refused(why.to_string()),
            error => unavailable(error),
        };
    };
    if said.is_unique_violation() {
        return StoreError::Exists { noun: "record", name: said.message().to_owned() };
    }
    // MySQL has no class for a text that is none in its column's character set.
    let mysql = said.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>();
    let is_no_text = mysql.is_some_and(|said| said.number() == 1366);
    if is_no_text || is_about_values(said.code().as_deref().unwrap_or_default()) {
        return StoreError::Refused(said.message().to_owned());
    }
    unavailable(error)
}

/// Whether a code says that the values cannot be stored: not now and not later. All else may pass: a disk that is full, a lock.
fn is_about_values(code: &str) -> bool {
    match code.len() {
        // SQLSTATE, on MySQL and PostgreSQL: data exceptions, integrity constraints, limits of the program.
        5 => ["22", "23", "54"].iter().any(|class| code.starts_with(class)),
        // SQLite's result code, the extended one in the upper bytes: too big, constraint, mismatch.
        _ => code.parse().is_ok_and(|code: u32| matches!(code & 0xff, 18..=20)),
    }
}
