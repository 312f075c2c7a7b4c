//! Operators' keys, and sessions.

use orchestrator_core::{
    admin::{AdminKeyChange, CreatedAdminKey, CreatedSession, Session},
    catalog::admin_keys::AdminKey,
    error::Result,
};
use orchestrator_proto::v1;
use secrecy::ExposeSecret as _;

use super::{moment, read_only, timestamp, unknown};

/// The fields that can be changed.
pub(crate) const MUTABLE: [&str; 4] = ["name", "role", "enabled", "expires_at"];

/// The change that `paths` of a message make. A field that is named and unset gets its default; a role has none.
pub(crate) fn change(message: v1::AdminKey, paths: &[String]) -> Result<AdminKeyChange> {
    let mut change = AdminKeyChange::default();
    for path in paths {
        match path.as_str() {
            "name" => change.name = Some(message.name.clone()),
            "role" => change.role = Some(message.role.clone()),
            "enabled" => change.enabled = Some(message.enabled.unwrap_or(true)),
            "expires_at" => {
                let expires_at = message.expires_at.map(|at| moment("expires_at", at));
                change.expires_at = Some(expires_at.transpose()?);
            }
            "id" | "prefix" | "secret" | "created_at" | "updated_at" => return Err(read_only(path)),
            other => return Err(unknown(other)),
        }
    }
    Ok(change)
}

/// Into the contract, without the secret, which nobody knows any more.
pub(crate) fn message(key: AdminKey) -> v1::AdminKey {
    v1::AdminKey {
        id: key.id,
        name: key.name,
        role: key.role.name().to_owned(),
        prefix: key.prefix,
        enabled: Some(key.enabled),
        expires_at: key.expires_at.and_then(timestamp),
        secret: None,
        created_at: timestamp(key.created_at),
        updated_at: timestamp(key.updated_at),
    }
}

/// The answer to create and rotate: the only messages that carry the secret.
pub(crate) fn created(created: CreatedAdminKey) -> v1::AdminKey {
    v1::AdminKey { secret: Some(created.secret.expose_secret().to_owned()), ..message(created.key) }
}

/// Into the contract.
pub(crate) fn session(session: &Session) -> v1::Session {
    v1::Session {
        actor: session.actor.clone(),
        role: session.role.name().to_owned(),
        expires_at: session.expires_at.and_then(timestamp),
        id: session.sign_in.session.clone().unwrap_or_default(),
        token: None,
    }
}

/// The answer to create: the only message that carries the token.
pub(crate) fn signed_in(created: &CreatedSession) -> v1::Session {
    v1::Session { token: Some(created.token.expose_secret().to_owned()), ..session(&created.session) }
}
