//! The document: the rows of a file, by their names. The same for an export and for what a file declares.
//!
//! References are names, so that a document means the same in any database. What differs between the two kinds of document is how
//! secrets stand in them ([`Kind`]).

use std::collections::BTreeMap;

use orchestrator_base::clock::UnixMicros;
use serde_json::{Map, Value as Json};

use super::{fields::Fields, problem::Problems, sealed::Header};
use crate::{
    admin::{ApiKeyChange, LimitsChange, ModelChange, ModelProviderChange, ProviderChange, TeamChange},
    catalog::{OnDisconnect, ProviderOptions, Timeouts},
    health::Settings,
    policy::price::{Rates, usd},
};

/// What `format` says in a file that was exported.
pub(super) const FORMAT: &str = "llm-orchestrator/config";
/// The version that this program writes, and the newest that it reads.
pub(super) const VERSION: u64 = 1;
/// The sections that hold rows.
const NOUNS: [&str; 5] = ["providers", "models", "model_providers", "teams", "api_keys"];
/// The label of a key that is given as `api_key`.
const FIRST_KEY: &str = "default";

/// Where a document comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An export: an envelope, and secrets sealed under a passphrase or left out.
    Export,
    /// A declaration: the rows alone, with secrets as they are.
    Declaration,
}

/// All rows of a document. No `Debug`: they hold secrets.
#[derive(Default)]
pub(crate) struct Document {
    pub(super) header: Option<Header>,
    pub(super) providers: Vec<Placed<Provider>>,
    pub(super) models: Vec<Placed<ModelChange>>,
    pub(super) model_providers: Vec<Placed<Association>>,
    pub(super) teams: Vec<Placed<TeamChange>>,
    pub(super) api_keys: Vec<Placed<Caller>>,
    /// Of an export.
    pub(super) prices: Vec<Placed<Price>>,
    pub(super) health_check: Option<Settings>,
}

/// A row and where it stands.
pub(super) struct Placed<T> {
    pub(super) path: String,
    /// As it was read, so that it can be read again without the fields that were refused.
    pub(super) raw: Json,
    pub(super) row: T,
}

#[derive(Default)]
pub(super) struct Provider {
    pub(super) change: ProviderChange,
    pub(super) keys: Vec<Key>,
}

#[derive(Default)]
pub(super) struct Key {
    pub(super) path: String,
    pub(super) label: String,
    pub(super) weight: Option<u32>,
    pub(super) enabled: Option<bool>,
    /// In the clear or sealed, as the document's kind says.
    pub(super) secret: Option<String>,
}

impl Key {
    /// Where its secret stands.
    pub(super) fn secret_path(&self) -> String {
        if self.path.ends_with(".api_key") { self.path.clone() } else { format!("{}.secret", self.path) }
    }
}

#[derive(Default)]
pub(super) struct Association {
    pub(super) model: String,
    pub(super) provider: String,
    pub(super) change: ModelProviderChange,
}

#[derive(Default)]
pub(super) struct Price {
    pub(super) kind: String,
    pub(super) upstream_model: String,
    pub(super) rates: Rates,
}

#[derive(Default)]
pub(super) struct Caller {
    pub(super) change: ApiKeyChange,
    /// Of an export.
    pub(super) prefix: Option<String>,
    /// Of an export, sealed.
    pub(super) digest: Option<String>,
    /// Of a declaration.
    pub(super) secret: Option<String>,
}

impl Document {
    /// Reads a document; what is wrong with it joins `problems`.
    pub(crate) fn read(text: &str, kind: Kind, problems: &mut Problems) -> Self {
        let mut document = Self::default();
        let value: Json = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => {
                problems.add("document", format!("is not JSON: {error}"));
                return document;
            }
        };
        let mut rows: [Vec<(String, Json)>; NOUNS.len()] = Default::default();
        let Some(mut fields) = Fields::of(value, "", problems) else { return document };
        if kind == Kind::Export {
            envelope(&mut fields, &mut document);
        }
        for (place, noun) in rows.iter_mut().zip(NOUNS) {
            *place = fields.rows(noun);
        }
        let prices = if kind == Kind::Export { fields.rows("prices") } else { Vec::new() };
        fields.end();
        let [providers, models, model_providers, teams, api_keys] = rows;
        document.providers = each(providers, |raw, path| provider(raw, path, kind, problems));
        document.models = each(models, |raw, path| model(raw, path, problems));
        document.model_providers = each(model_providers, |raw, path| association(raw, path, problems));
        document.teams = each(teams, |raw, path| team(raw, path, problems));
        document.api_keys = each(api_keys, |raw, path| caller(raw, path, kind, problems));
        document.prices = each(prices, |raw, path| price(raw, path, problems));
        document
    }

    /// Where a declaration names a secret (`env:NAME`, `file:/path`) that somebody should have looked up.
    pub(crate) fn references(&self) -> Vec<String> {
        let names = |secret: &Option<String>| {
            secret.as_ref().is_some_and(|text| text.starts_with("env:") || text.starts_with("file:"))
        };
        let keys = self.providers.iter().flat_map(|provider| &provider.row.keys);
        let keys = keys.filter(|key| names(&key.secret)).map(Key::secret_path);
        let callers = self.api_keys.iter().filter(|caller| names(&caller.row.secret));
        keys.chain(callers.map(|caller| format!("{}.secret", caller.path))).collect()
    }
}

