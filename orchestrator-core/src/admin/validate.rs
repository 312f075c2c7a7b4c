//! What a row may hold. Each refusal names the field, as the public interface calls it.

mod base_url;
mod headers;
mod options;

use std::collections::BTreeMap;

use orchestrator_base::config::ProviderRules;
use secrecy::{ExposeSecret as _, SecretString};

use super::limits;
use crate::{
    admission::CHOOSE_PROVIDERS,
    audit::{BOOTSTRAP, CLI, SYSTEM},
    catalog::{
        ApiKey, Model, ModelProvider, OwnPrice, Provider, ProviderKey, Team, Timeouts, admin_keys::AdminKey,
        defaults, strategy::Strategy,
    },
    dialect::Operation,
    error::{Error, Result},
    policy::{
        glob,
        price::{HIGHEST, Rates},
    },
    provider::{
        KINDS,
        preset::{PRESETS, preset},
    },
};

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// A provider, with its kind's base URL filled in.
pub(super) fn provider(provider: &mut Provider, rules: &ProviderRules) -> Result<()> {
    provider_name(&provider.name)?;
    kind(&provider.kind)?;
    options::check(provider)?;
    provider.base_url = base_url::normalised(provider, rules)?;
    in_range("priority", provider.priority, 0, 1000)?;
    in_range("weight", provider.weight, 1, 10_000)?;
    in_range("max_retries", provider.max_retries, 0, 10)?;
    if let Some(limit) = provider.rate_limit {
        in_range("rate_limit", limit, 1, 1_000_000)?;
    }
    timeout(provider.timeout)?;
    timeouts(&provider.timeouts)?;
    headers::check(&provider.headers)
}

/// A provider's key.
pub(super) fn provider_key(key: &ProviderKey) -> Result<()> {
    text("label", &key.label, 1, 64)?;
    in_range("weight", key.weight, 1, 10_000)
}

/// A secret for a provider: it travels in a header.
pub(super) fn provider_secret(param: &str, secret: &SecretString) -> Result<()> {
    let secret = secret.expose_secret();
    if secret.is_empty() || secret.len() > 4096 || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse(param, "must be 1 to 4096 visible ASCII characters");
    }
    Ok(())
}

/// A model. Whether its fallbacks exist is for the caller to look up.
pub(super) fn model(model: &Model) -> Result<()> {
    text("name", &model.name, 1, 256)?;
    if model.name.contains(char::is_whitespace) {
        return refuse("name", "must not contain white space");
    }
    text("remark", &model.remark, 0, 1024)?;
    if Strategy::from_name(&model.strategy).is_none() {
        let known = Strategy::ALL.map(Strategy::name).join(", ");
        return refuse("strategy", &format!("must be one of {known}"));
    }
    fallbacks(model)?;
    in_range("max_retry", model.max_retry, 0, 10)?;
    limits::check(&model.limits)?;
    timeout(model.timeout)?;
    timeouts(&model.timeouts)
}

/// An association.
pub(super) fn model_provider(association: &ModelProvider) -> Result<()> {
    let upstream = &association.provider_model;
    text("provider_model", upstream, 1, 256)?;
    if glob::is_pattern(upstream) && upstream != defaults::PROVIDER_MODEL {
        return refuse("provider_model", "must be one model's name, or \"*\" for the name that was asked");
    }
    if let Some(priority) = association.priority {
        in_range("priority", priority, 0, 1000)?;
    }
    in_range("weight", association.weight, 1, 10_000)?;
    timeouts(&association.timeouts)
}

/// A price.
pub(super) fn price(price: &OwnPrice) -> Result<()> {
    if !KINDS.contains(&price.kind.as_str()) && preset(&price.kind).is_none() {
        let known: Vec<&str> = KINDS.into_iter().chain(PRESETS.iter().map(|preset| preset.name)).collect();
        return refuse("kind", &format!("must be one of {}", known.join(", ")));
    }
    text("upstream_model", &price.upstream_model, 1, 256)?;
    let Rates { input, cached_read, cache_write, output } = price.rates;
    let rates =
        [("input", input), ("cached_read", cached_read), ("cache_write", cache_write), ("output", output)];
    for (param, rate) in rates {
        if rate.is_some_and(|rate| rate > HIGHEST) {
            return refuse(param, "must be at most 1000000 dollars per million tokens");
        }
    }
    if input.is_none() && output.is_none() {
        return refuse("input", "or output is required: a price says something");
    }
    Ok(())
}

/// An operator's key. Its name is the actor's in the audit log, so it must not be one that the program uses.
pub(super) fn admin_key(key: &AdminKey) -> Result<()> {
    text("name", &key.name, 1, 64)?;
    if [BOOTSTRAP, SYSTEM, CLI].iter().any(|taken| key.name.eq_ignore_ascii_case(taken)) {
        return refuse("name", &format!("must not be \"{BOOTSTRAP}\", \"{SYSTEM}\" or \"{CLI}\""));
    }
    Ok(())
}

