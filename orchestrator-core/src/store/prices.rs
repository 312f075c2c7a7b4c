//! Table `prices`. Rows are only ever added: a cost in the log names the version that it was computed from.

use super::{
    StoreError,
    db::{Row, Tx, Value, damaged},
    entity::{Entity, Table, insert},
};
use crate::{catalog::OwnPrice, policy::price::Rates};

impl Entity for OwnPrice {
    const TABLE: Table = Table {
        name: "prices",
        noun: "price",
        columns: &[
            "id",
            "version",
            "kind",
            "upstream_model",
            "input",
            "cached_read",
            "cache_write",
            "output",
            "deleted",
            "created_at",
        ],
    };

    fn label(&self) -> &str {
        &self.upstream_model
    }

    fn values(&self) -> Result<Vec<Value>, StoreError> {
        let rate = |rate: Option<u64>| rate.map_or(Value::Int(None), Value::count);
        let Rates { input, cached_read, cache_write, output } = self.rates;
        Ok(vec![
            (&self.id).into(),
            self.version.into(),
            (&self.kind).into(),
            (&self.upstream_model).into(),
            rate(input),
            rate(cached_read),
            rate(cache_write),
            rate(output),
            self.deleted.into(),
            self.created_at.into(),
        ])
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        let rate = |column: &str| match row.maybe_int(column)? {
            Some(int) => u64::try_from(int).map(Some).map_err(|error| damaged(column, &error.to_string())),
            None => Ok(None),
        };
        Ok(Self {
            id: row.text("id")?,
            version: row.int("version")?,
            kind: row.text("kind")?,
            upstream_model: row.text("upstream_model")?,
            rates: Rates {
                input: rate("input")?,
                cached_read: rate("cached_read")?,
                cache_write: rate("cache_write")?,
                output: rate("output")?,
            },
            deleted: row.bit("deleted")?,
            created_at: row.moment("created_at")?,
        })
    }
}

/// Adds a row with the next version. Whoever changes the catalog holds its revision's row, so that no two get the same one.
pub(super) async fn set(tx: &mut Tx, price: &OwnPrice) -> Result<(), StoreError> {
    let sql = "SELECT version FROM prices ORDER BY version DESC LIMIT 1".to_owned();
    let rows = tx.rows(sql, Vec::new()).await?;
    let last = rows.first().map(|row| row.int("version")).transpose()?.unwrap_or_default();
    insert(tx, &OwnPrice { version: last + 1, ..price.clone() }).await
}

/// The row in force for just this kind and model.
pub(super) async fn in_force_for(
    tx: &mut Tx,
    kind: &str,
    upstream_model: &str,
) -> Result<Option<OwnPrice>, StoreError> {
    let columns = OwnPrice::TABLE.columns.join(", ");
    let sql = format!(
        "SELECT {columns} FROM prices WHERE kind = ? AND upstream_model = ? ORDER BY version DESC LIMIT 1"
    );
    let rows = tx.rows(sql, vec![kind.into(), upstream_model.into()]).await?;
    let latest = rows.first().map(OwnPrice::read).transpose()?;
    Ok(latest.filter(|price| !price.deleted))
}

/// The rows in force: of each kind and model the latest, unless it says that the price is as shipped.
pub(super) async fn in_force(tx: &mut Tx) -> Result<Vec<OwnPrice>, StoreError> {
    let columns = OwnPrice::TABLE.columns.join(", ");
    let sql = format!(
        "SELECT {columns} FROM prices WHERE deleted = 0 AND NOT EXISTS (SELECT 1 FROM prices later \
         WHERE later.kind = prices.kind AND later.upstream_model = prices.upstream_model \
         AND later.version > prices.version) ORDER BY kind, upstream_model"
    );
    tx.rows(sql, Vec::new()).await?.iter().map(OwnPrice::read).collect()
}
