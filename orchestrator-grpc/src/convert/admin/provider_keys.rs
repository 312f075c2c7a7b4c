//! Providers' keys.

use orchestrator_core::{
    admin::ProviderKeyChange,
    catalog::{ProviderKey, defaults},
    error::{Error, Result},
};
use orchestrator_proto::v1;
use prost_types::FieldMask;

use super::{paths, read_only, timestamp, unknown};

/// The fields that can be changed. `*` leaves the secret as it is when none is given: no caller can read it to send it back.
pub(crate) const MUTABLE: [&str; 4] = ["label", "weight", "enabled", "secret"];

/// The change that an update's request makes.
///
/// Errors: also a mask that names the secret without one to put there; a key has no default for that.
pub(crate) fn update(message: v1::ProviderKey, mask: Option<FieldMask>) -> Result<ProviderKeyChange> {
    let names_secret = mask.iter().flat_map(|mask| &mask.paths).any(|path| path == "secret");
    if names_secret && message.secret.is_none() {
        return Err(Error::invalid("secret".to_owned(), "secret is required where update_mask names it"));
    }
    change(message, &paths(mask, &MUTABLE)?)
}

/// The change that `paths` of a message make. A field that is named and unset gets its default.
pub(crate) fn change(message: v1::ProviderKey, paths: &[String]) -> Result<ProviderKeyChange> {
    let mut change = ProviderKeyChange::default();
    for path in paths {
        match path.as_str() {
            "label" => change.label = Some(label(&message.label)),
            "weight" => change.weight = Some(message.weight.unwrap_or(defaults::WEIGHT)),
            "enabled" => change.enabled = Some(message.enabled.unwrap_or(true)),
            "secret" => change.secret = message.secret.clone().map(Into::into),
            "id" | "provider_id" | "masked" | "state" | "last_error" | "last_used_at" | "created_at" => {
                return Err(read_only(path));
            }
            other => return Err(unknown(other)),
        }
    }
    Ok(change)
}

fn label(given: &str) -> String {
    if given.is_empty() { "default".to_owned() } else { given.to_owned() }
}

/// Into the contract. The secret stays behind.
pub(crate) fn message(key: ProviderKey) -> v1::ProviderKey {
    let state = if key.enabled { "active" } else { "disabled" };
    v1::ProviderKey {
        id: key.id,
        provider_id: key.provider_id,
        label: key.label,
        masked: key.masked,
        weight: Some(key.weight),
        enabled: Some(key.enabled),
        state: state.to_owned(),
        last_error: None,
        last_used_at: None,
        secret: None,
        created_at: timestamp(key.created_at),
    }
}
