//! Sessions: what a browser holds instead of an admin key.
//!
//! A token says whose it is and until when, sealed with a key that is derived from the master key: every core opens it, none has to
//! remember it. It stands for the admin key that it was made with, and is looked at beside that key at every call
//! ([`super::auth`]). Only a session that was ended before its time is a row (table `ended_sessions`), part of the snapshot.

use std::time::Duration;

use orchestrator_base::clock::UnixMicros;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{Admin, Role, Session};
use crate::{
    audit::{Event, action},
    catalog::admin_keys::EndedSession,
    error::{Error, ErrorKind, Result},
    store::CatalogChange,
};

/// What every session's token begins with.
pub(super) const TOKEN_START: &str = "llmo_session_";
/// How long a session lasts: a working day.
const LASTS: Duration = Duration::from_hours(12);

/// The key that somebody has signed in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// Its id; empty: the configuration's.
    pub(super) key: String,
    /// [`mark`] of its secret.
    pub(super) mark: String,
    /// The session's id, where a session's token was presented.
    pub session: Option<String>,
}

/// What a token says.
#[derive(Serialize, Deserialize)]
struct Told {
    id: String,
    key: String,
    mark: String,
    role: String,
    expires_at: i64,
}

/// What a token says, understood.
pub(super) struct Claims {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) mark: String,
    pub(super) role: Role,
    pub(super) expires_at: UnixMicros,
}

impl Claims {
    pub(super) fn read(claims: &[u8]) -> Option<Self> {
        let Told { id, key, mark, role, expires_at } = serde_json::from_slice(claims).ok()?;
        Some(Self { id, key, mark, role: Role::from_name(&role)?, expires_at: UnixMicros(expires_at) })
    }
}

/// Tells a key's secret from the one after a rotation, and nothing about either: the digest's first half.
pub(super) fn mark(digest: &[u8; 32]) -> String {
    hex::encode(&digest[..16])
}

/// A session with its token: there is no other way to learn it.
#[derive(Clone, Debug)]
pub struct CreatedSession {
    /// Whose it is, and until when.
    pub session: Session,
    /// What is presented from then on.
    pub token: SecretString,
}

impl Admin {
    /// Begins a session for whoever presented an admin key. It is on record, but for the time in which the database is away: who
    /// operates must see what is wrong.
    ///
    /// Errors: [`ErrorKind::Conflict`] for a session's token, so that a token that was stolen cannot be renewed for ever.
    pub async fn create_session(&self, by: &Session) -> Result<CreatedSession> {
        if by.sign_in.session.is_some() {
            return Err(Error::new(
                ErrorKind::Conflict,
                "a session begins with an admin key, not with another session",
            ));
        }
        let now = self.clock.now();
        let id = self.new_id(now);
        let expires_at = by.expires_at.map_or_else(|| now.plus(LASTS), |at| at.min(now.plus(LASTS)));
        let told = Told {
            id: id.clone(),
            key: by.sign_in.key.clone(),
            mark: by.sign_in.mark.clone(),
            role: by.role.name().to_owned(),
            expires_at: expires_at.0,
        };
        let claims =
            serde_json::to_vec(&told).map_err(|_| Error::internal("the session could not be written"))?;
        let token = format!("{TOKEN_START}{}", self.vault.seal_session(&claims)?);
        if let Err(error) = self.record(Event::new(action::SIGN_IN, "session").on(&id, &by.actor)).await {
            tracing::warn!(%error, actor = by.actor, "a sign-in is not in the audit log");
        }
        let mut session = Session { expires_at: Some(expires_at), ..by.clone() };
        session.sign_in.session = Some(id);
        Ok(CreatedSession { session, token: token.into() })
    }

    /// Ends the session that asks: its token opens nothing any more, in other cores within a second.
    ///
    /// Errors: [`ErrorKind::Conflict`] where an admin key asks, which has no session.
    pub async fn end_session(&self, by: &Session) -> Result<()> {
        let (Some(id), Some(expires_at)) = (by.sign_in.session.clone(), by.expires_at) else {
            return Err(Error::new(ErrorKind::Conflict, "there is no session to end: an admin key asks"));
        };
        let ended = EndedSession { id, expires_at };
        self.commit(vec![CatalogChange::EndSession(ended, by.actor.clone(), self.clock.now())]).await
    }
}
