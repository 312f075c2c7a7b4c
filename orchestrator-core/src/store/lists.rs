//! The catalog as Admin shows it: one row, or a page of them.

use async_trait::async_trait;

use super::{
    CatalogLists, Database, Slice, StoreError,
    entity::{Entity, find, list},
    prices,
};
use crate::catalog::{
    ApiKey, Model, ModelProvider, OwnPrice, Provider, ProviderKey, Team, admin_keys::AdminKey,
};

#[async_trait]
impl CatalogLists for Database {
    async fn provider(&self, id_or_name: &str) -> Result<Option<Provider>, StoreError> {
        self.by_id_or_name(id_or_name).await
    }

    async fn providers(&self, slice: &Slice) -> Result<Vec<Provider>, StoreError> {
        self.slice(&[], slice).await
    }

    async fn provider_key(&self, id: &str) -> Result<Option<ProviderKey>, StoreError> {
        self.by_id(id).await
    }

    async fn provider_keys(
        &self,
        provider_id: Option<&str>,
        slice: &Slice,
    ) -> Result<Vec<ProviderKey>, StoreError> {
        self.slice(&[("provider_id", provider_id)], slice).await
    }

    async fn model(&self, id_or_name: &str) -> Result<Option<Model>, StoreError> {
        self.by_id_or_name(id_or_name).await
    }

    async fn models(&self, slice: &Slice) -> Result<Vec<Model>, StoreError> {
        self.slice(&[], slice).await
    }

    async fn model_provider(&self, id: &str) -> Result<Option<ModelProvider>, StoreError> {
        self.by_id(id).await
    }

    async fn model_providers(
        &self,
        model_id: Option<&str>,
        provider_id: Option<&str>,
        slice: &Slice,
    ) -> Result<Vec<ModelProvider>, StoreError> {
        self.slice(&[("model_id", model_id), ("provider_id", provider_id)], slice).await
    }

    async fn api_key(&self, id_or_name: &str) -> Result<Option<ApiKey>, StoreError> {
        self.by_id_or_name(id_or_name).await
    }

    async fn api_keys(&self, slice: &Slice) -> Result<Vec<ApiKey>, StoreError> {
        self.slice(&[], slice).await
    }

    async fn team(&self, id_or_name: &str) -> Result<Option<Team>, StoreError> {
        self.by_id_or_name(id_or_name).await
    }

    async fn teams(&self, slice: &Slice) -> Result<Vec<Team>, StoreError> {
        self.slice(&[], slice).await
    }

    async fn prices(&self) -> Result<Vec<OwnPrice>, StoreError> {
        let mut tx = self.db.read().await?;
        prices::in_force(&mut tx).await
    }

    async fn admin_key(&self, id_or_name: &str) -> Result<Option<AdminKey>, StoreError> {
        self.by_id_or_name(id_or_name).await
    }

    async fn admin_keys(&self, slice: &Slice) -> Result<Vec<AdminKey>, StoreError> {
        self.slice(&[], slice).await
    }
}

impl Database {
    async fn by_id<E: Entity>(&self, id: &str) -> Result<Option<E>, StoreError> {
        let mut tx = self.db.read().await?;
        find(&mut tx, "id", id).await
    }

    /// An id wins over another row's name that looks the same.
    async fn by_id_or_name<E: Entity>(&self, id_or_name: &str) -> Result<Option<E>, StoreError> {
        let mut tx = self.db.read().await?;
        match find(&mut tx, "id", id_or_name).await? {
            Some(entity) => Ok(Some(entity)),
            None => find(&mut tx, "name", id_or_name).await,
        }
    }

    async fn slice<E: Entity>(
        &self,
        filters: &[(&str, Option<&str>)],
        slice: &Slice,
    ) -> Result<Vec<E>, StoreError> {
        let mut tx = self.db.read().await?;
        list(&mut tx, filters, slice).await
    }
}
