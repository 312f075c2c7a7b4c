//! Taking a provider's models into the catalog: each under its own name, served by that provider.

use std::collections::{BTreeSet, HashSet};

use super::{Admin, ModelChange, ModelProviderChange, store_error};
use crate::{
    error::{Error, Result},
    store::{CatalogChange, Slice},
};

/// The most models of one import.
const MOST: usize = 1000;

/// What an import has made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportedModels {
    /// Models that were not there.
    pub models: u32,
    /// Associations that were not there.
    pub associations: u32,
    /// Models that the provider served already.
    pub skipped: u32,
}

impl Admin {
    /// The names under which the catalog has a provider serve models.
    pub(super) async fn upstream_models(&self, provider_id: &str) -> Result<HashSet<String>> {
        let all = Slice { after: None, limit: u32::MAX };
        let rows = self.store.model_providers(None, Some(provider_id), &all).await.map_err(store_error)?;
        Ok(rows.into_iter().map(|row| row.provider_model).collect())
    }

    /// Has a provider serve these models, in one transaction: a model of that name is made where there is none.
    ///
    /// Errors: a name that no model can have, by its place; more than 1000 names.
    pub async fn import_models(&self, provider: &str, names: Vec<String>) -> Result<ImportedModels> {
        let names: BTreeSet<String> = names.into_iter().collect();
        if names.len() > MOST {
            return Err(Error::invalid("models".to_owned(), format!("models must be at most {MOST} names")));
        }
        let _alone = self.alone().await?;
        let provider = self.provider(provider).await?;
        let served = self.upstream_models(&provider.id).await?;
        let (mut imported, mut changes) = (ImportedModels::default(), Vec::new());
        for name in names {
            if served.contains(&name) {
                imported.skipped += 1;
                continue;
            }
            let known = self.store.model(&name).await.map_err(store_error)?;
            let known = known.filter(|model| model.name == name);
            let model_id = if let Some(model) = known {
                model.id
            } else {
                let change = ModelChange { name: Some(name.clone()), ..ModelChange::default() };
                let model = self.new_model(change).map_err(|error| of_model(&name, error))?;
                let id = model.id.clone();
                changes.push(CatalogChange::InsertModel(Box::new(model)));
                imported.models += 1;
                id
            };
            let change = ModelProviderChange {
                model_id: Some(model_id),
                provider_id: Some(provider.id.clone()),
                provider_model: Some(name.clone()),
                ..ModelProviderChange::default()
            };
            let association = self.new_model_provider(change).map_err(|error| of_model(&name, error))?;
            changes.push(CatalogChange::InsertModelProvider(Box::new(association)));
            imported.associations += 1;
        }
        if !changes.is_empty() {
            self.commit(changes).await?;
        }
        Ok(imported)
    }
}

/// The same error, about the model that is to blame.
fn of_model(name: &str, error: Error) -> Error {
    Error::invalid("models".to_owned(), format!("{name}: {}", error.message))
}
