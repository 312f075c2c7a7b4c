//! Table `providers`.

use super::{
    StoreError,
    db::{Row, Value},
    entity::{Entity, Table, owner},
};
use crate::catalog::Provider;

impl Entity for Provider {
    const TABLE: Table = Table {
        name: "providers",
        noun: "provider",
        columns: &[
            "id",
            "name",
            "kind",
            "base_url",
            "enabled",
            "priority",
            "weight",
            "max_retries",
            "timeout",
            "timeouts",
            "rate_limit",
            "headers",
            "options",
            "managed_by",
            "created_at",
            "updated_at",
        ],
    };

    fn label(&self) -> &str {
        &self.name
    }

    fn values(&self) -> Result<Vec<Value>, StoreError> {
        Ok(vec![
            (&self.id).into(),
            (&self.name).into(),
            (&self.kind).into(),
            (&self.base_url).into(),
            self.enabled.into(),
            self.priority.into(),
            self.weight.into(),
            self.max_retries.into(),
            self.timeout.into(),
            Value::json(&self.timeouts)?,
            self.rate_limit.into(),
            Value::json(&self.headers)?,
            Value::json(&self.options)?,
            self.managed_by.name().into(),
            self.created_at.into(),
            self.updated_at.into(),
        ])
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            kind: row.text("kind")?,
            base_url: row.text("base_url")?,
            enabled: row.bit("enabled")?,
            priority: row.small("priority")?,
            weight: row.small("weight")?,
            max_retries: row.small("max_retries")?,
            timeout: row.maybe_small("timeout")?,
            timeouts: row.json("timeouts")?,
            rate_limit: row.maybe_small("rate_limit")?,
            headers: row.json("headers")?,
            options: row.json("options")?,
            managed_by: owner(row)?,
            created_at: row.moment("created_at")?,
            updated_at: row.moment("updated_at")?,
        })
    }
}
