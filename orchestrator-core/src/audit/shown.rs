//! How the nouns look in the audit log: every field an operator can set, no secret and nothing made of one.
//!
//! Digests and sealed secrets are left out. Values of a provider's own headers and body fields are masked whole: a server that
//! wants its key in an unusual place gets it there.

use std::collections::BTreeMap;

use orchestrator_base::clock::UnixMicros;
use serde_json::{Value, json};

use super::{Event, action};
use crate::{
    catalog::{
        ApiKey, Model, ModelProvider, OwnPrice, Provider, ProviderKey, ProviderOptions, Team,
        admin_keys::AdminKey, limits::Limits,
    },
    health::Settings,
    policy::price::{Rates, usd},
};

/// In place of a value that may be a secret.
const MASKED: &str = "…";

/// A noun of the audit log.
pub trait Shown {
    /// Its name there.
    const NOUN: &'static str;

    /// Which one it is, and how it is.
    fn shown(&self) -> Row<'_>;
}

/// One of them, as it is shown.
#[derive(Debug)]
pub struct Row<'a> {
    /// Which one it is.
    pub id: &'a str,
    /// What it is called.
    name: &'a str,
    /// How it is, without secrets.
    fields: Value,
}

/// It was made.
pub fn created<T: Shown>(made: &T) -> Event {
    let Row { id, name, fields } = made.shown();
    Event::new(action::CREATE, T::NOUN).on(id, name).after(fields)
}

/// It was changed, by `action`.
pub fn changed<T: Shown>(action: &'static str, before: Option<&T>, after: &T) -> Event {
    let Row { id, name, fields } = after.shown();
    let mut event = Event::new(action, T::NOUN).on(id, name).after(fields);
    event.before = before.map(|before| before.shown().fields);
    event
}

/// It was deleted.
pub fn deleted<T: Shown>(gone: &T) -> Event {
    let Row { id, name, fields } = gone.shown();
    Event::new(action::DELETE, T::NOUN).on(id, name).before(fields)
}

impl Shown for Provider {
    const NOUN: &'static str = "provider";

    fn shown(&self) -> Row<'_> {
        let fields = json!({
            "name": self.name,
            "kind": self.kind,
            "base_url": self.base_url,
            "enabled": self.enabled,
            "priority": self.priority,
            "weight": self.weight,
            "max_retries": self.max_retries,
            "timeout": self.timeout,
            "timeouts": self.timeouts,
            "rate_limit": self.rate_limit,
            "headers": masked(&self.headers),
            "options": options(&self.options),
            "managed_by": self.managed_by.name(),
        });
        Row { id: &self.id, name: &self.name, fields }
    }
}

impl Shown for ProviderKey {
    const NOUN: &'static str = "provider_key";

    fn shown(&self) -> Row<'_> {
        let fields = json!({
            "provider_id": self.provider_id,
            "label": self.label,
            "masked": self.masked,
            "weight": self.weight,
            "enabled": self.enabled,
        });
        Row { id: &self.id, name: &self.label, fields }
    }
}

impl Shown for Model {
    const NOUN: &'static str = "model";

    fn shown(&self) -> Row<'_> {
        let fields = json!({
            "name": self.name,
            "remark": self.remark,
            "strategy": self.strategy,
            "fallbacks": self.fallbacks,
            "max_retry": self.max_retry,
            "timeout": self.timeout,
            "timeouts": self.timeouts,
            "enabled": self.enabled,
            "requests_per_minute": self.limits.requests_per_minute,
            "tokens_per_minute": self.limits.tokens_per_minute,
        });
        Row { id: &self.id, name: &self.name, fields }
    }
}

impl Shown for ModelProvider {
    const NOUN: &'static str = "model_provider";

    fn shown(&self) -> Row<'_> {
        let fields = json!({
            "model_id": self.model_id,
            "provider_id": self.provider_id,
            "provider_model": self.provider_model,
            "priority": self.priority,
            "weight": self.weight,
            "timeouts": self.timeouts,
            "tool_call": self.tool_call,
            "structured_output": self.structured_output,
            "image": self.image,
            "enabled": self.enabled,
        });
        Row { id: &self.id, name: &self.provider_model, fields }
    }
}

impl Shown for ApiKey {
    const NOUN: &'static str = "api_key";

    fn shown(&self) -> Row<'_> {
        let key = json!({
            "name": self.name,
            "owner": self.owner,
            "team": self.team,
            "tags": self.tags,
            "prefix": self.prefix,
            "models": self.models,
            "operations": self.operations,
            "enabled": self.enabled,
            "expires_at": moment(self.expires_at),
            "on_disconnect": self.on_disconnect.name(),
            "log_bodies": self.log_bodies,
            "previous_until": moment(self.previous.as_ref().map(|previous| previous.until)),
        });
        let fields = with_limits(key, &self.limits);
        Row { id: &self.id, name: &self.name, fields }
    }
}

impl Shown for Team {
    const NOUN: &'static str = "team";

    fn shown(&self) -> Row<'_> {
        let team = json!({ "name": self.name, "remark": self.remark, "enabled": self.enabled });
        let fields = with_limits(team, &self.limits);
        Row { id: &self.id, name: &self.name, fields }
    }
}

impl Shown for AdminKey {
    const NOUN: &'static str = "admin_key";

    fn shown(&self) -> Row<'_> {
        let fields = json!({
            "name": self.name,
            "role": self.role.name(),
            "prefix": self.prefix,
            "enabled": self.enabled,
            "expires_at": moment(self.expires_at),
        });
        Row { id: &self.id, name: &self.name, fields }
    }
}

/// Known by its kind and model: its rows' ids are never told.
impl Shown for OwnPrice {
    const NOUN: &'static str = "price";

    fn shown(&self) -> Row<'_> {
        let Rates { input, cached_read, cache_write, output } = self.rates;
        let fields = json!({
            "kind": self.kind,
            "upstream_model": self.upstream_model,
            "input_nanos": input,
            "cached_read_nanos": cached_read,
            "cache_write_nanos": cache_write,
            "output_nanos": output,
        });
        Row { id: &self.id, name: &self.upstream_model, fields }
    }
}

/// There is one of them.
impl Shown for Settings {
    const NOUN: &'static str = "health_check_config";

    fn shown(&self) -> Row<'_> {
        let fields = json!({
            "enabled": self.enabled,
            "interval_minutes": self.interval_minutes,
            "max_error_count": self.max_error_count,
            "retry_after_hours": self.retry_after_hours,
        });
        Row { id: "", name: "", fields }
    }
}

/// The dollars are text: no digit is lost to a binary fraction.
fn with_limits(mut shown: Value, limits: &Limits) -> Value {
    shown["requests_per_minute"] = limits.requests_per_minute.into();
    shown["tokens_per_minute"] = limits.tokens_per_minute.into();
    shown["max_concurrency"] = limits.max_concurrency.into();
    shown["budget_usd"] = limits.budget.map(|budget| usd::format(budget.nanos)).into();
    shown["budget_period"] = limits.budget.map(|budget| budget.period.name()).into();
    shown
}

fn moment(at: Option<UnixMicros>) -> Option<String> {
    at.map(|at| at.to_string())
}

fn masked(values: &BTreeMap<String, String>) -> BTreeMap<&str, &'static str> {
    values.keys().map(|name| (name.as_str(), MASKED)).collect()
}

fn options(options: &ProviderOptions) -> Value {
    json!({
        "dialects": options.dialects,
        "body_overrides": masked(&options.body_overrides),
        "include_usage": options.include_usage,
        "preset": options.preset,
        "api_version": options.api_version,
        "probe": options.probe,
    })
}
