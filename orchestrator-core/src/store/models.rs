//! Table `models`.

use super::{
    StoreError,
    db::{Row, Value},
    entity::{Entity, Table, owner},
    limits,
};
use crate::catalog::Model;

impl Entity for Model {
    const TABLE: Table = Table {
        name: "models",
        noun: "model",
        columns: &[
            "id",
            "name",
            "remark",
            "strategy",
            "fallbacks",
            "max_retry",
            "timeout",
            "timeouts",
            "enabled",
            "requests_per_minute",
            "tokens_per_minute",
            "managed_by",
            "created_at",
            "updated_at",
        ],
    };

    fn label(&self) -> &str {
        &self.name
    }

    fn values(&self) -> Result<Vec<Value>, StoreError> {
        let [requests, tokens] = limits::rates(&self.limits)?;
        Ok(vec![
            (&self.id).into(),
            (&self.name).into(),
            (&self.remark).into(),
            (&self.strategy).into(),
            Value::json(&self.fallbacks)?,
            self.max_retry.into(),
            self.timeout.into(),
            Value::json(&self.timeouts)?,
            self.enabled.into(),
            requests,
            tokens,
            self.managed_by.name().into(),
            self.created_at.into(),
            self.updated_at.into(),
        ])
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            remark: row.text("remark")?,
            strategy: row.text("strategy")?,
            fallbacks: row.json("fallbacks")?,
            max_retry: row.small("max_retry")?,
            timeout: row.maybe_small("timeout")?,
            timeouts: row.json("timeouts")?,
            enabled: row.bit("enabled")?,
            limits: limits::read_rates(row)?,
            managed_by: owner(row)?,
            created_at: row.moment("created_at")?,
            updated_at: row.moment("updated_at")?,
        })
    }
}
