//! What a start puts into the catalog, so that the way to a first answer is short.
//!
//! Each of these does nothing where there is something already, and says whether it did. Several cores may start at once on
//! one database: that another one was faster is no failure.

use secrecy::{ExposeSecret as _, SecretString};

use super::{Admin, ApiKeyChange, ModelChange, ModelProviderChange, ProviderChange, store_error};
use crate::{
    error::{Error, ErrorKind, Result},
    store::{CatalogChange, Slice},
};

/// The name of the provider and of the model that answer without a network.
const ECHO: &str = "echo";
/// The name of the first caller's key.
const FIRST_KEY: &str = "default";
/// Enough to know whether there is any.
const ONE: Slice = Slice { after: None, limit: 1 };

/// Makes the provider `echo` and the model `echo` in a catalog that has neither providers nor models.
pub async fn seed_development(admin: &Admin) -> Result<bool> {
    let providers = admin.store.providers(&ONE).await.map_err(store_error)?;
    let models = admin.store.models(&ONE).await.map_err(store_error)?;
    if !providers.is_empty() || !models.is_empty() {
        return Ok(false);
    }
    let name = Some(ECHO.to_owned());
    let of_provider = ProviderChange { name: name.clone(), kind: name.clone(), ..ProviderChange::default() };
    let (provider, _) = admin.new_provider(of_provider, None)?;
    let model = admin.new_model(ModelChange { name, ..ModelChange::default() })?;
    let association = admin.new_model_provider(ModelProviderChange {
        model_id: Some(model.id.clone()),
        provider_id: Some(provider.id.clone()),
        ..ModelProviderChange::default()
    })?;
    let changes = vec![
        CatalogChange::InsertProvider(Box::new(provider), None),
        CatalogChange::InsertModel(Box::new(model)),
        CatalogChange::InsertModelProvider(Box::new(association)),
    ];
    unless_another_did(admin.commit(changes).await)
}

/// Makes the provider of a vendor whose key is in the environment, if there is none of that name. `base_url` `None`: the kind's.
pub async fn ensure_vendor(
    admin: &Admin,
    name: &str,
    kind: &str,
    base_url: Option<&str>,
    secret: &SecretString,
) -> Result<bool> {
    if admin.store.provider(name).await.map_err(store_error)?.is_some() {
        return Ok(false);
    }
    let change = ProviderChange {
        name: Some(name.to_owned()),
        kind: Some(kind.to_owned()),
        base_url: base_url.map(str::to_owned),
        ..ProviderChange::default()
    };
    unless_another_did(admin.create_provider(change, Some(secret.clone())).await.map(|_| ()))
}

/// Makes a first caller's key with this secret, any text, where there is no caller's key at all.
///
/// Errors: an empty secret, which every caller without a key would match.
pub async fn ensure_client_key(admin: &Admin, secret: &SecretString) -> Result<bool> {
    if secret.expose_secret().is_empty() {
        return Err(Error::invalid("keys.client".to_owned(), "keys.client must not be empty"));
    }
    if !admin.store.api_keys(&ONE).await.map_err(store_error)?.is_empty() {
        return Ok(false);
    }
    let change = ApiKeyChange { name: Some(FIRST_KEY.to_owned()), ..ApiKeyChange::default() };
    unless_another_did(admin.insert_api_key(change, secret).await.map(|_| ()))
}

fn unless_another_did(outcome: Result<()>) -> Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.kind == ErrorKind::Conflict => Ok(false),
        Err(error) => Err(error),
    }
}
