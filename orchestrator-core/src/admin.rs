//! Changes of the catalog: validate, seal, one transaction, and the own snapshot is new before the call returns.
//!
//! Each noun has a `…Change`: the fields that may be set, each `None` when it is left as it is. To create is to apply a change
//! to the defaults, to update is to apply it to the row; both are validated whole, so that no sequence of changes leads
//! to a row that could not have been created.
//!
//! An [`Admin`] acts for somebody: each change is in the audit log under its actor's name. What the program does by itself at its
//! start acts as `system`; a caller's handle is made with [`Admin::acting_as`].

pub mod auth;
pub mod backup;
pub mod declared;
pub mod health;
pub mod logs;
pub mod refusals;
pub mod retention;
pub mod rotate;
pub mod secrets;
pub mod seed;
pub mod stats;
pub mod status;
pub mod transfer;

mod admin_keys;
mod alerts;
mod api_keys;
mod audit_log;
mod limits;
pub mod log_level;
mod model_providers;
mod models;
mod prices;
mod provider_keys;
mod providers;
mod teams;
mod validate;

#[cfg(test)]
mod tests;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use orchestrator_base::{
    clock::{Clock, UnixMicros},
    config::ProviderRules,
    random::Random,
};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::timeout,
};

pub use self::{
    admin_keys::{AdminKeyChange, CreatedAdminKey},
    api_keys::{ApiKeyChange, CreatedApiKey},
    auth::{AdminAuth, Session},
    limits::LimitsChange,
    model_providers::ModelProviderChange,
    models::ModelChange,
    prices::PriceChange,
    provider_keys::ProviderKeyChange,
    providers::ProviderChange,
    teams::TeamChange,
};
pub use crate::catalog::admin_keys::Role;
use crate::{
    admin::secrets::Vault,
    audit::Actor,
    catalog::ManagedBy,
    error::{Error, ErrorKind, Result},
    refresher::Reloader,
    store::{AdminStore, CatalogChange, Slice, StoreError},
};

/// A page's size where none is asked for.
const PAGE: u32 = 100;
/// The largest page; a request for more gets this.
const LARGEST_PAGE: u32 = 1000;

/// How long a change may wait for others, and how long it may take: a database that hangs is away. A little more than a lock is waited
/// for, so that the answer to one is the database's own.
const WITHIN: Duration = Duration::from_secs(6);

/// Keeps the catalog, for one actor. Clones share everything but their actor.
#[derive(Clone)]
pub struct Admin {
    store: Arc<dyn AdminStore>,
    vault: Arc<Vault>,
    reloader: Arc<Reloader>,
    clock: Clock,
    random: Random,
    rules: ProviderRules,
    /// Held from reading a row to writing it, so that of two changes at once none is lost.
    changing: Arc<Mutex<()>>,
    actor: Arc<Actor>,
}

/// Which page of a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The most to return; 0 means 100, at most 1000.
    pub size: u32,
    /// [`Listed::next`] of the page before; empty: the first.
    pub token: String,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    /// Oldest first.
    pub items: Vec<T>,
    /// Asks for the next page; `None` on the last.
    pub next: Option<String>,
}

impl Admin {
    /// Keeps the catalog in `store`, and has `reloader` load each change. Acts as the program itself.
    pub fn new(
        store: Arc<dyn AdminStore>,
        vault: Arc<Vault>,
        reloader: Arc<Reloader>,
        clock: Clock,
        random: Random,
        rules: ProviderRules,
    ) -> Self {
        let (changing, actor) = (Arc::default(), Arc::new(Actor::system()));
        Self { store, vault, reloader, clock, random, rules, changing, actor }
    }

