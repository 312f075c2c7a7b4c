//! Models.

use super::{Admin, Listed, Page, editable, found, providers::set, store_error, validate};
use crate::{
    catalog::{ManagedBy, Model, Timeouts, defaults, limits::Limits, route::Resolution},
    error::{Error, Result},
    store::CatalogChange,
};

/// The fields of a model that may be set.
#[derive(Clone, Debug, Default)]
pub struct ModelChange {
    /// [`Model::name`].
    pub name: Option<String>,
    /// [`Model::remark`].
    pub remark: Option<String>,
    /// [`Model::strategy`].
    pub strategy: Option<String>,
    /// [`Model::fallbacks`], all of them.
    pub fallbacks: Option<Vec<String>>,
    /// [`Model::max_retry`].
    pub max_retry: Option<u32>,
    /// [`Model::timeout`].
    pub timeout: Option<Option<u32>>,
    /// [`Model::timeouts`], all of them.
    pub timeouts: Option<Timeouts>,
    /// [`Model::enabled`].
    pub enabled: Option<bool>,
    /// [`Limits::requests_per_minute`] of the model.
    pub requests_per_minute: Option<Option<u32>>,
    /// [`Limits::tokens_per_minute`] of the model.
    pub tokens_per_minute: Option<Option<u64>>,
}

impl ModelChange {
    fn make(self, row: &mut Model) {
        set(&mut row.name, self.name);
        set(&mut row.remark, self.remark);
        set(&mut row.strategy, self.strategy);
        set(&mut row.fallbacks, self.fallbacks);
        set(&mut row.max_retry, self.max_retry);
        set(&mut row.timeout, self.timeout);
        set(&mut row.timeouts, self.timeouts);
        set(&mut row.enabled, self.enabled);
        set(&mut row.limits.requests_per_minute, self.requests_per_minute);
        set(&mut row.limits.tokens_per_minute, self.tokens_per_minute);
    }
}

impl Admin {
    /// A page of models.
    pub async fn list_models(&self, page: &Page) -> Result<Listed<Model>> {
        let rows = self.store.models(&page.slice()?).await.map_err(store_error)?;
        Ok(page.listed(rows, |row| &row.id))
    }

    /// A model, by its id or its name.
    pub async fn model(&self, id_or_name: &str) -> Result<Model> {
        found(self.store.model(id_or_name).await, "model", id_or_name)
    }

    /// Makes a model.
    pub async fn create_model(&self, change: ModelChange) -> Result<Model> {
        let row = self.new_model(change)?;
        self.fallbacks_exist(&row.fallbacks).await?;
        self.commit(vec![CatalogChange::InsertModel(Box::new(row.clone()))]).await?;
        Ok(row)
    }

    /// Changes a model.
    pub async fn update_model(&self, id: &str, change: ModelChange) -> Result<Model> {
        let _alone = self.alone().await?;
        let mut row = self.editable_model(id).await?;
        let new_fallbacks = change.fallbacks.clone();
        change.make(&mut row);
        validate::model(&row)?;
        // Only what is set now: one that was deleted since must not stand in the way of another change.
        self.fallbacks_exist(new_fallbacks.as_deref().unwrap_or_default()).await?;
        row.updated_at = self.clock.now();
        self.commit(vec![CatalogChange::UpdateModel(Box::new(row.clone()))]).await?;
        Ok(row)
    }

    /// Deletes a model with its associations. Models that name it as a fallback keep the name; it is skipped.
    pub async fn delete_model(&self, id: &str) -> Result<()> {
        let _alone = self.alone().await?;
        self.editable_model(id).await?;
        self.nothing_declared(Some(id), None).await?;
        self.commit(vec![CatalogChange::DeleteModel(id.to_owned())]).await
    }

    /// A model's row that is not stored yet.
    pub(super) fn new_model(&self, change: ModelChange) -> Result<Model> {
        let now = self.clock.now();
        let mut row = Model {
            id: self.new_id(now),
            name: String::new(),
            remark: String::new(),
            strategy: defaults::STRATEGY.to_owned(),
            fallbacks: Vec::new(),
            max_retry: defaults::MAX_RETRY,
            timeout: None,
            timeouts: Timeouts::default(),
            enabled: true,
            limits: Limits::default(),
            managed_by: ManagedBy::Admin,
            created_at: now,
            updated_at: now,
        };
        change.make(&mut row);
        validate::model(&row)?;
        Ok(row)
    }

    /// The model with this id, if Admin may change it.
    async fn editable_model(&self, id: &str) -> Result<Model> {
        let row = self.store.model(id).await.map(|row| row.filter(|row| row.id == id));
        let row = found(row, "model", id)?;
        editable(row.managed_by, "model", &row.name)?;
        Ok(row)
    }

    /// A fallback that nobody knows would be skipped in silence, just when it is needed.
    async fn fallbacks_exist(&self, fallbacks: &[String]) -> Result<()> {
        let unknown = |name: &String| {
            matches!(self.reloader.shared().load().catalog.resolve(name), Resolution::Unknown)
        };
        if fallbacks.iter().any(unknown) {
            // Another core may have made it a moment ago.
            self.reloader.refresh().await.map_err(store_error)?;
        }
        match fallbacks.iter().position(unknown) {
            Some(index) => {
                let param = format!("fallbacks[{index}]");
                let message = format!("{param} names no enabled model: {}", fallbacks[index]);
                Err(Error::invalid(param, message))
            }
            None => Ok(()),
        }
    }
}