/// A caller's key.
pub(super) fn api_key(key: &ApiKey) -> Result<()> {
    text("name", &key.name, 1, 128)?;
    text("owner", &key.owner, 0, 128)?;
    // Whether there is such a team is for the caller to look up.
    text("team", &key.team, 0, 128)?;
    limits::check(&key.limits)?;
    tags(&key.tags)?;
    at_most("models", key.models.len(), 256)?;
    for (index, pattern) in key.models.iter().enumerate() {
        text(&format!("models[{index}]"), pattern, 1, 256)?;
    }
    let [chat, completions, embeddings, models] =
        [Operation::Chat, Operation::Completions, Operation::Embeddings, Operation::Models]
            .map(Operation::name);
    let known = [chat, completions, embeddings, models, CHOOSE_PROVIDERS];
    at_most("operations", key.operations.len(), 16)?;
    for (index, operation) in key.operations.iter().enumerate() {
        if !known.contains(&operation.as_str()) {
            return refuse(&format!("operations[{index}]"), &format!("must be one of {}", known.join(", ")));
        }
    }
    Ok(())
}

/// A team.
pub(super) fn team(team: &Team) -> Result<()> {
    text("name", &team.name, 1, 128)?;
    text("remark", &team.remark, 0, 1024)?;
    limits::check(&team.limits)
}

fn provider_name(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(allowed) {
        return refuse("name", "must be 1 to 64 letters, digits, \".\", \"_\" or \"-\"");
    }
    Ok(())
}

fn kind(kind: &str) -> Result<()> {
    if KINDS.contains(&kind) {
        return Ok(());
    }
    refuse("kind", &format!("must be one of {}", KINDS.join(", ")))
}

fn fallbacks(model: &Model) -> Result<()> {
    at_most("fallbacks", model.fallbacks.len(), 16)?;
    for (index, name) in model.fallbacks.iter().enumerate() {
        let param = format!("fallbacks[{index}]");
        text(&param, name, 1, 256)?;
        if glob::is_pattern(name) {
            return refuse(&param, "must be a name to ask for, not a pattern");
        }
        if *name == model.name || model.fallbacks[..index].contains(name) {
            return refuse(&param, "must be another model each time");
        }
    }
    Ok(())
}

fn tags(tags: &BTreeMap<String, String>) -> Result<()> {
    at_most("tags", tags.len(), 64)?;
    for (name, value) in tags {
        text("tags", name, 1, 64)?;
        text("tags", value, 0, 256)?;
    }
    Ok(())
}

fn timeout(seconds: Option<u32>) -> Result<()> {
    match seconds {
        Some(seconds) if seconds == 0 || u64::from(seconds) > DAY_SECONDS => {
            refuse("timeout", "must be 1 to 86400 seconds, or unset")
        }
        _ => Ok(()),
    }
}

fn timeouts(timeouts: &Timeouts) -> Result<()> {
    let fields = [
        ("timeouts.connect_ms", timeouts.connect_ms),
        ("timeouts.first_token_ms", timeouts.first_token_ms),
        ("timeouts.idle_ms", timeouts.idle_ms),
        ("timeouts.total_ms", timeouts.total_ms),
    ];
    for (param, value) in fields {
        if value.is_some_and(|ms| ms == 0 || ms > DAY_SECONDS * 1000) {
            return refuse(param, "must be 1 to 86400000 milliseconds, or unset");
        }
    }
    Ok(())
}

pub(super) fn in_range(param: &str, value: u32, least: u32, most: u32) -> Result<()> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        refuse(param, &format!("must be {least} to {most}"))
    }
}

/// The same for a number that may be missing.
pub(super) fn at_least_and_most(param: &str, value: Option<u64>, least: u64, most: u64) -> Result<()> {
    match value {
        Some(value) if !(least..=most).contains(&value) => {
            refuse(param, &format!("must be {least} to {most}, or unset"))
        }
        _ => Ok(()),
    }
}

fn at_most(param: &str, count: usize, most: usize) -> Result<()> {
    if count <= most { Ok(()) } else { refuse(param, &format!("must have at most {most} entries")) }
}

pub(super) fn text(param: &str, value: &str, least: usize, most: usize) -> Result<()> {
    let length = value.chars().count();
    if !(least..=most).contains(&length) {
        return refuse(param, &format!("must be {least} to {most} characters"));
    }
    if value.chars().any(char::is_control) {
        return refuse(param, "must not contain control characters");
    }
    Ok(())
}

/// A 400: `param` and what it must be.
pub(super) fn refuse<T>(param: &str, what: &str) -> Result<T> {
    Err(Error::invalid(param.to_owned(), format!("{param} {what}")))
}
