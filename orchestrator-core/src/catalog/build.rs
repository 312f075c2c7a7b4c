//! From rows to targets: what is disabled falls away, and every "or else" is decided once, not in each request.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use orchestrator_base::config;
use secrecy::SecretString;

use super::{
    CatalogRows, Model, ModelProvider, OwnPrice, Provider, ProviderKey, Timeouts,
    route::{Target, TargetKey, TargetTimeouts},
};
use crate::{
    dialect::Dialect,
    error::Result,
    metrics::Name,
    policy::price::book::{PriceBook, ProviderPrices},
};

/// Opens the secret of a provider's key.
pub type Unseal<'a> = &'a dyn Fn(&ProviderKey) -> Result<SecretString>;

/// An enabled provider, ready to be a target of any model.
#[derive(Clone, Debug)]
pub(super) struct ReadyProvider {
    row: Provider,
    /// As a target of a request that names it (`NAME/UPSTREAM`), but for the model.
    direct: Target,
    /// What its models cost.
    prices: ProviderPrices,
}

impl ReadyProvider {
    /// The target of a request that names this provider and its model.
    pub(super) fn direct(&self, upstream_model: &str) -> Target {
        let price = self.prices.find(upstream_model);
        Target { upstream_model: upstream_model.to_owned(), price, ..self.direct.clone() }
    }

    /// What its models cost.
    pub(super) fn prices(&self) -> &ProviderPrices {
        &self.prices
    }

    /// The target without a model, for requests that are about the provider itself.
    pub(super) fn bare(&self) -> &Target {
        &self.direct
    }

    /// Unix seconds since when it is in the catalog.
    pub(super) fn created(&self) -> i64 {
        self.row.created_at.as_seconds()
    }
}

/// The enabled providers, by id, but for those that have keys of which none can be used.
pub(super) fn providers(
    rows: &CatalogRows,
    unseal: Unseal<'_>,
    defaults: &config::Timeouts,
) -> HashMap<String, ReadyProvider> {
    let mut keys: HashMap<&str, Vec<TargetKey>> = HashMap::new();
    for key in rows.provider_keys.iter().filter(|key| key.enabled) {
        match unseal(key) {
            Ok(secret) => keys.entry(&key.provider_id).or_default().push(TargetKey {
                id: key.id.clone(),
                label: key.label.clone(),
                weight: key.weight,
                secret,
            }),
            // One damaged row must not take the whole catalog away.
            Err(error) => tracing::error!(provider_key.id = key.id, %error, "a provider key is left out"),
        }
    }
    let keyed: HashSet<&str> = rows.provider_keys.iter().map(|key| key.provider_id.as_str()).collect();
    let book = PriceBook::new(rows.prices.iter().map(OwnPrice::listing));
    let mut ready = HashMap::new();
    for provider in rows.providers.iter().filter(|provider| provider.enabled) {
        let keys = keys.remove(provider.id.as_str()).unwrap_or_default();
        // Only a provider that never had a key is asked without one: whoever disables the last key means to stop its use.
        if keys.is_empty() && keyed.contains(provider.id.as_str()) {
            continue;
        }
        let direct = direct_target(provider, keys, defaults);
        let prices = book.of_provider(&provider.kind, provider.options.preset.as_deref());
        ready.insert(provider.id.clone(), ReadyProvider { row: provider.clone(), direct, prices });
    }
    ready
}

/// The targets of a model, best first.
pub(super) fn targets<'a>(
    model: &Model,
    associations: impl Iterator<Item = &'a ModelProvider>,
    providers: &HashMap<String, ReadyProvider>,
    defaults: &config::Timeouts,
) -> Vec<Target> {
    let mut targets = Vec::new();
    for association in associations.filter(|association| association.enabled) {
        let Some(provider) = providers.get(&association.provider_id) else { continue };
        let upstream_model = match association.provider_model.as_str() {
            "*" => &model.name,
            name => name,
        };
        let widest_last = [
            (association.timeouts, None),
            (model.timeouts, model.timeout),
            (provider.row.timeouts, provider.row.timeout),
        ];
        targets.push(Target {
            priority: association.priority.unwrap_or(provider.row.priority),
            weight: u64::from(provider.row.weight) * u64::from(association.weight),
            tool_call: association.tool_call,
            structured_output: association.structured_output,
            image: association.image,
            timeouts: timeouts(&widest_last, defaults),
            ..provider.direct(upstream_model)
        });
    }
    targets.sort_by_key(rank);
    targets
}

