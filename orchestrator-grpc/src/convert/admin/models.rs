//! Models.

use orchestrator_core::{
    admin::ModelChange,
    catalog::{Model, defaults},
    error::Result,
};
use orchestrator_proto::v1;

use super::{read_only, timeouts, timeouts_message, timestamp, unknown};

/// The fields that can be changed.
pub(crate) const MUTABLE: [&str; 10] = [
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
];

/// The change that `paths` of a message make. A field that is named and unset gets its default.
pub(crate) fn change(message: v1::Model, paths: &[String]) -> Result<ModelChange> {
    let mut change = ModelChange::default();
    for path in paths {
        match path.as_str() {
            "name" => change.name = Some(message.name.clone()),
            "remark" => change.remark = Some(message.remark.clone()),
            "strategy" => change.strategy = Some(strategy(&message.strategy)),
            "fallbacks" => change.fallbacks = Some(message.fallbacks.clone()),
            "max_retry" => change.max_retry = Some(message.max_retry.unwrap_or(defaults::MAX_RETRY)),
            "timeout" => change.timeout = Some(message.timeout),
            "timeouts" => change.timeouts = Some(timeouts(message.timeouts)),
            "enabled" => change.enabled = Some(message.enabled.unwrap_or(true)),
            "requests_per_minute" => change.requests_per_minute = Some(message.requests_per_minute),
            "tokens_per_minute" => change.tokens_per_minute = Some(message.tokens_per_minute),
            "id" | "managed_by" | "created_at" | "updated_at" => return Err(read_only(path)),
            other => return Err(unknown(other)),
        }
    }
    Ok(change)
}

fn strategy(given: &str) -> String {
    if given.is_empty() { defaults::STRATEGY.to_owned() } else { given.to_owned() }
}

/// Into the contract.
pub(crate) fn message(model: Model) -> v1::Model {
    v1::Model {
        id: model.id,
        name: model.name,
        remark: model.remark,
        strategy: model.strategy,
        fallbacks: model.fallbacks,
        max_retry: Some(model.max_retry),
        timeout: model.timeout,
        timeouts: timeouts_message(model.timeouts),
        enabled: Some(model.enabled),
        created_at: timestamp(model.created_at),
        updated_at: timestamp(model.updated_at),
        managed_by: model.managed_by.name().to_owned(),
        requests_per_minute: model.limits.requests_per_minute,
        tokens_per_minute: model.limits.tokens_per_minute,
    }
}
