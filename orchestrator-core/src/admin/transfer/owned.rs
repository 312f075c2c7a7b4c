//! What rows that a document can name have in common.

use orchestrator_base::clock::UnixMicros;

use crate::{
    catalog::{ApiKey, ManagedBy, Model, ModelProvider, Provider, Team},
    store::CatalogChange,
};

/// A row that somebody owns.
pub(super) trait Owned: Clone + PartialEq {
    /// What it is called in messages.
    const NOUN: &'static str;

    fn id(&self) -> &str;
    fn owner(&self) -> ManagedBy;
    /// Takes the place of `old`: all that a document does not say is as it was.
    fn replace(&mut self, old: &Self);
    fn set_owner(&mut self, owner: ManagedBy);
    fn set_updated(&mut self, now: UnixMicros);
    fn insert(self) -> CatalogChange;
    fn update(self) -> CatalogChange;
}

macro_rules! owned {
    ($row:ident, $noun:literal, $insert:expr, $update:expr $(, $unsaid:ident)*) => {
        impl Owned for $row {
            const NOUN: &'static str = $noun;

            fn id(&self) -> &str {
                &self.id
            }

            fn owner(&self) -> ManagedBy {
                self.managed_by
            }

            fn replace(&mut self, old: &Self) {
                self.id.clone_from(&old.id);
                self.managed_by = old.managed_by;
                self.created_at = old.created_at;
                self.updated_at = old.updated_at;
                $(self.$unsaid.clone_from(&old.$unsaid);)*
            }

            fn set_owner(&mut self, owner: ManagedBy) {
                self.managed_by = owner;
            }

            fn set_updated(&mut self, now: UnixMicros) {
                self.updated_at = now;
            }

            fn insert(self) -> CatalogChange {
                $insert(Box::new(self))
            }

            fn update(self) -> CatalogChange {
                $update(Box::new(self))
            }
        }
    };
}

owned!(Provider, "provider", |row| CatalogChange::InsertProvider(row, None), CatalogChange::UpdateProvider);
owned!(Model, "model", CatalogChange::InsertModel, CatalogChange::UpdateModel);
owned!(
    ModelProvider,
    "model-provider",
    CatalogChange::InsertModelProvider,
    CatalogChange::UpdateModelProvider
);
owned!(ApiKey, "API key", CatalogChange::InsertApiKey, CatalogChange::UpdateApiKey, previous);
owned!(Team, "team", CatalogChange::InsertTeam, CatalogChange::UpdateTeam);
