//! Whose limits hold for whom: built once with a snapshot. Keys that have none and no team are not in it, and cost nothing.

use std::{collections::HashMap, sync::Arc};

use super::{CatalogRows, Model, limits::Limits};

/// Whose limits: `key:ID`, `team:ID`, `model:ID`, `provider:ID`.
pub type Scope = Arc<str>;

/// Limits that are taken together: a key's and its team's, or a model's. Built once, and shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// What all its scopes share: the team's id where there is one, else the key's. Redis keeps what it shares in one place.
    pub tag: Arc<str>,
    /// The key's and the team's, those of them that have limits. Never empty.
    pub scopes: Vec<(Scope, Limits)>,
}

impl Tenant {
    /// A model's own, if it has limits.
    pub fn of_model(model: &Model) -> Option<Arc<Self>> {
        let scope: Scope = format!("model:{}", model.id).into();
        let limits = Limits { max_concurrency: None, budget: None, ..model.limits };
        (!limits.is_empty())
            .then(|| Arc::new(Self { tag: Arc::clone(&scope), scopes: vec![(scope, limits)] }))
    }

    /// The limits of one of its scopes.
    pub fn limits(&self, scope: &str) -> Option<&Limits> {
        self.scopes.iter().find(|(known, _)| **known == *scope).map(|(_, limits)| limits)
    }
}

/// What a key belongs to.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    /// Its team's id.
    pub team_id: Option<Arc<str>>,
    /// Its and its team's limits, if there are any.
    pub tenant: Option<Arc<Tenant>>,
}

/// A scope with a budget, as people know it.
#[derive(Clone, Debug)]
pub struct Budgeted {
    /// `key:ID` or `team:ID`.
    pub scope: Scope,
    /// The key's or the team's name.
    pub name: String,
    /// Its limits, budget included.
    pub limits: Limits,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Tenants {
    of_keys: Arc<HashMap<String, Membership>>,
    budgeted: Arc<[Budgeted]>,
}

impl Tenants {
    /// Those of these rows.
    pub fn new(rows: &CatalogRows) -> Self {
        let teams: HashMap<&str, (Scope, Arc<str>, &Limits)> = rows
            .teams
            .iter()
            .map(|team| {
                (&*team.name, (format!("team:{}", team.id).into(), Arc::from(&*team.id), &team.limits))
            })
            .collect();
        let (mut of_keys, mut budgeted) = (HashMap::new(), Vec::new());
        let mut has_budget = |scope: &Scope, name: &str, limits: &Limits| {
            if limits.budget.is_some() {
                budgeted.push(Budgeted { scope: Arc::clone(scope), name: name.to_owned(), limits: *limits });
            }
        };
        for key in &rows.api_keys {
            let scope: Scope = format!("key:{}", key.id).into();
            has_budget(&scope, &key.name, &key.limits);
            let team = teams.get(&*key.team);
            let scopes =
                [Some((scope, key.limits)), team.map(|(scope, _, limits)| (Arc::clone(scope), **limits))];
            let scopes: Vec<(Scope, Limits)> =
                scopes.into_iter().flatten().filter(|(_, limits)| !limits.is_empty()).collect();
            let team_id = team.map(|(_, id, _)| Arc::clone(id));
            let tag = team_id.clone().unwrap_or_else(|| Arc::from(&*key.id));
            let tenant = (!scopes.is_empty()).then(|| Arc::new(Tenant { tag, scopes }));
            if tenant.is_some() || team_id.is_some() {
                of_keys.insert(key.id.clone(), Membership { team_id, tenant });
            }
        }
        for team in &rows.teams {
            has_budget(&teams[&*team.name].0, &team.name, &team.limits);
        }
        Self { of_keys: Arc::new(of_keys), budgeted: budgeted.into() }
    }

    /// What a key belongs to; `None`: it has no limits and no team.
    pub fn of_key(&self, id: &str) -> Option<&Membership> {
        if self.of_keys.is_empty() { None } else { self.of_keys.get(id) }
    }

    /// Everybody who has a budget.
    pub fn budgeted(&self) -> &[Budgeted] {
        &self.budgeted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{
        limits::{Budget, Period},
        samples,
    };

    #[test]
    fn a_key_has_its_own_limits_and_its_teams() {
        let some = Limits { requests_per_minute: Some(1), ..Limits::default() };
        let budget = Some(Budget { nanos: 5, period: Period::Day });
        let mut keys = ["free", "limited", "member", "both"].map(|name| samples::api_key(name, name, name));
        keys[1].limits = some;
        for key in &mut keys[2..] {
            key.team = "crew".into();
        }
        keys[3].limits = some;
        let mut team = samples::team("t", "crew");
        team.limits = Limits { budget, ..Limits::default() };
        let rows = CatalogRows { api_keys: keys.into(), teams: vec![team], ..CatalogRows::default() };
        let tenants = Tenants::new(&rows);
        assert!(tenants.of_key("free").is_none());
        let scopes = |id: &str| {
            let tenant = tenants.of_key(id).unwrap().tenant.clone().unwrap();
            let names: Vec<String> = tenant.scopes.iter().map(|(scope, _)| scope.to_string()).collect();
            (tenant.tag.to_string(), names.join(" "))
        };
        assert_eq!(scopes("limited"), ("limited".into(), "key:limited".into()));
        assert_eq!(scopes("member"), ("t".into(), "team:t".into()));
        assert_eq!(scopes("both"), ("t".into(), "key:both team:t".into()));
        assert_eq!(tenants.budgeted().iter().map(|one| &*one.name).collect::<Vec<_>>(), ["crew"]);
    }
}