fn envelope(fields: &mut Fields<'_>, document: &mut Document) {
    if fields.take::<String>("format").as_deref() != Some(FORMAT) {
        fields.problem("format", &format!("must be {FORMAT:?}: this is no export of the configuration"));
    }
    match fields.take::<u64>("version") {
        Some(version) if (1..=VERSION).contains(&version) => {}
        Some(version) => {
            let message = format!("is {version}; this program reads versions up to {VERSION}");
            fields.problem("version", &message);
        }
        None => fields.problem("version", "is required"),
    }
    let _: Option<String> = fields.take("exported_at");
    document.header = fields.take("secrets");
    if let Some(mut inside) = fields.inside("health_check") {
        let default = Settings::default();
        document.health_check = Some(Settings {
            enabled: inside.take("enabled").unwrap_or(default.enabled),
            interval_minutes: inside.take("interval_minutes").unwrap_or(default.interval_minutes),
            max_error_count: inside.take("max_error_count").unwrap_or(default.max_error_count),
            retry_after_hours: inside.take("retry_after_hours").unwrap_or(default.retry_after_hours),
        });
        inside.end();
    }
}

fn each<T>(rows: Vec<(String, Json)>, mut read: impl FnMut(Json, &str) -> Option<T>) -> Vec<Placed<T>> {
    let mut all = Vec::with_capacity(rows.len());
    for (path, raw) in rows {
        if let Some(row) = read(raw.clone(), &path) {
            all.push(Placed { path, raw, row });
        }
    }
    all
}

pub(super) fn provider(raw: Json, path: &str, kind: Kind, problems: &mut Problems) -> Option<Provider> {
    let mut fields = Fields::of(raw, path, problems)?;
    let change = ProviderChange {
        name: fields.take("name"),
        kind: fields.take("kind"),
        base_url: fields.take("base_url"),
        enabled: fields.take("enabled"),
        priority: fields.take("priority"),
        weight: fields.take("weight"),
        max_retries: fields.take("max_retries"),
        timeout: Some(fields.take("timeout")),
        timeouts: timeouts(&mut fields),
        rate_limit: Some(fields.take("rate_limit")),
        headers: fields.take("headers"),
        options: options(&mut fields),
    };
    let mut keys = Vec::new();
    if kind == Kind::Declaration
        && let Some(secret) = fields.secret("api_key")
    {
        let path = format!("{path}.api_key");
        keys.push(Key { path, label: FIRST_KEY.to_owned(), secret: Some(secret), ..Key::default() });
    }
    let rows = fields.rows("keys");
    fields.end();
    for (path, raw) in rows {
        let Some(mut fields) = Fields::of(raw, &path, problems) else { continue };
        let label = fields.take("label").unwrap_or_else(|| FIRST_KEY.to_owned());
        let (weight, enabled) = (fields.take("weight"), fields.take("enabled"));
        let secret = fields.secret("secret");
        if kind == Kind::Export {
            let _: Option<String> = fields.take("masked");
        }
        fields.end();
        keys.push(Key { path, label, weight, enabled, secret });
    }
    Some(Provider { change, keys })
}

pub(super) fn model(raw: Json, path: &str, problems: &mut Problems) -> Option<ModelChange> {
    let mut fields = Fields::of(raw, path, problems)?;
    let change = ModelChange {
        name: fields.take("name"),
        remark: fields.take("remark"),
        strategy: fields.take("strategy"),
        fallbacks: fields.take("fallbacks"),
        max_retry: fields.take("max_retry"),
        timeout: Some(fields.take("timeout")),
        timeouts: timeouts(&mut fields),
        enabled: fields.take("enabled"),
        requests_per_minute: Some(fields.take("requests_per_minute")),
        tokens_per_minute: Some(fields.take("tokens_per_minute")),
    };
    fields.end();
    Some(change)
}

pub(super) fn team(raw: Json, path: &str, problems: &mut Problems) -> Option<TeamChange> {
    let mut fields = Fields::of(raw, path, problems)?;
    let change = TeamChange {
        name: fields.take("name"),
        remark: fields.take("remark"),
        enabled: fields.take("enabled"),
        limits: limits(&mut fields),
    };
    fields.end();
    Some(change)
}

/// What a document does not say is no limit.
fn limits(fields: &mut Fields<'_>) -> LimitsChange {
    let dollars: Option<f64> = fields.take("budget_usd");
    let nanos = dollars.and_then(usd::from_number);
    if dollars.is_some() && nanos.is_none() {
        fields.problem("budget_usd", usd::NUMBERS);
    }
    LimitsChange {
        requests_per_minute: Some(fields.take("requests_per_minute")),
        tokens_per_minute: Some(fields.take("tokens_per_minute")),
        max_concurrency: Some(fields.take("max_concurrency")),
        budget_nanos: Some(nanos),
        budget_period: Some(fields.take("budget_period").unwrap_or_default()),
    }
}

