//! Associations: which provider serves which model.

use super::{Admin, Listed, Page, editable, found, providers::set, store_error, validate};
use crate::{
    catalog::{ManagedBy, ModelProvider, Timeouts, defaults},
    error::{Error, Result},
    store::{CatalogChange, Slice},
};

/// The fields of an association that may be set.
#[derive(Clone, Debug, Default)]
pub struct ModelProviderChange {
    /// [`ModelProvider::model_id`].
    pub model_id: Option<String>,
    /// [`ModelProvider::provider_id`].
    pub provider_id: Option<String>,
    /// [`ModelProvider::provider_model`].
    pub provider_model: Option<String>,
    /// [`ModelProvider::priority`].
    pub priority: Option<Option<u32>>,
    /// [`ModelProvider::weight`].
    pub weight: Option<u32>,
    /// [`ModelProvider::timeouts`], all of them.
    pub timeouts: Option<Timeouts>,
    /// [`ModelProvider::tool_call`].
    pub tool_call: Option<bool>,
    /// [`ModelProvider::structured_output`].
    pub structured_output: Option<bool>,
    /// [`ModelProvider::image`].
    pub image: Option<bool>,
    /// [`ModelProvider::enabled`].
    pub enabled: Option<bool>,
}

impl ModelProviderChange {
    fn make(self, row: &mut ModelProvider) {
        set(&mut row.model_id, self.model_id);
        set(&mut row.provider_id, self.provider_id);
        set(&mut row.provider_model, self.provider_model);
        set(&mut row.priority, self.priority);
        set(&mut row.weight, self.weight);
        set(&mut row.timeouts, self.timeouts);
        set(&mut row.tool_call, self.tool_call);
        set(&mut row.structured_output, self.structured_output);
        set(&mut row.image, self.image);
        set(&mut row.enabled, self.enabled);
    }
}

impl Admin {
    /// A page of associations: of one model, of one provider, of both, or all.
    pub async fn list_model_providers(
        &self,
        model_id: Option<&str>,
        provider_id: Option<&str>,
        page: &Page,
    ) -> Result<Listed<ModelProvider>> {
        let rows = self.store.model_providers(model_id, provider_id, &page.slice()?).await;
        Ok(page.listed(rows.map_err(store_error)?, |row| &row.id))
    }

    /// An association.
    pub async fn model_provider(&self, id: &str) -> Result<ModelProvider> {
        found(self.store.model_provider(id).await, "model-provider", id)
    }

    /// Makes an association.
    pub async fn create_model_provider(&self, change: ModelProviderChange) -> Result<ModelProvider> {
        let _alone = self.alone().await?;
        let row = self.new_model_provider(change)?;
        self.ends_exist(&row).await?;
        self.commit(vec![CatalogChange::InsertModelProvider(Box::new(row.clone()))]).await?;
        Ok(row)
    }

    /// Changes an association.
    pub async fn update_model_provider(
        &self,
        id: &str,
        change: ModelProviderChange,
    ) -> Result<ModelProvider> {
        let _alone = self.alone().await?;
        let mut row = self.editable_model_provider(id).await?;
        change.make(&mut row);
        validate::model_provider(&row)?;
        self.ends_exist(&row).await?;
        row.updated_at = self.clock.now();
        self.commit(vec![CatalogChange::UpdateModelProvider(Box::new(row.clone()))]).await?;
        Ok(row)
    }

    /// Deletes an association.
    pub async fn delete_model_provider(&self, id: &str) -> Result<()> {
        let _alone = self.alone().await?;
        self.editable_model_provider(id).await?;
        self.commit(vec![CatalogChange::DeleteModelProvider(id.to_owned())]).await
    }

    /// An association's row that is not stored yet.
    pub(super) fn new_model_provider(&self, change: ModelProviderChange) -> Result<ModelProvider> {
        let now = self.clock.now();
        let mut row = ModelProvider {
            id: self.new_id(now),
            model_id: String::new(),
            provider_id: String::new(),
            provider_model: defaults::PROVIDER_MODEL.to_owned(),
            priority: None,
            weight: defaults::WEIGHT,
            timeouts: Timeouts::default(),
            tool_call: true,
            structured_output: true,
            image: true,
            enabled: true,
            managed_by: ManagedBy::Admin,
            created_at: now,
            updated_at: now,
        };
        change.make(&mut row);
        validate::model_provider(&row)?;
        Ok(row)
    }

    /// The association with this id, if Admin may change it.
    async fn editable_model_provider(&self, id: &str) -> Result<ModelProvider> {
        let row = self.model_provider(id).await?;
        editable(row.managed_by, "model-provider", &row.id)?;
        Ok(row)
    }

    /// Refuses to delete what a declared association hangs on: it would go too, and the file could not be applied any more.
    pub(super) async fn nothing_declared(
        &self,
        model_id: Option<&str>,
        provider_id: Option<&str>,
    ) -> Result<()> {
        let all = Slice { after: None, limit: u32::MAX };
        let rows = self.store.model_providers(model_id, provider_id, &all).await.map_err(store_error)?;
        match rows.iter().find(|row| row.managed_by == ManagedBy::File) {
            Some(row) => editable(row.managed_by, "its model-provider", &row.id),
            None => Ok(()),
        }
    }

    async fn ends_exist(&self, row: &ModelProvider) -> Result<()> {
        let model = self.store.model(&row.model_id).await.map_err(store_error)?;
        if model.is_none_or(|model| model.id != row.model_id) {
            return Err(Error::invalid("model_id".to_owned(), "model_id names no model"));
        }
        let provider = self.store.provider(&row.provider_id).await.map_err(store_error)?;
        if provider.is_none_or(|provider| provider.id != row.provider_id) {
            return Err(Error::invalid("provider_id".to_owned(), "provider_id names no provider"));
        }
        Ok(())
    }
}
