//! Callers' keys.

use std::collections::HashMap;

use orchestrator_base::clock::UnixMicros;
use orchestrator_core::{
    admin::{ApiKeyChange, CreatedApiKey},
    catalog::{ApiKey, OnDisconnect},
    error::{Error, Result},
};
use orchestrator_proto::v1;
use secrecy::ExposeSecret as _;

use super::{limits, moment, read_only, timestamp, unknown};

/// The fields that can be changed.
pub(crate) const MUTABLE: [&str; 15] = [
    "name",
    "owner",
    "team",
    "tags",
    "models",
    "operations",
    "enabled",
    "expires_at",
    "requests_per_minute",
    "tokens_per_minute",
    "max_concurrency",
    "budget_usd",
    "budget_period",
    "log_bodies",
    "on_disconnect",
];

/// The change that `paths` of a message make. A field that is named and unset gets its default.
pub(crate) fn change(message: v1::ApiKey, paths: &[String]) -> Result<ApiKeyChange> {
    let mut change = ApiKeyChange::default();
    for path in paths {
        match path.as_str() {
            "name" => change.name = Some(message.name.clone()),
            "owner" => change.owner = Some(message.owner.clone()),
            "team" => change.team = Some(message.team.clone()),
            "tags" => change.tags = Some(message.tags.clone()),
            "models" => change.models = Some(message.models.clone()),
            "operations" => change.operations = Some(message.operations.clone()),
            "enabled" => change.enabled = Some(message.enabled.unwrap_or(true)),
            "expires_at" => {
                let expires_at = message.expires_at.map(|at| moment("expires_at", at));
                change.expires_at = Some(expires_at.transpose()?);
            }
            "requests_per_minute" => change.limits.requests_per_minute = Some(message.requests_per_minute),
            "tokens_per_minute" => change.limits.tokens_per_minute = Some(message.tokens_per_minute),
            "max_concurrency" => change.limits.max_concurrency = Some(message.max_concurrency),
            "budget_usd" => change.limits.budget_nanos = Some(limits::nanos(message.budget_usd)?),
            "budget_period" => change.limits.budget_period = Some(message.budget_period.clone()),
            "log_bodies" => change.log_bodies = Some(message.log_bodies),
            "on_disconnect" => change.on_disconnect = Some(on_disconnect(&message.on_disconnect)?),
            "id" | "prefix" | "last_used_at" | "previous_until" | "spent_usd" | "secret" | "managed_by"
            | "created_at" | "updated_at" => return Err(read_only(path)),
            other => return Err(unknown(other)),
        }
    }
    Ok(change)
}

fn on_disconnect(name: &str) -> Result<OnDisconnect> {
    if name.is_empty() {
        return Ok(OnDisconnect::default());
    }
    OnDisconnect::named(name).ok_or_else(|| {
        Error::invalid("on_disconnect".to_owned(), "on_disconnect must be \"cancel\" or \"drain\"")
    })
}

/// Into the contract, without the secret, which nobody knows any more. `used` says when keys were last used, by id.
pub(crate) fn message(key: ApiKey, used: &HashMap<String, UnixMicros>) -> v1::ApiKey {
    let last_used_at = used.get(&key.id).copied();
    let (budget_usd, budget_period) = limits::budget(&key.limits);
    v1::ApiKey {
        id: key.id,
        name: key.name,
        owner: key.owner,
        team: key.team,
        tags: key.tags,
        prefix: key.prefix,
        models: key.models,
        operations: key.operations,
        enabled: Some(key.enabled),
        expires_at: key.expires_at.and_then(timestamp),
        requests_per_minute: key.limits.requests_per_minute,
        tokens_per_minute: key.limits.tokens_per_minute,
        max_concurrency: key.limits.max_concurrency,
        budget_usd,
        budget_period,
        log_bodies: key.log_bodies,
        on_disconnect: key.on_disconnect.name().to_owned(),
        created_at: timestamp(key.created_at),
        updated_at: timestamp(key.updated_at),
        managed_by: key.managed_by.name().to_owned(),
        last_used_at: last_used_at.and_then(timestamp),
        secret: None,
        previous_until: key.previous.and_then(|previous| timestamp(previous.until)),
        spent_usd: None,
    }
}

/// The answers to create and rotate: the only messages that carry the secret.
pub(crate) fn created(created: CreatedApiKey, used: &HashMap<String, UnixMicros>) -> v1::ApiKey {
    let secret = created.secret.expose_secret().to_owned();
    v1::ApiKey { secret: Some(secret), ..message(created.key, used) }
}
