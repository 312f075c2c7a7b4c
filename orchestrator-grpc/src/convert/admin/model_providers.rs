//! Associations of models and providers.

use orchestrator_core::{
    admin::ModelProviderChange,
    catalog::{ModelProvider, defaults},
    error::Result,
};
use orchestrator_proto::v1;

use super::{read_only, timeouts, timeouts_message, timestamp, unknown};

/// The fields that can be changed.
pub(crate) const MUTABLE: [&str; 10] = [
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
];

/// The change that `paths` of a message make. A field that is named and unset gets its default.
pub(crate) fn change(message: v1::ModelProvider, paths: &[String]) -> Result<ModelProviderChange> {
    let mut change = ModelProviderChange::default();
    for path in paths {
        match path.as_str() {
            "model_id" => change.model_id = Some(message.model_id.clone()),
            "provider_id" => change.provider_id = Some(message.provider_id.clone()),
            "provider_model" => change.provider_model = Some(provider_model(&message.provider_model)),
            "priority" => change.priority = Some(message.priority),
            "weight" => change.weight = Some(message.weight.unwrap_or(defaults::WEIGHT)),
            "timeouts" => change.timeouts = Some(timeouts(message.timeouts)),
            "tool_call" => change.tool_call = Some(message.tool_call.unwrap_or(true)),
            "structured_output" => {
                change.structured_output = Some(message.structured_output.unwrap_or(true));
            }
            "image" => change.image = Some(message.image.unwrap_or(true)),
            "enabled" => change.enabled = Some(message.enabled.unwrap_or(true)),
            "id" | "managed_by" | "created_at" | "updated_at" => return Err(read_only(path)),
            other => return Err(unknown(other)),
        }
    }
    Ok(change)
}

fn provider_model(given: &str) -> String {
    if given.is_empty() { defaults::PROVIDER_MODEL.to_owned() } else { given.to_owned() }
}

/// Into the contract.
pub(crate) fn message(association: ModelProvider) -> v1::ModelProvider {
    v1::ModelProvider {
        id: association.id,
        model_id: association.model_id,
        provider_id: association.provider_id,
        provider_model: association.provider_model,
        priority: association.priority,
        weight: Some(association.weight),
        timeouts: timeouts_message(association.timeouts),
        tool_call: Some(association.tool_call),
        structured_output: Some(association.structured_output),
        image: Some(association.image),
        enabled: Some(association.enabled),
        created_at: timestamp(association.created_at),
        updated_at: timestamp(association.updated_at),
        managed_by: association.managed_by.name().to_owned(),
    }
}