    /// The same, for somebody: what is done through it is done by him.
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self { actor: Arc::new(actor), ..self.clone() }
    }

    /// Since when the database has not answered.
    pub fn database_away_since(&self) -> Option<UnixMicros> {
        self.reloader.away_since()
    }

    /// How long the database takes to answer now; `None`: it does not, or is known to be away.
    pub async fn database_latency(&self) -> Option<Duration> {
        self.reloader.answer_time().await
    }

    /// The revision of the catalog that requests see here.
    pub fn revision(&self) -> i64 {
        self.reloader.shared().peek().revision
    }

    /// Makes the changes and loads them. When it returns, requests see them here, and within a second in every core.
    async fn commit(&self, mut changes: Vec<CatalogChange>) -> Result<()> {
        self.database_is_there()?;
        // Where the master key was changed meanwhile, nothing may be sealed with the old one any more.
        changes.insert(0, CatalogChange::SealedWith(self.vault.fingerprint().to_owned()));
        self.in_time(self.store.apply(changes, &self.stamp())).await?;
        if let Err(error) = self.in_time(self.reloader.reload()).await {
            tracing::warn!(%error, "a change of the catalog was stored but not loaded");
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the change was stored, but could not be read back; it takes effect when the database answers again",
            ));
        }
        Ok(())
    }

    /// Waits until no other change is under way.
    ///
    /// Errors: the database is away, so that waiting for it would only keep others waiting.
    async fn alone(&self) -> Result<MutexGuard<'_, ()>> {
        self.database_is_there()?;
        timeout(WITHIN, self.changing.lock()).await.map_err(|_| away("other changes are still under way"))
    }

    /// A database that is known to be away is not asked: its refusal would take seconds.
    fn database_is_there(&self) -> Result<()> {
        match self.database_away_since() {
            None => Ok(()),
            Some(since) => Err(away(&format!("the database has not answered since {since}"))),
        }
    }

    /// Waits for what the database does, and no longer than is decent.
    async fn in_time<T>(&self, doing: impl Future<Output = Result<T, StoreError>> + Send) -> Result<T> {
        match timeout(WITHIN, doing).await {
            Ok(outcome) => outcome.map_err(store_error),
            Err(_) => {
                Err(away("the database did not answer in time; whether the change was made is not known"))
            }
        }
    }

    fn new_id(&self, now: UnixMicros) -> String {
        self.random.uuid(now).to_string()
    }
}

impl Page {
    /// One row more than the page, to know whether there is a next one.
    fn slice(&self) -> Result<Slice> {
        let after = match self.token.as_str() {
            "" => None,
            token if uuid::Uuid::try_parse(token).is_ok() => Some(token.to_owned()),
            _ => {
                return Err(Error::invalid(
                    "page_token".to_owned(),
                    "page_token is not one that was given out",
                ));
            }
        };
        Ok(Slice { after, limit: self.limit() + 1 })
    }

    fn limit(&self) -> u32 {
        if self.size == 0 { PAGE } else { self.size.min(LARGEST_PAGE) }
    }

    fn listed<T>(&self, mut items: Vec<T>, id: impl Fn(&T) -> &String) -> Listed<T> {
        let limit = self.limit() as usize;
        let next = (items.len() > limit).then(|| {
            items.truncate(limit);
            items.last().map(|last| id(last).clone())
        });
        Listed { items, next: next.flatten() }
    }
}

/// The row, or a 404 that names what was looked for.
fn found<T>(row: Result<Option<T>, StoreError>, noun: &str, id: &str) -> Result<T> {
    match row.map_err(store_error)? {
        Some(row) => Ok(row),
        None => Err(Error::new(ErrorKind::NotFound, format!("{noun} {id} does not exist")).with_param("id")),
    }
}

/// Refuses a change of what a file owns: the next time the file is applied it would be undone.
fn editable(owner: ManagedBy, noun: &str, name: &str) -> Result<()> {
    match owner {
        ManagedBy::Admin => Ok(()),
        ManagedBy::File => {
            let message = format!("{noun} {name} is managed by a file; change it there");
            Err(Error::new(ErrorKind::Conflict, message).with_param("managed_by"))
        }
    }
}

/// What the database says, as an error for the caller. What only an operator can mend is logged, not told.
fn store_error(error: StoreError) -> Error {
    match error {
        StoreError::NotFound(_) => Error::new(ErrorKind::NotFound, error.to_string()).with_param("id"),
        StoreError::Exists { noun, .. } => {
            let param = if noun == "model-provider" { "provider_model" } else { "name" };
            Error::new(ErrorKind::Conflict, error.to_string()).with_param(param).with_code("already_exists")
        }
        StoreError::Conflict(message) | StoreError::Refused(message) => {
            Error::new(ErrorKind::Conflict, message)
        }
        StoreError::Unavailable(why) => {
            tracing::warn!(error = why, "the database did not do what Admin asked of it");
            away("the database is unavailable")
        }
    }
}

/// A 503: programs know it by its code, and when to come back.
fn away(message: &str) -> Error {
    Error::new(ErrorKind::Unavailable, message)
        .with_code("database_unavailable")
        .with_retry_after(Some(Duration::from_secs(2)))
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("actor", &self.actor).finish_non_exhaustive()
    }
}
