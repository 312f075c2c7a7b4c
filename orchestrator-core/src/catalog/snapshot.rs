//! The immutable view of the catalog that a request takes once.
//!
//! It is built whole, away from the requests, and swapped in with one pointer: a request sees one state of the catalog from
//! its beginning to its end, and reads it without a lock. What providers list is part of that state.

mod listing;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::{ArcSwap, Guard};
use orchestrator_base::config;
use tokio::sync::watch;

use self::listing::ListedModel;
pub use super::build::Unseal;
use super::{
    CatalogRows, Model, ModelProvider,
    admin_keys::AdminKeyTable,
    build::{self, ReadyProvider},
    keys::KeyTable,
    listed::ModelLists,
    log_level::LogLevel,
    route::{Resolution, Route, Target},
    strategy::Strategy,
    tenants::{Tenant, Tenants},
};
use crate::{
    call::ModelInfo,
    metrics::Name,
    policy::{glob, price::book::ProviderPrices},
};

/// Attempts in all for `NAME/UPSTREAM` and for listed models, which no model's `max_retry` speaks for: a model's default.
const DIRECT_ATTEMPTS: u32 = super::defaults::MAX_RETRY + 1;
/// How many near names are told.
const NEAR_NAMES: usize = 3;
/// Longer names are not compared: the work grows with the product of the lengths.
const NEAR_LENGTH: usize = 128;
/// How many listed names are compared at most; they are not the operator's to keep few.
const NEAR_LISTED: usize = 500;

/// What requests see of the catalog.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Models by name.
    exact: HashMap<String, Entry>,
    /// Models whose name is a pattern, the most specific first.
    patterns: Vec<(String, Entry)>,
    /// Enabled providers by name.
    providers: HashMap<String, ReadyProvider>,
    /// Names and patterns of disabled models: no list brings them back.
    disabled: Vec<String>,
    /// What enabled providers list beyond all these names.
    listed: BTreeMap<String, ListedModel>,
    /// Of every provider, enabled or not.
    provider_ids: Arc<HashSet<String>>,
}

#[derive(Clone, Debug)]
struct Entry {
    route: Arc<Route>,
    /// For each target that asks for the model by the name that was asked: what models cost there.
    as_asked: Vec<Option<ProviderPrices>>,
    created: i64,
}

impl Catalog {
    /// Builds the view. A provider's key that cannot be unsealed is left out, and logged.
    pub fn build(rows: &CatalogRows, unseal: Unseal<'_>, defaults: &config::Timeouts) -> Self {
        let providers = build::providers(rows, unseal, defaults);
        let mut associations: HashMap<&str, Vec<&ModelProvider>> = HashMap::new();
        for association in &rows.model_providers {
            associations.entry(&association.model_id).or_default().push(association);
        }
        let mut exact = HashMap::new();
        let mut patterns = Vec::new();
        for model in rows.models.iter().filter(|model| model.enabled) {
            let of_model = associations.remove(model.id.as_str()).unwrap_or_default();
            let targets = build::targets(model, of_model.into_iter(), &providers, defaults);
            let entry = entry(model, targets, &providers);
            if glob::is_pattern(&model.name) {
                patterns.push((model.name.clone(), entry));
            } else {
                exact.insert(model.name.clone(), entry);
            }
        }
        patterns.sort_by_key(|(pattern, _)| (Reverse(glob::literal_length(pattern)), pattern.clone()));
        let by_name = rows.providers.iter().filter_map(|provider| {
            providers.get(&provider.id).map(|ready| (provider.name.clone(), ready.clone()))
        });
        let disabled = rows.models.iter().filter(|model| !model.enabled).map(|model| model.name.clone());
        Self {
            exact,
            patterns,
            providers: by_name.collect(),
            disabled: disabled.collect(),
            listed: BTreeMap::new(),
            provider_ids: Arc::new(rows.providers.iter().map(|provider| provider.id.clone()).collect()),
        }
    }

    /// What a name means: a model's name, else the most specific pattern that it matches, else `NAME/UPSTREAM`, split at the
    /// first slash, where NAME is an enabled provider, else a model that enabled providers list.
    pub fn resolve(&self, name: &str) -> Resolution {
        match self.own(name).or_else(|| self.listed(name)) {
            Some(route) => Resolution::Found(route),
            None => Resolution::Unknown,
        }
    }

