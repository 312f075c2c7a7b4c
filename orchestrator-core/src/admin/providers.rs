//! Providers.

use std::collections::BTreeMap;

use orchestrator_base::mask;
use secrecy::SecretString;

use super::{Admin, Listed, Page, editable, found, store_error, validate};
use crate::{
    catalog::{ManagedBy, Provider, ProviderKey, ProviderOptions, Timeouts, defaults},
    error::Result,
    store::CatalogChange,
};

/// The label of a key that is made together with its provider.
const FIRST_KEY: &str = "default";

/// The fields of a provider that may be set.
#[derive(Clone, Debug, Default)]
pub struct ProviderChange {
    /// [`Provider::name`].
    pub name: Option<String>,
    /// [`Provider::kind`].
    pub kind: Option<String>,
    /// [`Provider::base_url`]; empty: the kind's own.
    pub base_url: Option<String>,
    /// [`Provider::enabled`].
    pub enabled: Option<bool>,
    /// [`Provider::priority`].
    pub priority: Option<u32>,
    /// [`Provider::weight`].
    pub weight: Option<u32>,
    /// [`Provider::max_retries`].
    pub max_retries: Option<u32>,
    /// [`Provider::timeout`].
    pub timeout: Option<Option<u32>>,
    /// [`Provider::timeouts`], all of them.
    pub timeouts: Option<Timeouts>,
    /// [`Provider::rate_limit`].
    pub rate_limit: Option<Option<u32>>,
    /// [`Provider::headers`], all of them.
    pub headers: Option<BTreeMap<String, String>>,
    /// [`Provider::options`], all of them.
    pub options: Option<ProviderOptions>,
}

impl ProviderChange {
    fn make(self, row: &mut Provider) {
        set(&mut row.name, self.name);
        set(&mut row.kind, self.kind);
        set(&mut row.base_url, self.base_url);
        set(&mut row.enabled, self.enabled);
        set(&mut row.priority, self.priority);
        set(&mut row.weight, self.weight);
        set(&mut row.max_retries, self.max_retries);
        set(&mut row.timeout, self.timeout);
        set(&mut row.timeouts, self.timeouts);
        set(&mut row.rate_limit, self.rate_limit);
        if let Some(mut headers) = self.headers {
            keep_hidden(&mut headers, &row.headers);
            row.headers = headers;
        }
        set(&mut row.options, self.options);
    }
}

/// Whoever gives a row back as it was shown means the values that were not shown as they are.
pub(super) fn keep_hidden(headers: &mut BTreeMap<String, String>, before: &BTreeMap<String, String>) {
    for (name, value) in headers.iter_mut().filter(|(_, value)| *value == mask::HIDDEN) {
        if let Some(kept) = before.get(name) {
            value.clone_from(kept);
        }
    }
}

/// Puts a value in place, if there is one.
pub(super) fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

impl Admin {
    /// A page of providers.
    pub async fn list_providers(&self, page: &Page) -> Result<Listed<Provider>> {
        let rows = self.store.providers(&page.slice()?).await.map_err(store_error)?;
        Ok(page.listed(rows, |row| &row.id))
    }

    /// A provider, by its id or its name.
    pub async fn provider(&self, id_or_name: &str) -> Result<Provider> {
        found(self.store.provider(id_or_name).await, "provider", id_or_name)
    }

    /// Makes a provider, with its first key if one is given.
    ///
    /// Errors: a field that is not valid, named; [`crate::error::ErrorKind::Conflict`] for a name that is taken.
    pub async fn create_provider(
        &self,
        change: ProviderChange,
        first_key: Option<SecretString>,
    ) -> Result<Provider> {
        let (provider, key) = self.new_provider(change, first_key)?;
        let insert = CatalogChange::InsertProvider(Box::new(provider.clone()), key.map(Box::new));
        self.commit(vec![insert]).await?;
        Ok(provider)
    }

    /// Changes a provider.
    pub async fn update_provider(&self, id: &str, change: ProviderChange) -> Result<Provider> {
        let _alone = self.alone().await?;
        let mut row = self.editable_provider(id).await?;
        change.make(&mut row);
        validate::provider(&mut row, &self.rules)?;
        row.updated_at = self.clock.now();
        self.commit(vec![CatalogChange::UpdateProvider(Box::new(row.clone()))]).await?;
        Ok(row)
    }

    /// Deletes a provider with its keys and associations.
    pub async fn delete_provider(&self, id: &str) -> Result<()> {
        let _alone = self.alone().await?;
        self.editable_provider(id).await?;
        self.nothing_declared(None, Some(id)).await?;
        self.commit(vec![CatalogChange::DeleteProvider(id.to_owned())]).await
    }

    /// A provider's row that is not stored yet.
    pub(super) fn new_provider(
        &self,
        change: ProviderChange,
        first_key: Option<SecretString>,
    ) -> Result<(Provider, Option<ProviderKey>)> {
        let now = self.clock.now();
        let mut row = Provider {
            id: self.new_id(now),
            name: String::new(),
            kind: String::new(),
            base_url: String::new(),
            enabled: true,
            priority: defaults::PRIORITY,
            weight: defaults::WEIGHT,
            max_retries: defaults::MAX_RETRIES,
            timeout: None,
            timeouts: Timeouts::default(),
            rate_limit: None,
            headers: BTreeMap::new(),
            options: ProviderOptions::default(),
            managed_by: ManagedBy::Admin,
            created_at: now,
            updated_at: now,
        };
        change.make(&mut row);
        validate::provider(&mut row, &self.rules)?;
        let Some(secret) = first_key else { return Ok((row, None)) };
        validate::provider_secret("api_key", &secret)?;
        let key = self.new_provider_key(&row.id, FIRST_KEY, &secret)?;
        Ok((row, Some(key)))
    }

    /// The provider with this id, if Admin may change it and its keys.
    pub(super) async fn editable_provider(&self, id: &str) -> Result<Provider> {
        let row = self.store.provider(id).await.map(|row| row.filter(|row| row.id == id));
        let row = found(row, "provider", id)?;
        editable(row.managed_by, "provider", &row.name)?;
        Ok(row)
    }
}
