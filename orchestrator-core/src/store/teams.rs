//! Table `teams`.

use super::{
    StoreError,
    db::{Row, Value},
    entity::{Entity, Table, owner},
    limits,
};
use crate::catalog::Team;

impl Entity for Team {
    const TABLE: Table = Table {
        name: "teams",
        noun: "team",
        columns: &[
            "id",
            "name",
            "remark",
            "enabled",
            "requests_per_minute",
            "tokens_per_minute",
            "max_concurrency",
            "budget_nanos",
            "budget_period",
            "managed_by",
            "created_at",
            "updated_at",
        ],
    };

    fn label(&self) -> &str {
        &self.name
    }

    fn values(&self) -> Result<Vec<Value>, StoreError> {
        let mut values: Vec<Value> =
            vec![(&self.id).into(), (&self.name).into(), (&self.remark).into(), self.enabled.into()];
        values.extend(limits::values(&self.limits)?);
        values.extend([self.managed_by.name().into(), self.created_at.into(), self.updated_at.into()]);
        Ok(values)
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            remark: row.text("remark")?,
            enabled: row.bit("enabled")?,
            limits: limits::read(row)?,
            managed_by: owner(row)?,
            created_at: row.moment("created_at")?,
            updated_at: row.moment("updated_at")?,
        })
    }
}
