//! Operators' keys. The secret is made here, told once, and kept only as a digest.
//!
//! `ADMIN_KEY` is none of them: it is the actor `bootstrap`, stands in no table, and so nothing that is done here shuts the last
//! way in.

use orchestrator_base::clock::UnixMicros;
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    Admin, Listed, Page, found,
    providers::set,
    secrets::{admin_prefix, generate_admin_key},
    store_error, validate,
};
use crate::{
    catalog::{
        admin_keys::{AdminKey, Role},
        keys::digest,
    },
    error::{Error, ErrorKind, Result},
    store::CatalogChange,
};

/// A sign-in compares with every key: so many are enough for any team.
const MOST_KEYS: usize = 1000;

/// The fields of an operator's key that may be set.
#[derive(Clone, Debug, Default)]
pub struct AdminKeyChange {
    /// [`AdminKey::name`].
    pub name: Option<String>,
    /// [`AdminKey::role`], by its name.
    pub role: Option<String>,
    /// [`AdminKey::enabled`].
    pub enabled: Option<bool>,
    /// [`AdminKey::expires_at`].
    pub expires_at: Option<Option<UnixMicros>>,
}

impl AdminKeyChange {
    fn make(self, row: &mut AdminKey) -> Result<()> {
        set(&mut row.name, self.name);
        set(&mut row.role, self.role.as_deref().map(role).transpose()?);
        set(&mut row.enabled, self.enabled);
        set(&mut row.expires_at, self.expires_at);
        Ok(())
    }
}

fn role(name: &str) -> Result<Role> {
    Role::from_name(name).ok_or_else(|| {
        let known = Role::ALL.map(Role::name).join(", ");
        Error::invalid("role".to_owned(), format!("role must be one of {known}"))
    })
}

/// A key with its secret: there is no other way to learn it.
#[derive(Clone, Debug)]
pub struct CreatedAdminKey {
    /// What is kept.
    pub key: AdminKey,
    /// What is not.
    pub secret: SecretString,
}

impl Admin {
    /// A page of operators' keys.
    pub async fn list_admin_keys(&self, page: &Page) -> Result<Listed<AdminKey>> {
        let rows = self.store.admin_keys(&page.slice()?).await.map_err(store_error)?;
        Ok(page.listed(rows, |row| &row.id))
    }

    /// An operator's key, by its id or its name.
    pub async fn admin_key(&self, id_or_name: &str) -> Result<AdminKey> {
        found(self.store.admin_key(id_or_name).await, "admin key", id_or_name)
    }

    /// Makes an operator's key with a secret of its own. A role must be said.
    pub async fn create_admin_key(&self, change: AdminKeyChange) -> Result<CreatedAdminKey> {
        if change.role.as_ref().is_none_or(String::is_empty) {
            return Err(Error::invalid("role".to_owned(), "role is required"));
        }
        if self.reloader.shared().peek().admin_keys.len() >= MOST_KEYS {
            return Err(Error::new(ErrorKind::Conflict, format!("there are {MOST_KEYS} admin keys already")));
        }
        let (now, secret) = (self.clock.now(), generate_admin_key());
        let mut key = AdminKey {
            id: self.new_id(now),
            name: String::new(),
            role: Role::default(),
            prefix: admin_prefix(&secret),
            digest: digest(secret.expose_secret()),
            enabled: true,
            expires_at: None,
            created_at: now,
            updated_at: now,
        };
        change.make(&mut key)?;
        validate::admin_key(&key)?;
        self.commit(vec![CatalogChange::InsertAdminKey(Box::new(key.clone()))]).await?;
        Ok(CreatedAdminKey { key, secret })
    }

    /// Changes an operator's key; its secret stays.
    pub async fn update_admin_key(&self, id: &str, change: AdminKeyChange) -> Result<AdminKey> {
        let _alone = self.alone().await?;
        let mut row = self.admin_key_by_id(id).await?;
        change.make(&mut row)?;
        validate::admin_key(&row)?;
        row.updated_at = self.clock.now();
        self.commit(vec![CatalogChange::UpdateAdminKey(Box::new(row.clone()))]).await?;
        Ok(row)
    }

    /// Gives an operator's key a new secret; the old one opens nothing from now on.
    pub async fn rotate_admin_key(&self, id: &str) -> Result<CreatedAdminKey> {
        let _alone = self.alone().await?;
        let secret = generate_admin_key();
        let key = AdminKey {
            prefix: admin_prefix(&secret),
            digest: digest(secret.expose_secret()),
            updated_at: self.clock.now(),
            ..self.admin_key_by_id(id).await?
        };
        self.commit(vec![CatalogChange::RotateAdminKey(Box::new(key.clone()))]).await?;
        Ok(CreatedAdminKey { key, secret })
    }

    /// Deletes an operator's key: it is refused from now on.
    pub async fn delete_admin_key(&self, id: &str) -> Result<()> {
        let _alone = self.alone().await?;
        self.admin_key_by_id(id).await?;
        self.commit(vec![CatalogChange::DeleteAdminKey(id.to_owned())]).await
    }

    async fn admin_key_by_id(&self, id: &str) -> Result<AdminKey> {
        let row = self.store.admin_key(id).await.map(|row| row.filter(|row| row.id == id));
        found(row, "admin key", id)
    }
}
