//! Providers.

use orchestrator_base::mask;
use orchestrator_core::{
    admin::ProviderChange,
    catalog::{Provider, ProviderOptions, defaults},
    error::Result,
};
use orchestrator_proto::v1;

use super::{read_only, timeouts, timeouts_message, timestamp, unknown};

/// The fields that can be changed.
pub(crate) const MUTABLE: [&str; 12] = [
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
];

/// The change that `paths` of a message make. A field that is named and unset gets its default.
pub(crate) fn change(message: v1::Provider, paths: &[String]) -> Result<ProviderChange> {
    let mut change = ProviderChange::default();
    for path in paths {
        match path.as_str() {
            "name" => change.name = Some(message.name.clone()),
            "kind" => change.kind = Some(message.kind.clone()),
            "base_url" => change.base_url = Some(message.base_url.clone()),
            "enabled" => change.enabled = Some(message.enabled.unwrap_or(true)),
            "priority" => change.priority = Some(message.priority.unwrap_or(defaults::PRIORITY)),
            "weight" => change.weight = Some(message.weight.unwrap_or(defaults::WEIGHT)),
            "max_retries" => change.max_retries = Some(message.max_retries.unwrap_or(defaults::MAX_RETRIES)),
            "timeout" => change.timeout = Some(message.timeout),
            "timeouts" => change.timeouts = Some(timeouts(message.timeouts)),
            "rate_limit" => change.rate_limit = Some(message.rate_limit),
            "headers" => change.headers = Some(message.headers.clone()),
            "options" => change.options = Some(options(message.options.clone())),
            "id" | "managed_by" | "created_at" | "updated_at" | "api_key" => return Err(read_only(path)),
            other => return Err(unknown(other)),
        }
    }
    Ok(change)
}

fn options(message: Option<v1::ProviderOptions>) -> ProviderOptions {
    let v1::ProviderOptions { dialects, body_overrides_json, include_usage, preset, api_version, probe } =
        message.unwrap_or_default();
    ProviderOptions {
        dialects,
        body_overrides: body_overrides_json,
        include_usage,
        preset,
        api_version,
        probe,
    }
}

/// Into the contract.
pub(crate) fn message(provider: Provider) -> v1::Provider {
    let ProviderOptions { dialects, body_overrides, include_usage, preset, api_version, probe } =
        provider.options;
    v1::Provider {
        id: provider.id,
        name: provider.name,
        kind: provider.kind,
        base_url: provider.base_url,
        enabled: Some(provider.enabled),
        priority: Some(provider.priority),
        weight: Some(provider.weight),
        max_retries: Some(provider.max_retries),
        timeout: provider.timeout,
        timeouts: timeouts_message(provider.timeouts),
        rate_limit: provider.rate_limit,
        headers: mask::headers(&provider.headers),
        options: Some(v1::ProviderOptions {
            dialects,
            body_overrides_json: body_overrides,
            include_usage,
            preset,
            api_version,
            probe,
        }),
        managed_by: provider.managed_by.name().to_owned(),
        created_at: timestamp(provider.created_at),
        updated_at: timestamp(provider.updated_at),
        api_key: None,
    }
}