/// Best first: by priority, then by weight; the name decides between equals, so that the order is always the same.
pub(super) fn rank(target: &Target) -> (Reverse<u32>, Reverse<u64>, Arc<str>) {
    (Reverse(target.priority), Reverse(target.weight), Arc::clone(&target.provider_name))
}

fn direct_target(provider: &Provider, keys: Vec<TargetKey>, defaults: &config::Timeouts) -> Target {
    let overrides = provider.options.body_overrides.iter();
    Target {
        provider_id: provider.id.as_str().into(),
        provider_name: provider.name.as_str().into(),
        label: Name::of(&provider.name),
        kind: provider.kind.as_str().into(),
        base_url: provider.base_url.as_str().into(),
        dialects: (!provider.options.dialects.is_empty()).then(|| dialects(provider).into()),
        upstream_model: String::new(),
        priority: provider.priority,
        weight: u64::from(provider.weight),
        tool_call: true,
        structured_output: true,
        image: true,
        timeouts: timeouts(&[(provider.timeouts, provider.timeout)], defaults),
        max_retries: provider.max_retries,
        rate_limit: provider.rate_limit,
        headers: Arc::new(headers(provider)),
        overrides: overrides.map(|(name, json)| (name.clone(), json.clone())).collect(),
        include_usage: provider.options.include_usage,
        preset: provider.options.preset.as_deref().map(Arc::from),
        api_version: provider.options.api_version.as_deref().map(Arc::from),
        probe: provider.options.probe.as_deref().map(Arc::from),
        keys: keys.into(),
        price: None,
    }
}

/// What a provider speaks by its options; empty: what its kind does. A dialect that this version does not know is one that it
/// cannot ask in.
fn dialects(provider: &Provider) -> Vec<Dialect> {
    let mut dialects: Vec<Dialect> = Vec::new();
    for dialect in provider.options.dialects.iter().filter_map(|name| Dialect::from_name(name)) {
        let implied = match dialect {
            Dialect::OpenAiChat => Some(Dialect::OpenAiCompletions),
            Dialect::GeminiEmbeddings => Some(Dialect::GeminiEmbedContent),
            _ => None,
        };
        for spoken in [Some(dialect), implied].into_iter().flatten() {
            if !dialects.contains(&spoken) {
                dialects.push(spoken);
            }
        }
    }
    dialects
}

/// Admin lets no other headers in; a row that was written past it loses what cannot be sent.
fn headers(provider: &Provider) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &provider.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        } else {
            tracing::error!(provider.name, header = name, "a provider's header is left out");
        }
    }
    headers
}

/// The first place that says something wins, else the defaults. Where a place has only the old `timeout` (seconds), that is
/// its `first_token` of streams and its `total` of whole answers.
fn timeouts(narrowest_first: &[(Timeouts, Option<u32>)], defaults: &config::Timeouts) -> TargetTimeouts {
    let old = |seconds: Option<u32>| seconds.map(|seconds| u64::from(seconds) * 1000);
    let first = |said: &dyn Fn(&Timeouts, Option<u32>) -> Option<u64>, default: u64| {
        let said = narrowest_first.iter().find_map(|(timeouts, seconds)| said(timeouts, *seconds));
        Duration::from_millis(said.unwrap_or(default))
    };
    TargetTimeouts {
        connect: first(&|place, _| place.connect_ms, defaults.connect_ms),
        first_token: first(&|place, seconds| place.first_token_ms.or(old(seconds)), defaults.first_token_ms),
        idle: first(&|place, _| place.idle_ms, defaults.idle_ms),
        total_whole: first(&|place, seconds| place.total_ms.or(old(seconds)), defaults.total_ms),
        total_stream: first(&|place, _| place.total_ms, defaults.total_ms),
    }
}
