//! Table `provider_keys`.

use super::{
    StoreError,
    db::{Row, Value},
    entity::{Entity, Table},
};
use crate::catalog::ProviderKey;

impl Entity for ProviderKey {
    const TABLE: Table = Table {
        name: "provider_keys",
        noun: "provider key",
        columns: &[
            "id",
            "provider_id",
            "label",
            "masked",
            "sealed",
            "weight",
            "enabled",
            "created_at",
            "updated_at",
        ],
    };

    fn label(&self) -> &str {
        &self.label
    }

    fn values(&self) -> Result<Vec<Value>, StoreError> {
        Ok(vec![
            (&self.id).into(),
            (&self.provider_id).into(),
            (&self.label).into(),
            (&self.masked).into(),
            (&self.sealed).into(),
            self.weight.into(),
            self.enabled.into(),
            self.created_at.into(),
            self.updated_at.into(),
        ])
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text("id")?,
            provider_id: row.text("provider_id")?,
            label: row.text("label")?,
            masked: row.text("masked")?,
            sealed: row.text("sealed")?,
            weight: row.small("weight")?,
            enabled: row.bit("enabled")?,
            created_at: row.moment("created_at")?,
            updated_at: row.moment("updated_at")?,
        })
    }
}
