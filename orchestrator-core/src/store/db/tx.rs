//! A transaction: statements in, rows out.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, Database, Encode, IntoArguments, MySql, Postgres, Sqlite, Transaction, Type, query::Query,
};

use super::{
    Row, Value,
    fault::{is_a_failure, stood_in_the_way, too_slow, unavailable},
    placeholders::numbered,
};
use crate::{metrics::Timer, store::StoreError};

/// How long a server may take for one statement. Then its connection is given up, so that a server that hangs holds nobody for ever.
/// SQLite needs none: it waits for nothing but a lock, and that has a limit of its own.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a transaction that stood in another's way is done again.
const TRIES: u32 = 10;
/// How long to wait before that, times the number of tries so far.
const TRY_AGAIN: Duration = Duration::from_millis(5);

/// A transaction; dropped without [`Tx::commit`], it is rolled back.
pub(in crate::store) struct Tx {
    on: On,
    timer: Timer,
    /// The database undid it because it stood in another's way.
    undone: bool,
}

pub(super) enum On {
    Sqlite(Transaction<'static, Sqlite>),
    MySql(Transaction<'static, MySql>),
    Postgres(Transaction<'static, Postgres>),
}

/// How often a change has been tried: see [`Tx::settle`].
#[derive(Debug, Default)]
pub(in crate::store) struct Tries(u32);

impl Tx {
    pub(super) fn begun(on: Result<On, sqlx::Error>, timer: Timer) -> Result<Self, StoreError> {
        match on {
            Ok(on) => Ok(Self { on, timer, undone: false }),
            Err(error) => {
                timer.failed();
                Err(unavailable(error))
            }
        }
    }

    /// Runs a statement and says how many rows it touched, those too that it found as it would have left them. `sql` holds `?` for
    /// each of `values`, and nothing of the caller's.
    pub(in crate::store) async fn execute(
        &mut self,
        sql: String,
        values: Vec<Value>,
    ) -> Result<u64, sqlx::Error> {
        let done = match &mut self.on {
            On::Sqlite(tx) => bind(sql, values).execute(&mut **tx).await.map(|done| done.rows_affected()),
            On::MySql(tx) => {
                let running = bind::<MySql>(sql, values).execute(&mut **tx);
                in_time(running).await.map(|done| done.rows_affected())
            }
            On::Postgres(tx) => {
                let running = bind::<Postgres>(numbered(&sql), without_nul(values)).execute(&mut **tx);
                in_time(running).await.map(|done| done.rows_affected())
            }
        };
        self.noting(done)
    }

    /// Runs a query.
    pub(in crate::store) async fn rows(
        &mut self,
        sql: String,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let rows = match &mut self.on {
            On::Sqlite(tx) => {
                let rows = bind(sql, values).fetch_all(&mut **tx).await;
                rows.map(|rows| rows.into_iter().map(Row::Sqlite).collect())
            }
            On::MySql(tx) => {
                let rows = in_time(bind::<MySql>(sql, values).fetch_all(&mut **tx)).await;
                rows.map(|rows| rows.into_iter().map(Row::MySql).collect())
            }
            On::Postgres(tx) => {
                let asking = bind::<Postgres>(numbered(&sql), without_nul(values)).fetch_all(&mut **tx);
                in_time(asking).await.map(|rows| rows.into_iter().map(Row::Postgres).collect())
            }
        };
        self.noting(rows).map_err(unavailable)
    }

    /// Makes it last.
    pub(in crate::store) async fn commit(self) -> Result<(), StoreError> {
        self.end().await.map_err(unavailable)
    }

    /// Ends a change that may have stood in another's way: two cores that write at once can lock rows in a different order, and then
    /// the database undoes one of the two.
    ///
    /// Commits it if `outcome` is a success, and gives what it holds. `None`: it was undone, and the caller is to begin again with
    /// a new transaction. Otherwise the failure stands. So a change is a loop:
    ///
    /// ```ignore
    /// let mut tries = Tries::default();
    /// loop {
    ///     let mut tx = self.db.write().await?;
    ///     let outcome = change(&mut tx).await;
    ///     if let Some(done) = tx.settle(outcome, &mut tries).await? {
    ///         return Ok(done);
    ///     }
    /// }
    /// ```
    pub(in crate::store) async fn settle<T>(
        self,
        outcome: Result<T, StoreError>,
        tries: &mut Tries,
    ) -> Result<Option<T>, StoreError> {
        let mut undone = self.undone;
        let outcome = match outcome {
            Ok(value) => match self.end().await {
                Ok(()) => return Ok(Some(value)),
                Err(error) => {
                    undone |= stood_in_the_way(&error);
                    Err(unavailable(error))
                }
            },
            Err(error) => {
                drop(self);
                Err(error)
            }
        };
        tries.0 += 1;
        if !undone || tries.0 >= TRIES {
            return outcome;
        }
        tokio::time::sleep(TRY_AGAIN * tries.0).await;
        Ok(None)
    }

    async fn end(self) -> Result<(), sqlx::Error> {
        let Self { on, timer, .. } = self;
        let ended = match on {
            On::Sqlite(tx) => tx.commit().await,
            On::MySql(tx) => in_time(tx.commit()).await,
            On::Postgres(tx) => in_time(tx.commit()).await,
        };
        if ended.as_ref().is_err_and(is_a_failure) {
            timer.failed();
        }
        ended
    }

    fn noting<T>(&mut self, outcome: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        if let Err(error) = &outcome {
            self.undone |= stood_in_the_way(error);
            if is_a_failure(error) {
                self.timer.failed();
            }
        }
        outcome
    }
}

/// What a server does, or that it took too long.
pub(super) async fn in_time<T>(
    running: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let done = tokio::time::timeout(STATEMENT_TIMEOUT, running).await;
    done.unwrap_or_else(|_| Err(too_slow(STATEMENT_TIMEOUT)))
}

fn bind<DB>(sql: String, values: Vec<Value>) -> Query<'static, DB, DB::Arguments>
where
    DB: Database,
    DB::Arguments: IntoArguments<DB>,
    Option<String>: Encode<'static, DB> + Type<DB>,
    Option<i64>: Encode<'static, DB> + Type<DB>,
{
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for value in values {
        query = match value {
            Value::Text(text) => query.bind(text),
            Value::Int(int) => query.bind(int),
        };
    }
    query
}

/// PostgreSQL's text cannot hold NUL. The replacement character stands for it, both where it is written and where it is looked for.
fn without_nul(mut values: Vec<Value>) -> Vec<Value> {
    for value in &mut values {
        if let Value::Text(Some(text)) = value
            && text.contains('\0')
        {
            *text = text.replace('\0', "\u{fffd}");
        }
    }
    values
}
