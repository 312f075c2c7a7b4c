//! Table `model_providers`.

use super::{
    StoreError,
    db::{Row, Value},
    entity::{Entity, Table, owner},
};
use crate::catalog::ModelProvider;

impl Entity for ModelProvider {
    const TABLE: Table = Table {
        name: "model_providers",
        noun: "model-provider",
        columns: &[
            "id",
            "model_id",
            "provider_id",
            "provider_model",
            "priority",
            "weight",
            "timeouts",
            "tool_call",
            "structured_output",
            "image",
            "enabled",
            "managed_by",
            "created_at",
            "updated_at",
        ],
    };

    fn label(&self) -> &str {
        &self.provider_model
    }

    fn values(&self) -> Result<Vec<Value>, StoreError> {
        Ok(vec![
            (&self.id).into(),
            (&self.model_id).into(),
            (&self.provider_id).into(),
            (&self.provider_model).into(),
            self.priority.into(),
            self.weight.into(),
            Value::json(&self.timeouts)?,
            self.tool_call.into(),
            self.structured_output.into(),
            self.image.into(),
            self.enabled.into(),
            self.managed_by.name().into(),
            self.created_at.into(),
            self.updated_at.into(),
        ])
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text("id")?,
            model_id: row.text("model_id")?,
            provider_id: row.text("provider_id")?,
            provider_model: row.text("provider_model")?,
            priority: row.maybe_small("priority")?,
            weight: row.small("weight")?,
            timeouts: row.json("timeouts")?,
            tool_call: row.bit("tool_call")?,
            structured_output: row.bit("structured_output")?,
            image: row.bit("image")?,
            enabled: row.bit("enabled")?,
            managed_by: owner(row)?,
            created_at: row.moment("created_at")?,
            updated_at: row.moment("updated_at")?,
        })
    }
}