    /// The route that the catalog itself has for a name.
    fn own(&self, name: &str) -> Option<Arc<Route>> {
        if let Some(entry) = self.exact.get(name) {
            return Some(entry.route.clone());
        }
        if let Some((_, entry)) = self.patterns.iter().find(|(pattern, _)| glob::matches(pattern, name)) {
            return Some(Arc::new(entry.asked_as(name)));
        }
        self.direct(name).map(Arc::new)
    }

    /// The names that come near to one that is unknown, nearest first, at most three; only such as these patterns allow.
    pub fn near(&self, name: &str, allowed: &[String]) -> Vec<String> {
        if name.len() > NEAR_LENGTH {
            return Vec::new();
        }
        // A third of the name may be wrong: typing errors, a missing date, another separator.
        let length = name.chars().count();
        let furthest = (length / 3).max(2);
        // The distance is never less than the difference of the lengths.
        let comparable = |known: &&String| {
            known.len() <= NEAR_LENGTH
                && known.chars().count().abs_diff(length) <= furthest
                && glob::allows(allowed, known)
        };
        let served = self.exact.iter().filter(|(_, entry)| !entry.route.targets.is_empty());
        let kept = served.map(|(known, _)| known).filter(comparable);
        let known = kept.chain(self.listed.keys().filter(comparable).take(NEAR_LISTED));
        let name = name.to_lowercase();
        let mut near: Vec<(usize, &String)> = known
            .map(|known| (strsim::damerau_levenshtein(&name, &known.to_lowercase()), known))
            .filter(|(distance, _)| *distance <= furthest)
            .collect();
        near.sort();
        near.into_iter().take(NEAR_NAMES).map(|(_, known)| known.clone()).collect()
    }

    /// The models that these patterns allow and that somebody enabled serves: first the catalog's own, then those that
    /// providers list, each by name. Patterns of the catalog itself are no names to ask for, and are left out.
    pub fn models_for(&self, allowed: &[String]) -> Vec<ModelInfo> {
        let served = self
            .exact
            .iter()
            .filter(|(name, entry)| !entry.route.targets.is_empty() && glob::allows(allowed, name));
        let mut models: Vec<ModelInfo> =
            served.map(|(name, entry)| info(name, entry.created, &providers_of(&entry.route))).collect();
        models.sort_by(|a, b| a.id.cmp(&b.id));
        let listed = self.listed.iter().filter(|(name, _)| glob::allows(allowed, name));
        models.extend(listed.map(|(name, model)| info(name, model.created, &model.providers)));
        models
    }

    /// Every enabled provider, as a target without a model.
    pub fn enabled_providers(&self) -> impl Iterator<Item = &Target> {
        self.providers.values().map(ReadyProvider::bare)
    }

    /// Whether there is such a provider, enabled or not.
    pub fn has_provider(&self, id: &str) -> bool {
        self.provider_ids.contains(id)
    }

    /// A model that a provider is known to serve, as a target: of those that the catalog names the first by name.
    pub fn served_by(&self, provider_id: &str) -> Option<&Target> {
        let is_named = |entry: &Entry, place: usize| !matches!(entry.as_asked.get(place), Some(Some(_)));
        let exact = self.exact.iter().map(|(name, entry)| (name, entry, true));
        let patterns = self.patterns.iter().map(|(pattern, entry)| (pattern, entry, false));
        let mut found: Option<(&String, &Target)> = None;
        for (name, entry, is_exact) in exact.chain(patterns) {
            for (place, target) in entry.route.targets.iter().enumerate() {
                let is_first = found.is_none_or(|(first, _)| name < first);
                if *target.provider_id == *provider_id && is_first && (is_exact || is_named(entry, place)) {
                    found = Some((name, target));
                }
            }
        }
        found.map(|(_, target)| target)
    }

    fn direct(&self, name: &str) -> Option<Route> {
        let (provider, upstream_model) = name.split_once('/')?;
        if upstream_model.is_empty() {
            return None;
        }
        let target = self.providers.get(provider)?.direct(upstream_model);
        Some(unkept_route(name, vec![target]))
    }
}

/// The route of a name that is no model of the catalog.
fn unkept_route(name: &str, targets: Vec<Target>) -> Route {
    Route {
        model: name.to_owned(),
        label: Name::OTHER,
        targets,
        strategy: Strategy::default(),
        max_attempts: DIRECT_ATTEMPTS,
        fallbacks: Vec::new(),
        limits: None,
    }
}