pub(super) fn association(raw: Json, path: &str, problems: &mut Problems) -> Option<Association> {
    let mut fields = Fields::of(raw, path, problems)?;
    let mut name = |field| {
        let given: Option<String> = fields.take(field);
        if given.is_none() {
            fields.problem(field, "is required");
        }
        given.unwrap_or_default()
    };
    let (model, provider) = (name("model"), name("provider"));
    let change = ModelProviderChange {
        provider_model: fields.take("provider_model"),
        priority: Some(fields.take("priority")),
        weight: fields.take("weight"),
        timeouts: timeouts(&mut fields),
        tool_call: fields.take("tool_call"),
        structured_output: fields.take("structured_output"),
        image: fields.take("image"),
        enabled: fields.take("enabled"),
        ..ModelProviderChange::default()
    };
    fields.end();
    Some(Association { model, provider, change })
}

pub(super) fn caller(raw: Json, path: &str, kind: Kind, problems: &mut Problems) -> Option<Caller> {
    let mut fields = Fields::of(raw, path, problems)?;
    let on_disconnect = fields.take::<String>("on_disconnect");
    let on_disconnect = on_disconnect.and_then(|name| {
        let known = OnDisconnect::named(&name);
        if known.is_none() {
            fields.problem("on_disconnect", "must be \"cancel\" or \"drain\"");
        }
        known
    });
    let expires_at = fields.take::<String>("expires_at").and_then(|text| {
        let moment = text.parse::<jiff::Timestamp>();
        if moment.is_err() {
            fields.problem("expires_at", "must be a time such as 2030-01-31T12:00:00Z");
        }
        moment.ok().map(|moment| UnixMicros(moment.as_microsecond()))
    });
    let change = ApiKeyChange {
        name: fields.take("name"),
        owner: fields.take("owner"),
        team: fields.take("team"),
        tags: fields.take("tags"),
        models: fields.take("models"),
        operations: fields.take("operations"),
        enabled: fields.take("enabled"),
        expires_at: Some(expires_at),
        on_disconnect,
        log_bodies: fields.take("log_bodies"),
        limits: limits(&mut fields),
    };
    let mut caller = Caller { change, ..Caller::default() };
    match kind {
        Kind::Export => {
            caller.prefix = fields.take("prefix");
            caller.digest = fields.secret("digest");
        }
        Kind::Declaration => caller.secret = fields.secret("secret"),
    }
    fields.end();
    Some(caller)
}

/// Amounts are dollars per million tokens as text, as in Admin.
fn price(raw: Json, path: &str, problems: &mut Problems) -> Option<Price> {
    let mut fields = Fields::of(raw, path, problems)?;
    let (kind, upstream_model) = (fields.take("kind"), fields.take("upstream_model"));
    let mut rate = |field| {
        let dollars: String = fields.take(field)?;
        let rate = usd::parse(&dollars);
        if rate.is_none() {
            fields.problem(field, "must be dollars per million tokens as text, as in \"2.5\"");
        }
        rate
    };
    let rates = Rates {
        input: rate("input"),
        cached_read: rate("cached_read"),
        cache_write: rate("cache_write"),
        output: rate("output"),
    };
    fields.end();
    Some(Price { kind: kind.unwrap_or_default(), upstream_model: upstream_model.unwrap_or_default(), rates })
}

fn timeouts(fields: &mut Fields<'_>) -> Option<Timeouts> {
    let mut inside = fields.inside("timeouts")?;
    let timeouts = Timeouts {
        connect_ms: inside.take("connect_ms"),
        first_token_ms: inside.take("first_token_ms"),
        idle_ms: inside.take("idle_ms"),
        total_ms: inside.take("total_ms"),
    };
    inside.end();
    Some(timeouts)
}

fn options(fields: &mut Fields<'_>) -> Option<ProviderOptions> {
    let mut inside = fields.inside("options")?;
    let body_overrides: Option<BTreeMap<String, String>> = inside.take("body_overrides_json");
    let options = ProviderOptions {
        dialects: inside.take("dialects").unwrap_or_default(),
        body_overrides: body_overrides.unwrap_or_default(),
        include_usage: inside.take("include_usage"),
        preset: inside.take("preset"),
        api_version: inside.take("api_version"),
        probe: inside.take("probe"),
    };
    inside.end();
    Some(options)
}

/// What `raw` is without a field, or with a value in its place that is always valid.
pub(super) fn without(raw: &Json, field: &str) -> Json {
    let mut left = raw.as_object().cloned().unwrap_or_else(Map::new);
    match field {
        "name" => left.insert(field.to_owned(), "x".into()),
        "kind" => left.insert(field.to_owned(), "openai".into()),
        _ => left.remove(field),
    };
    Json::Object(left)
}
