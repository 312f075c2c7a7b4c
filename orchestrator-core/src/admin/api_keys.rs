//! Callers' keys. The secret is made here, told once, and kept only as a digest.

use std::collections::BTreeMap;

use orchestrator_base::clock::UnixMicros;
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    Admin, Listed, Page, editable, found,
    providers::set,
    secrets::{generate_api_key, prefix},
    store_error, validate,
};
use crate::{
    catalog::{ApiKey, ManagedBy, OnDisconnect, keys::digest},
    error::Result,
    store::CatalogChange,
};

/// The fields of a caller's key that may be set.
#[derive(Clone, Debug, Default)]
pub struct ApiKeyChange {
    /// [`ApiKey::name`].
    pub name: Option<String>,
    /// [`ApiKey::owner`].
    pub owner: Option<String>,
    /// [`ApiKey::team`].
    pub team: Option<String>,
    /// [`ApiKey::tags`], all of them.
    pub tags: Option<BTreeMap<String, String>>,
    /// [`ApiKey::models`], all of them.
    pub models: Option<Vec<String>>,
    /// [`ApiKey::operations`], all of them.
    pub operations: Option<Vec<String>>,
    /// [`ApiKey::enabled`].
    pub enabled: Option<bool>,
    /// [`ApiKey::expires_at`].
    pub expires_at: Option<Option<UnixMicros>>,
    /// [`ApiKey::on_disconnect`].
    pub on_disconnect: Option<OnDisconnect>,
    /// [`ApiKey::log_bodies`].
    pub log_bodies: Option<bool>,
}

impl ApiKeyChange {
    fn make(self, row: &mut ApiKey) {
        set(&mut row.name, self.name);
        set(&mut row.owner, self.owner);
        set(&mut row.team, self.team);
        set(&mut row.tags, self.tags);
        set(&mut row.models, self.models);
        set(&mut row.operations, self.operations);
        set(&mut row.enabled, self.enabled);
        set(&mut row.expires_at, self.expires_at);
        set(&mut row.on_disconnect, self.on_disconnect);
        set(&mut row.log_bodies, self.log_bodies);
    }
}

/// A key with its secret: there is no other way to learn it.
#[derive(Clone, Debug)]
pub struct CreatedApiKey {
    /// What is kept.
    pub key: ApiKey,
    /// What is not.
    pub secret: SecretString,
}

impl Admin {
    /// A page of callers' keys.
    pub async fn list_api_keys(&self, page: &Page) -> Result<Listed<ApiKey>> {
        let rows = self.store.api_keys(&page.slice()?).await.map_err(store_error)?;
        Ok(page.listed(rows, |row| &row.id))
    }

    /// A caller's key, by its id or its name.
    pub async fn api_key(&self, id_or_name: &str) -> Result<ApiKey> {
        found(self.store.api_key(id_or_name).await, "API key", id_or_name)
    }

    /// Makes a caller's key with a secret of its own.
    pub async fn create_api_key(&self, change: ApiKeyChange) -> Result<CreatedApiKey> {
        let secret = generate_api_key();
        let key = self.insert_api_key(change, &secret).await?;
        Ok(CreatedApiKey { key, secret })
    }

    /// Changes a caller's key; its secret stays.
    pub async fn update_api_key(&self, id: &str, change: ApiKeyChange) -> Result<ApiKey> {
        let _alone = self.alone().await?;
        let mut row = self.editable_api_key(id).await?;
        change.make(&mut row);
        validate::api_key(&row)?;
        row.updated_at = self.clock.now();
        self.commit(vec![CatalogChange::UpdateApiKey(Box::new(row.clone()))]).await?;
        Ok(row)
    }

    /// Deletes a caller's key: it is refused from now on.
    pub async fn delete_api_key(&self, id: &str) -> Result<()> {
        let _alone = self.alone().await?;
        self.editable_api_key(id).await?;
        self.commit(vec![CatalogChange::DeleteApiKey(id.to_owned())]).await
    }

    /// Stores a caller's key that has this secret.
    pub(super) async fn insert_api_key(&self, change: ApiKeyChange, secret: &SecretString) -> Result<ApiKey> {
        let row = self.new_api_key(change, prefix(secret), digest(secret.expose_secret()))?;
        self.commit(vec![CatalogChange::InsertApiKey(Box::new(row.clone()))]).await?;
        Ok(row)
    }

    /// A caller's key's row that is not stored yet.
    pub(super) fn new_api_key(
        &self,
        change: ApiKeyChange,
        prefix: String,
        digest: [u8; 32],
    ) -> Result<ApiKey> {
        let now = self.clock.now();
        let mut row = ApiKey {
            id: self.new_id(now),
            name: String::new(),
            owner: String::new(),
            team: String::new(),
            tags: BTreeMap::new(),
            prefix,
            digest,
            models: Vec::new(),
            operations: Vec::new(),
            enabled: true,
            expires_at: None,
            on_disconnect: OnDisconnect::Cancel,
            log_bodies: false,
            managed_by: ManagedBy::Admin,
            created_at: now,
            updated_at: now,
        };
        change.make(&mut row);
        validate::api_key(&row)?;
        Ok(row)
    }

    /// The caller's key with this id, if Admin may change it.
    async fn editable_api_key(&self, id: &str) -> Result<ApiKey> {
        let row = self.store.api_key(id).await.map(|row| row.filter(|row| row.id == id));
        let row = found(row, "API key", id)?;
        editable(row.managed_by, "API key", &row.name)?;
        Ok(row)
    }
}