/// Each provider of a route once, best first.
fn providers_of(route: &Route) -> Vec<Arc<str>> {
    let mut providers: Vec<Arc<str>> = Vec::new();
    for target in &route.targets {
        if !providers.contains(&target.provider_name) {
            providers.push(Arc::clone(&target.provider_name));
        }
    }
    providers
}

fn info(name: &str, created: i64, providers: &[Arc<str>]) -> ModelInfo {
    let providers = providers.iter().map(ToString::to_string).collect();
    ModelInfo { id: name.to_owned(), created, providers }
}

fn entry(model: &Model, targets: Vec<Target>, providers: &HashMap<String, ReadyProvider>) -> Entry {
    let prices = |target: &Target| providers.get(&*target.provider_id).map(ReadyProvider::prices).cloned();
    let is_as_asked = |target: &Target| target.upstream_model == model.name;
    let as_asked = targets
        .iter()
        .map(|target| is_as_asked(target).then(|| prices(target).unwrap_or_default()))
        .collect();
    let route = Route {
        model: model.name.clone(),
        label: Name::of(&model.name),
        targets,
        // A name that a later version knows and this one does not is no reason to take the model away.
        strategy: Strategy::from_name(&model.strategy).unwrap_or_default(),
        max_attempts: model.max_retry.saturating_add(1),
        fallbacks: model.fallbacks.clone(),
        limits: Tenant::of_model(model),
    };
    Entry { route: Arc::new(route), as_asked, created: model.created_at.as_seconds() }
}

impl Entry {
    /// The route of a pattern for one name that matches it.
    fn asked_as(&self, name: &str) -> Route {
        let mut route = Route { model: name.to_owned(), ..(*self.route).clone() };
        for (target, as_asked) in route.targets.iter_mut().zip(&self.as_asked) {
            if let Some(prices) = as_asked {
                name.clone_into(&mut target.upstream_model);
                target.price = prices.find(name);
            }
        }
        route
    }
}

/// One state of everything that requests read.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The revision of the rows that it was built of.
    pub revision: i64,
    /// Models and providers.
    pub catalog: Catalog,
    /// Callers' keys.
    pub keys: KeyTable,
    /// Whose limits hold for whom.
    pub tenants: Tenants,
    /// Operators' keys.
    pub admin_keys: AdminKeyTable,
    /// What operators want logged, if anything else than the configuration says.
    pub log_level: Option<LogLevel>,
}

impl Snapshot {
    /// Builds a state of rows.
    pub fn build(rows: CatalogRows, unseal: Unseal<'_>, defaults: &config::Timeouts) -> Self {
        let catalog = Catalog::build(&rows, unseal, defaults);
        let tenants = Tenants::new(&rows);
        Self {
            revision: rows.revision,
            catalog,
            keys: KeyTable::new(rows.api_keys, rows.teams),
            tenants,
            admin_keys: AdminKeyTable::new(rows.admin_keys),
            log_level: rows.log_level,
        }
    }
}

/// The present state, shared by every request thread.
#[derive(Debug, Default)]
pub struct SharedCatalog {
    current: ArcSwap<Snapshot>,
    /// What providers list. Held while a state is put in place: of a new catalog and a new list at once neither is lost.
    lists: Mutex<ModelLists>,
    changes: watch::Sender<()>,
    ready: AtomicBool,
}

impl SharedCatalog {
    /// The present state. Taken once per request, and kept for as long as the request lives.
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The present state for a short look: cheaper, but not to be held while waiting for anything.
    pub fn peek(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Puts a new state in place, with what providers list; requests that run keep theirs.
    pub fn swap(&self, mut snapshot: Snapshot) {
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        snapshot.catalog.list(&lists);
        self.current.store(Arc::new(snapshot));
        self.ready.store(true, Ordering::Release);
        drop(lists);
        self.changes.send_replace(());
    }

    /// Changes what providers list. `change` says whether it did; then a new state is put in place.
    pub fn change_lists(&self, change: impl FnOnce(&mut ModelLists) -> bool) {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if change(&mut lists) {
            let mut snapshot = Snapshot::clone(&self.current.load());
            snapshot.catalog.list(&lists);
            self.current.store(Arc::new(snapshot));
        }
    }

    /// Tells of every new state of the catalog, but not of changed lists.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Whether there has been a state from the store yet.
    pub fn ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod listed_tests;
#[cfg(test)]
mod tests;
