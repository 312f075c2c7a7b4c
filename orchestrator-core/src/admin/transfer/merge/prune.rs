//! What a file owned and has no more. It goes first, so that its names and secrets are free.

use std::collections::{HashMap, HashSet};

use super::{Merge, Policy, association_name};
use crate::{
    admin::transfer::{document::Document, report::Action},
    catalog::ManagedBy,
    store::CatalogChange,
};

impl<'a> Merge<'a> {
    pub(super) fn prune(&mut self, document: &Document) {
        if !matches!(self.policy, Policy::Declare { prune: true, .. }) {
            return;
        }
        let rows = &self.current.rows;
        let names =
            |names: Vec<Option<&String>>| names.into_iter().flatten().cloned().collect::<HashSet<_>>();
        let providers = names(document.providers.iter().map(|row| row.row.change.name.as_ref()).collect());
        let models = names(document.models.iter().map(|row| row.row.name.as_ref()).collect());
        let callers = names(document.api_keys.iter().map(|row| row.row.change.name.as_ref()).collect());
        let gone =
            |owner, name: &str, kept: &HashSet<String>| owner == ManagedBy::File && !kept.contains(name);

        self.prune_associations(document, &|name| models.contains(name), &|name| providers.contains(name));
        for row in rows.api_keys.iter().filter(|row| gone(row.managed_by, &row.name, &callers)) {
            self.goes(&row.id, "API key", &row.name, CatalogChange::DeleteApiKey(row.id.clone()));
        }
        for row in rows.models.iter().filter(|row| gone(row.managed_by, &row.name, &models)) {
            self.goes(&row.id, "model", &row.name, CatalogChange::DeleteModel(row.id.clone()));
        }
        for row in rows.providers.iter().filter(|row| gone(row.managed_by, &row.name, &providers)) {
            self.goes(&row.id, "provider", &row.name, CatalogChange::DeleteProvider(row.id.clone()));
        }
    }

    /// Those that the file owned and has no more, and those of whoever's whose model or provider goes.
    fn prune_associations(
        &mut self,
        document: &Document,
        has_model: &dyn Fn(&str) -> bool,
        has_provider: &dyn Fn(&str) -> bool,
    ) {
        let rows = &self.current.rows;
        let models: HashMap<&str, _> = rows.models.iter().map(|row| (row.id.as_str(), row)).collect();
        let providers: HashMap<&str, _> = rows.providers.iter().map(|row| (row.id.as_str(), row)).collect();
        let declared: HashSet<String> = document
            .model_providers
            .iter()
            .map(|row| {
                let upstream = row.row.change.provider_model.as_deref();
                let upstream = upstream.unwrap_or(crate::catalog::defaults::PROVIDER_MODEL);
                association_name(&row.row.model, &row.row.provider, upstream)
            })
            .collect();
        let mut gone = Vec::new();
        for row in &rows.model_providers {
            let ends = (models.get(row.model_id.as_str()), providers.get(row.provider_id.as_str()));
            let (Some(model), Some(provider)) = ends else { continue };
            let name = association_name(&model.name, &provider.name, &row.provider_model);
            let end_goes = (model.managed_by == ManagedBy::File && !has_model(&model.name))
                || (provider.managed_by == ManagedBy::File && !has_provider(&provider.name));
            if end_goes || (row.managed_by == ManagedBy::File && !declared.contains(&name)) {
                gone.push((name, row.id.as_str()));
            }
        }
        gone.sort();
        for (name, id) in gone {
            self.goes(id, "model-provider", &name, CatalogChange::DeleteModelProvider(id.to_owned()));
        }
    }

    pub(super) fn goes(&mut self, id: &'a str, noun: &'static str, name: &str, change: CatalogChange) {
        self.pruned.insert(id);
        self.change(Action::Delete, noun, name, Vec::new(), change);
    }
}
