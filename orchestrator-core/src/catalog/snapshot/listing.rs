//! What providers list, behind the catalog's own names.
//!
//! It is worked out when a state is put in place, not in each request: which of the listed names nobody else has a say over, and
//! who serves them.

use std::{collections::BTreeMap, sync::Arc};

use super::{Catalog, providers_of, unkept_route};
use crate::{
    catalog::{
        build::{self, ReadyProvider},
        listed::{ModelList, ModelLists},
        route::Route,
    },
    policy::glob,
};

/// A name that providers list and the catalog does not have.
#[derive(Clone, Debug)]
pub(super) struct ListedModel {
    /// The names of those who serve it, best first.
    pub(super) providers: Vec<Arc<str>>,
    /// Unix seconds since when the best of those who list it is in the catalog.
    pub(super) created: i64,
}

impl Catalog {
    /// Puts what the enabled providers list behind the catalog's own names, in place of what was there.
    pub(super) fn list(&mut self, lists: &ModelLists) {
        let mut best_first: Vec<&ReadyProvider> = self.providers.values().collect();
        best_first.sort_by_key(|provider| build::rank(provider.bare()));
        let mut listed: BTreeMap<String, ListedModel> = BTreeMap::new();
        for provider in best_first {
            let target = provider.bare();
            let names = lists.get(&target.provider_id).into_iter().flat_map(ModelList::names);
            for name in names.filter(|name| !self.keeps(name)) {
                let model = listed
                    .entry(name.to_owned())
                    .or_insert_with(|| ListedModel { providers: Vec::new(), created: provider.created() });
                model.providers.push(Arc::clone(&target.provider_name));
            }
        }
        // Where a pattern or `NAME/UPSTREAM` has a say over the name, those serve it whom that names.
        for (name, model) in &mut listed {
            if let Some(route) = self.own(name) {
                model.providers = providers_of(&route);
            }
        }
        listed.retain(|_, model| !model.providers.is_empty());
        self.listed = listed;
    }

    /// Whether a name is an operator's own model, or one that an operator has disabled.
    fn keeps(&self, name: &str) -> bool {
        self.exact.contains_key(name) || self.disabled.iter().any(|pattern| glob::matches(pattern, name))
    }

    /// The route over all providers that list a name.
    pub(super) fn listed(&self, name: &str) -> Option<Arc<Route>> {
        let providers = self.listed.get(name)?.providers.iter();
        let targets = providers.filter_map(|provider| self.providers.get(&**provider));
        Some(Arc::new(unkept_route(name, targets.map(|provider| provider.direct(name)).collect())))
    }
}
