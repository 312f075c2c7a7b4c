//! Rows as a document has them: every field, by its public name, sorted. Two rows are alike when these are.

use serde_json::{Value as Json, json};

use crate::{
    catalog::{
        ApiKey, Model, ModelProvider, OwnPrice, Provider, ProviderKey, Team, Timeouts, limits::Limits,
    },
    health::Settings,
    policy::price::{Rates, usd},
};

/// A provider without its keys.
pub(super) fn provider(row: &Provider) -> Json {
    json!({
        "name": row.name,
        "kind": row.kind,
        "base_url": row.base_url,
        "enabled": row.enabled,
        "priority": row.priority,
        "weight": row.weight,
        "max_retries": row.max_retries,
        "timeout": row.timeout,
        "timeouts": timeouts(&row.timeouts),
        "rate_limit": row.rate_limit,
        "headers": row.headers,
        "options": {
            "dialects": row.options.dialects,
            "body_overrides_json": row.options.body_overrides,
            "include_usage": row.options.include_usage,
            "preset": row.options.preset,
            "api_version": row.options.api_version,
            "probe": row.options.probe,
        },
    })
}

/// A provider's key without its secret.
pub(super) fn provider_key(row: &ProviderKey) -> Json {
    json!({ "label": row.label, "masked": row.masked, "weight": row.weight, "enabled": row.enabled })
}

pub(super) fn model(row: &Model) -> Json {
    json!({
        "name": row.name,
        "remark": row.remark,
        "strategy": row.strategy,
        "fallbacks": row.fallbacks,
        "max_retry": row.max_retry,
        "timeout": row.timeout,
        "timeouts": timeouts(&row.timeouts),
        "enabled": row.enabled,
        "requests_per_minute": row.limits.requests_per_minute,
        "tokens_per_minute": row.limits.tokens_per_minute,
    })
}

/// An association by the names of its ends.
pub(super) fn model_provider(row: &ModelProvider, model: &str, provider: &str) -> Json {
    json!({
        "model": model,
        "provider": provider,
        "provider_model": row.provider_model,
        "priority": row.priority,
        "weight": row.weight,
        "timeouts": timeouts(&row.timeouts),
        "tool_call": row.tool_call,
        "structured_output": row.structured_output,
        "image": row.image,
        "enabled": row.enabled,
    })
}

/// A caller's key without its digest.
pub(super) fn api_key(row: &ApiKey) -> Json {
    let shown = json!({
        "name": row.name,
        "owner": row.owner,
        "team": row.team,
        "tags": row.tags,
        "prefix": row.prefix,
        "models": row.models,
        "operations": row.operations,
        "enabled": row.enabled,
        "expires_at": row.expires_at.map(|at| at.to_string()),
        "on_disconnect": row.on_disconnect.name(),
        "log_bodies": row.log_bodies,
    });
    with_limits(shown, &row.limits)
}

pub(super) fn team(row: &Team) -> Json {
    with_limits(json!({ "name": row.name, "remark": row.remark, "enabled": row.enabled }), &row.limits)
}

fn with_limits(mut shown: Json, limits: &Limits) -> Json {
    shown["requests_per_minute"] = limits.requests_per_minute.into();
    shown["tokens_per_minute"] = limits.tokens_per_minute.into();
    shown["max_concurrency"] = limits.max_concurrency.into();
    shown["budget_usd"] = limits.budget.map(|budget| usd::to_number(budget.nanos)).into();
    shown["budget_period"] = limits.budget.map(|budget| budget.period.name()).into();
    shown
}

/// A price, in dollars per million tokens.
pub(super) fn price(row: &OwnPrice) -> Json {
    let Rates { input, cached_read, cache_write, output } = row.rates;
    json!({
        "kind": row.kind,
        "upstream_model": row.upstream_model,
        "input": input.map(usd::format),
        "cached_read": cached_read.map(usd::format),
        "cache_write": cache_write.map(usd::format),
        "output": output.map(usd::format),
    })
}

pub(super) fn health_check(settings: &Settings) -> Json {
    json!({
        "enabled": settings.enabled,
        "interval_minutes": settings.interval_minutes,
        "max_error_count": settings.max_error_count,
        "retry_after_hours": settings.retry_after_hours,
    })
}

fn timeouts(timeouts: &Timeouts) -> Json {
    json!({
        "connect_ms": timeouts.connect_ms,
        "first_token_ms": timeouts.first_token_ms,
        "idle_ms": timeouts.idle_ms,
        "total_ms": timeouts.total_ms,
    })
}
