//! Table `api_keys`.

use orchestrator_base::clock::UnixMicros;

use super::{
    StoreError,
    db::{Row, Value, damaged},
    entity::{Entity, Table, owner},
};
use crate::catalog::{ApiKey, OnDisconnect};

impl Entity for ApiKey {
    const TABLE: Table = Table {
        name: "api_keys",
        noun: "API key",
        columns: &[
            "id",
            "name",
            "owner",
            "team",
            "tags",
            "prefix",
            "digest",
            "models",
            "operations",
            "enabled",
            "expires_at",
            "on_disconnect",
            "log_bodies",
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
            (&self.owner).into(),
            (&self.team).into(),
            Value::json(&self.tags)?,
            (&self.prefix).into(),
            (&hex::encode(self.digest)).into(),
            Value::json(&self.models)?,
            Value::json(&self.operations)?,
            self.enabled.into(),
            self.expires_at.into(),
            Value::from(self.on_disconnect.name()),
            self.log_bodies.into(),
            self.managed_by.name().into(),
            self.created_at.into(),
            self.updated_at.into(),
        ])
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        let mut digest = [0; 32];
        hex::decode_to_slice(row.text("digest")?, &mut digest)
            .map_err(|error| damaged("digest", &error.to_string()))?;
        let on_disconnect = row.text("on_disconnect")?;
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            owner: row.text("owner")?,
            team: row.text("team")?,
            tags: row.json("tags")?,
            prefix: row.text("prefix")?,
            digest,
            models: row.json("models")?,
            operations: row.json("operations")?,
            enabled: row.bit("enabled")?,
            expires_at: row.maybe_int("expires_at")?.map(UnixMicros),
            on_disconnect: OnDisconnect::named(&on_disconnect)
                .ok_or_else(|| damaged("on_disconnect", &on_disconnect))?,
            log_bodies: row.bit("log_bodies")?,
            managed_by: owner(row)?,
            created_at: row.moment("created_at")?,
            updated_at: row.moment("updated_at")?,
        })
    }
}
