//! Table `api_keys`.

use orchestrator_base::clock::UnixMicros;

use super::{
    StoreError,
    db::{Row, Tx, Value, damaged},
    entity::{Entity, Table, find, owner},
    limits,
};
use crate::catalog::{ApiKey, OnDisconnect, PreviousSecret};

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
            "requests_per_minute",
            "tokens_per_minute",
            "max_concurrency",
            "budget_nanos",
            "budget_period",
            "previous_digest",
            "previous_until",
            "managed_by",
            "created_at",
            "updated_at",
        ],
    };

    fn label(&self) -> &str {
        &self.name
    }

    fn values(&self) -> Result<Vec<Value>, StoreError> {
        let previous = self.previous.as_ref();
        let mut values: Vec<Value> = vec![
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
        ];
        values.extend(limits::values(&self.limits)?);
        values.extend([
            previous.map(|previous| hex::encode(previous.digest)).into(),
            previous.map(|previous| previous.until).into(),
            self.managed_by.name().into(),
            self.created_at.into(),
            self.updated_at.into(),
        ]);
        Ok(values)
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        let on_disconnect = row.text("on_disconnect")?;
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            owner: row.text("owner")?,
            team: row.text("team")?,
            tags: row.json("tags")?,
            prefix: row.text("prefix")?,
            digest: digest("digest", &row.text("digest")?)?,
            models: row.json("models")?,
            operations: row.json("operations")?,
            enabled: row.bit("enabled")?,
            expires_at: row.maybe_int("expires_at")?.map(UnixMicros),
            on_disconnect: OnDisconnect::named(&on_disconnect)
                .ok_or_else(|| damaged("on_disconnect", &on_disconnect))?,
            log_bodies: row.bit("log_bodies")?,
            limits: limits::read(row)?,
            previous: previous(row)?,
            managed_by: owner(row)?,
            created_at: row.moment("created_at")?,
            updated_at: row.moment("updated_at")?,
        })
    }
}

/// Fails where the key was changed since: another core's new secret or new team must not be undone by what was read before it.
pub(super) async fn is_as_of(tx: &mut Tx, id: &str, at: UnixMicros) -> Result<(), StoreError> {
    match find::<ApiKey>(tx, "id", id).await? {
        Some(key) if key.updated_at != at => {
            let why = format!("API key {} was changed meanwhile; look at it and try again", key.name);
            Err(StoreError::Conflict(why))
        }
        _ => Ok(()),
    }
}

fn previous(row: &Row) -> Result<Option<PreviousSecret>, StoreError> {
    let (text, until) = (row.maybe_text("previous_digest")?, row.maybe_int("previous_until")?);
    let (Some(text), Some(until)) = (text, until) else { return Ok(None) };
    Ok(Some(PreviousSecret { digest: digest("previous_digest", &text)?, until: UnixMicros(until) }))
}

fn digest(column: &'static str, text: &str) -> Result<[u8; 32], StoreError> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).map_err(|error| damaged(column, &error.to_string()))?;
    Ok(digest)
}
