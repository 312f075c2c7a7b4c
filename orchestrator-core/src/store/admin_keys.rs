//! Table `admin_keys`.

use orchestrator_base::clock::UnixMicros;

use super::{
    StoreError,
    db::{Row, Value, damaged},
    entity::{Entity, Table},
};
use crate::catalog::admin_keys::{AdminKey, Role};

impl Entity for AdminKey {
    const TABLE: Table = Table {
        name: "admin_keys",
        noun: "admin key",
        columns: &[
            "id",
            "name",
            "role",
            "prefix",
            "digest",
            "enabled",
            "expires_at",
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
            Value::from(self.role.name()),
            (&self.prefix).into(),
            (&hex::encode(self.digest)).into(),
            self.enabled.into(),
            self.expires_at.into(),
            self.created_at.into(),
            self.updated_at.into(),
        ])
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        let mut digest = [0; 32];
        hex::decode_to_slice(row.text("digest")?, &mut digest)
            .map_err(|error| damaged("digest", &error.to_string()))?;
        let role = row.text("role")?;
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            role: Role::from_name(&role).ok_or_else(|| damaged("role", &role))?,
            prefix: row.text("prefix")?,
            digest,
            enabled: row.bit("enabled")?,
            expires_at: row.maybe_int("expires_at")?.map(UnixMicros),
            created_at: row.moment("created_at")?,
            updated_at: row.moment("updated_at")?,
        })
    }
}
