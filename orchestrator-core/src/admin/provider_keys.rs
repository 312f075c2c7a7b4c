//! Providers' keys: what we hold at a provider. A secret goes in and never comes out.

use secrecy::SecretString;

use super::{Admin, Listed, Page, found, providers::set, secrets::mask, store_error, validate};
use crate::{
    catalog::{ProviderKey, defaults},
    error::{Error, ErrorKind, Result},
    store::CatalogChange,
};

/// The fields of a provider's key that may be set.
#[derive(Clone, Debug, Default)]
pub struct ProviderKeyChange {
    /// [`ProviderKey::label`].
    pub label: Option<String>,
    /// [`ProviderKey::weight`].
    pub weight: Option<u32>,
    /// [`ProviderKey::enabled`].
    pub enabled: Option<bool>,
    /// The secret in the clear.
    pub secret: Option<SecretString>,
}

impl Admin {
    /// A page of keys: of one provider, by its id, or of all.
    pub async fn list_provider_keys(
        &self,
        provider_id: Option<&str>,
        page: &Page,
    ) -> Result<Listed<ProviderKey>> {
        if let Some(id) = provider_id {
            self.provider_of_id(id).await?;
        }
        let rows = self.store.provider_keys(provider_id, &page.slice()?).await.map_err(store_error)?;
        Ok(page.listed(rows, |row| &row.id))
    }

    /// A provider's key.
    pub async fn provider_key(&self, id: &str) -> Result<ProviderKey> {
        found(self.store.provider_key(id).await, "provider key", id)
    }

    /// Makes a key of a provider.
    pub async fn create_provider_key(
        &self,
        provider_id: &str,
        change: ProviderKeyChange,
    ) -> Result<ProviderKey> {
        let _alone = self.alone().await?;
        self.provider_of_id(provider_id).await?;
        self.editable_provider(provider_id).await?;
        let Some(secret) = change.secret.clone() else {
            return Err(Error::invalid("secret".to_owned(), "secret is required"));
        };
        let mut row = self.new_provider_key(provider_id, "default", &secret)?;
        self.change_provider_key(&mut row, change)?;
        self.commit(vec![CatalogChange::InsertProviderKey(Box::new(row.clone()))]).await?;
        Ok(row)
    }

    /// Changes a provider's key. It stays with its provider: a secret is never sent to another one.
    pub async fn update_provider_key(&self, id: &str, change: ProviderKeyChange) -> Result<ProviderKey> {
        let _alone = self.alone().await?;
        let mut row = self.provider_key(id).await?;
        self.editable_provider(&row.provider_id).await?;
        self.change_provider_key(&mut row, change)?;
        row.updated_at = self.clock.now();
        self.commit(vec![CatalogChange::UpdateProviderKey(Box::new(row.clone()))]).await?;
        Ok(row)
    }

    /// Deletes a provider's key.
    pub async fn delete_provider_key(&self, id: &str) -> Result<()> {
        let _alone = self.alone().await?;
        let row = self.provider_key(id).await?;
        self.editable_provider(&row.provider_id).await?;
        self.commit(vec![CatalogChange::DeleteProviderKey(row.id)]).await
    }

    /// Errors: a 404, for a name too. What lies inside a provider is found by the provider's id.
    async fn provider_of_id(&self, id: &str) -> Result<()> {
        let row = self.store.provider(id).await.map_err(store_error)?;
        if row.is_some_and(|row| row.id == id) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NotFound, format!("no provider has the id {id}")).with_param("provider_id"))
    }

    /// A key's row that is not stored yet.
    pub(super) fn new_provider_key(
        &self,
        provider_id: &str,
        label: &str,
        secret: &SecretString,
    ) -> Result<ProviderKey> {
        let now = self.clock.now();
        let id = self.new_id(now);
        Ok(ProviderKey {
            sealed: self.vault.seal(&id, secret)?,
            masked: mask(secret),
            id,
            provider_id: provider_id.to_owned(),
            label: label.to_owned(),
            weight: defaults::WEIGHT,
            enabled: true,
            created_at: now,
            updated_at: now,
        })
    }

    fn change_provider_key(&self, row: &mut ProviderKey, change: ProviderKeyChange) -> Result<()> {
        set(&mut row.label, change.label);
        set(&mut row.weight, change.weight);
        set(&mut row.enabled, change.enabled);
        validate::provider_key(row)?;
        if let Some(secret) = change.secret {
            validate::provider_secret("secret", &secret)?;
            row.sealed = self.vault.seal(&row.id, &secret)?;
            row.masked = mask(&secret);
        }
        Ok(())
    }
}
