//! Callers' keys. The secret is made here, told once, and kept only as a digest.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use orchestrator_base::clock::UnixMicros;
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    Admin, LimitsChange, Listed, Page, editable, found,
    providers::set,
    secrets::{generate_api_key, prefix},
    store_error, validate,
};
use crate::{
    catalog::{ApiKey, ManagedBy, OnDisconnect, PreviousSecret, keys::digest, limits::Limits},
    error::Result,
    store::CatalogChange,
};

/// The longest that an old secret is taken beside the new one: 30 days, in seconds.
const LONGEST_OVERLAP: u64 = 30 * 24 * 60 * 60;

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
    /// [`ApiKey::limits`].
    pub limits: LimitsChange,
}

impl ApiKeyChange {
    fn make(self, row: &mut ApiKey) -> Result<()> {
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
        self.limits.make(&mut row.limits)
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

    /// When these keys were last used, by id, as far as it is stored: a few seconds ago at most. Keys that never were are not in it.
    pub async fn last_used(&self, ids: &[&str]) -> Result<HashMap<String, UnixMicros>> {
        self.store.last_used(ids).await.map_err(store_error)
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
        let (team, as_of) = (row.team.clone(), CatalogChange::ApiKeyIsAsOf(row.id.clone(), row.updated_at));
        change.make(&mut row)?;
        validate::api_key(&row)?;
        // Only what is set now: a label from before there were teams must not stand in the way of another change.
        let condition = if row.team == team { None } else { self.team_is_there(&row.team).await? };
        row.updated_at = self.clock.now();
        let update = CatalogChange::UpdateApiKey(Box::new(row.clone()));
        self.commit([as_of].into_iter().chain(condition).chain([update]).collect()).await?;
        Ok(row)
    }

    /// Gives a caller's key a new secret. The old one is taken for so many seconds more; one that was older still is refused at once.
    pub async fn rotate_api_key(&self, id: &str, overlap_seconds: u64) -> Result<CreatedApiKey> {
        validate::at_least_and_most("overlap_seconds", Some(overlap_seconds), 0, LONGEST_OVERLAP)?;
        let _alone = self.alone().await?;
        let (now, secret, old) = (self.clock.now(), generate_api_key(), self.editable_api_key(id).await?);
        let as_of = CatalogChange::ApiKeyIsAsOf(old.id.clone(), old.updated_at);
        let until = now.plus(Duration::from_secs(overlap_seconds));
        let key = ApiKey {
            prefix: prefix(&secret),
            digest: digest(secret.expose_secret()),
            previous: (overlap_seconds > 0).then_some(PreviousSecret { digest: old.digest, until }),
            updated_at: now,
            ..old
        };
        self.commit(vec![as_of, CatalogChange::RotateApiKey(Box::new(key.clone()))]).await?;
        Ok(CreatedApiKey { key, secret })
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
        let condition = self.team_is_there(&row.team).await?;
        let insert = CatalogChange::InsertApiKey(Box::new(row.clone()));
        self.commit(condition.into_iter().chain([insert]).collect()).await?;
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
            limits: Limits::default(),
            previous: None,
            managed_by: ManagedBy::Admin,
            created_at: now,
            updated_at: now,
        };
        change.make(&mut row)?;
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
