//! What lasts: the catalog, settings and logs, in a database.
//!
//! Everything above sees only the traits of this file. The request path holds none of them: it reads snapshots.
//!
//! # Adding a table
//!
//! 1. A migration in `migrations/<database>/`, the same version number in each.
//! 2. A trait here, in the domain's own types.
//! 3. `store/<table>.rs`: one implementation over `Db`.
//! 4. Its cases in the contract suite.

mod admin_keys;
mod alerts;
mod api_keys;
mod audit_log;
mod budget_spend;
#[cfg(test)]
mod contract;
mod database;
mod db;
mod entity;
mod health_checks;
mod key_usage;
mod limits;
mod lists;
mod log_keeping;
mod log_level;
mod log_query;
mod log_reads;
#[cfg(feature = "measure")]
pub mod measure;
mod migrate;
mod model_providers;
mod models;
mod prices;
mod provider_health;
mod provider_keys;
mod providers;
pub mod reads;
mod rebuild;
mod request_logs;
mod revision;
mod rollups;
mod settings;
mod stats;
mod teams;
mod transfer;

pub use alerts::Alert;
pub use database::{Database, Migration, MigrationState, MigrationStatus};
pub use reads::{LogKeeper, LogReader, StatsReader};
pub use rebuild::Rebuilt;

use std::collections::HashMap;

use async_trait::async_trait;
use orchestrator_base::clock::UnixMicros;

use crate::{
    audit::{AuditEntry, AuditFilter, Stamp},
    catalog::{
        ApiKey, CatalogRows, Model, ModelProvider, OwnPrice, Provider, ProviderKey, Team,
        admin_keys::AdminKey, log_level::LogLevel,
    },
    health::Settings,
    health_board::StoredHealth,
    ledger::RequestRecord,
};

/// What a database can answer instead of what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such row.
    #[error("{0} does not exist")]
    NotFound(&'static str),
    /// A unique name is taken: the noun and the name.
    #[error("{noun} {name} exists already")]
    Exists {
        /// `provider`.
        noun: &'static str,
        /// The name that is taken.
        name: String,
    },
    /// A row is still used by another, or names one that is not there.
    #[error("{0}")]
    Conflict(String),
    /// The database does not take these values, and never will.
    #[error("the database refuses it: {0}")]
    Refused(String),
    /// The database did not answer, or cannot work at present: the caller may try again later.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
}

/// Reads the catalog for a snapshot.
#[async_trait]
pub trait CatalogReader: Send + Sync {
    /// Counts every change of the catalog, in every core. Cheap: polled twice a second.
    async fn revision(&self) -> Result<i64, StoreError>;

    /// Every row, in one consistent read.
    async fn load(&self) -> Result<CatalogRows, StoreError>;
}

/// One change of the catalog, as Admin makes it.
#[derive(Clone, Debug)]
pub enum CatalogChange {
    /// A new provider, perhaps with its first key.
    InsertProvider(Box<Provider>, Option<Box<ProviderKey>>),
    /// All of a provider's columns.
    UpdateProvider(Box<Provider>),
    /// A provider with its keys and associations.
    DeleteProvider(String),
    /// A new key.
    InsertProviderKey(Box<ProviderKey>),
    /// All of a provider key's columns.
    UpdateProviderKey(Box<ProviderKey>),
    /// A provider key.
    DeleteProviderKey(String),
    /// A new model.
    InsertModel(Box<Model>),
    /// All of a model's columns.
    UpdateModel(Box<Model>),
    /// A model with its associations.
    DeleteModel(String),
    /// A new association.
    InsertModelProvider(Box<ModelProvider>),
    /// All of an association's columns.
    UpdateModelProvider(Box<ModelProvider>),
    /// An association.
    DeleteModelProvider(String),
    /// A new caller's key.
    InsertApiKey(Box<ApiKey>),
    /// All of a caller's key's columns.
    UpdateApiKey(Box<ApiKey>),
    /// All of a caller's key's columns, where it has a new secret.
    RotateApiKey(Box<ApiKey>),
    /// A caller's key.
    DeleteApiKey(String),
    /// A new team.
    InsertTeam(Box<Team>),
    /// All of a team's columns. Where its name is new, its keys have the new one too; a file's key that has the old one stands in the way.
    UpdateTeam(Box<Team>),
    /// A team, which must have no keys.
    DeleteTeam(String),
    /// No change, but a condition: this caller's key was last changed then, so that what was read of it still holds.
    ApiKeyIsAsOf(String, UnixMicros),
    /// No change, but a condition: there is a team of this name.
    TeamIsThere(String),
    /// A price in place of the one for the same kind and model, whose row stays. The store gives it the next version.
    SetPrice(Box<OwnPrice>),
    /// How health is checked.
    SetHealthChecks(Settings, UnixMicros),
    /// No change, but a condition: the catalog's revision is still this one.
    OnlyAt(i64),
    /// No change, but a condition: secrets are sealed with the master key of this fingerprint.
    SealedWith(String),
    /// A new operator's key.
    InsertAdminKey(Box<AdminKey>),
    /// All of an operator's key's columns.
    UpdateAdminKey(Box<AdminKey>),
    /// The same, where it has a new secret.
    RotateAdminKey(Box<AdminKey>),
    /// An operator's key.
    DeleteAdminKey(String),
    /// What is logged from now on; `None`: what configurations say.
    SetLogLevel(Option<LogLevel>),
}

/// Changes the catalog.
#[async_trait]
pub trait CatalogWriter: Send + Sync {
    /// Makes the changes in order, in one transaction that also counts the revision up and adds a row for each to the audit log,
    /// by `stamp`; all or none.
    ///
    /// Errors: [`StoreError::NotFound`] for a row to update or delete that is not there, [`StoreError::Exists`],
    /// [`StoreError::Conflict`].
    async fn apply(&self, changes: Vec<CatalogChange>, stamp: &Stamp) -> Result<(), StoreError>;
}

/// A stretch of a list that is sorted by id.
#[derive(Clone, Debug)]
pub struct Slice {
    /// Only what comes after this id.
    pub after: Option<String>,
    /// The most to return.
    pub limit: u32,
}

/// Reads the catalog for Admin: one row, or a stretch of them, oldest first. `None` as a filter means all.
#[async_trait]
pub trait CatalogLists: Send + Sync {
    /// A provider, by its id or else its name.
    async fn provider(&self, id_or_name: &str) -> Result<Option<Provider>, StoreError>;

    /// Providers.
    async fn providers(&self, slice: &Slice) -> Result<Vec<Provider>, StoreError>;

    /// A provider's key, by its id.
    async fn provider_key(&self, id: &str) -> Result<Option<ProviderKey>, StoreError>;

    /// Providers' keys.
    async fn provider_keys(
        &self,
        provider_id: Option<&str>,
        slice: &Slice,
    ) -> Result<Vec<ProviderKey>, StoreError>;

    /// A model, by its id or else its name.
    async fn model(&self, id_or_name: &str) -> Result<Option<Model>, StoreError>;

    /// Models.
    async fn models(&self, slice: &Slice) -> Result<Vec<Model>, StoreError>;

    /// An association, by its id.
    async fn model_provider(&self, id: &str) -> Result<Option<ModelProvider>, StoreError>;

    /// Associations.
    async fn model_providers(
        &self,
        model_id: Option<&str>,
        provider_id: Option<&str>,
        slice: &Slice,
    ) -> Result<Vec<ModelProvider>, StoreError>;

    /// A caller's key, by its id or else its name.
    async fn api_key(&self, id_or_name: &str) -> Result<Option<ApiKey>, StoreError>;

    /// Callers' keys.
    async fn api_keys(&self, slice: &Slice) -> Result<Vec<ApiKey>, StoreError>;

    /// A team, by its id or else its name.
    async fn team(&self, id_or_name: &str) -> Result<Option<Team>, StoreError>;

    /// Teams.
    async fn teams(&self, slice: &Slice) -> Result<Vec<Team>, StoreError>;

    /// Every price in force that an operator has set, by kind and model.
    async fn prices(&self) -> Result<Vec<OwnPrice>, StoreError>;

    /// An operator's key, by its id or else its name.
    async fn admin_key(&self, id_or_name: &str) -> Result<Option<AdminKey>, StoreError>;

    /// Operators' keys.
    async fn admin_keys(&self, slice: &Slice) -> Result<Vec<AdminKey>, StoreError>;
}

/// When callers' keys were last used.
#[async_trait]
pub trait KeyUsage: Send + Sync {
    /// The beginning of each key's latest request that is stored, by the key's id; keys without one are not in it.
    async fn last_used(&self, ids: &[&str]) -> Result<HashMap<String, UnixMicros>, StoreError>;
}

/// The audit log: it can be added to and read, and that is all.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Adds rows that speak of no change of the catalog.
    async fn record(&self, entries: &[AuditEntry]) -> Result<(), StoreError>;

    /// The rows that match, newest first; [`Slice::after`] is the id of the last one that is known.
    async fn audit_log(&self, filter: &AuditFilter, slice: &Slice) -> Result<Vec<AuditEntry>, StoreError>;
}

/// What operators should know of.
#[async_trait]
pub trait AlertStore: Send + Sync {
    /// Keeps an alert; `false`: it is known already, by its kind, subject and mark.
    async fn raise(&self, alert: &Alert) -> Result<bool, StoreError>;

    /// Alerts, newest first; [`Slice::after`] is the id of the last one that is known.
    async fn alerts(&self, open_only: bool, slice: &Slice) -> Result<Vec<Alert>, StoreError>;

    /// Says that an alert is known, and adds rows to the audit log in the same transaction, unless it was known already.
    async fn acknowledge(
        &self,
        id: &str,
        at: UnixMicros,
        entries: &[AuditEntry],
    ) -> Result<Option<Alert>, StoreError>;
}

/// All that Admin needs of a store.
pub trait AdminStore:
    CatalogReader
    + CatalogWriter
    + CatalogLists
    + KeyUsage
    + AuditStore
    + AlertStore
    + SettingStore
    + LogReader
    + StatsReader
    + LogKeeper
    + TransferStore
{
}

impl<T> AdminStore for T where
    T: CatalogReader
        + CatalogWriter
        + CatalogLists
        + KeyUsage
        + AuditStore
        + AlertStore
        + SettingStore
        + LogReader
        + StatsReader
        + LogKeeper
        + TransferStore
{
}

/// What is only read or written when the configuration as a whole is.
#[async_trait]
pub trait TransferStore: Send + Sync {
    /// How health is checked, if that was ever settled.
    async fn health_settings(&self) -> Result<Option<Settings>, StoreError>;
}

/// Makes of a key's row what its secret is sealed as from now on.
pub type Rewrap<'a> = &'a (dyn Fn(&ProviderKey) -> Result<String, StoreError> + Send + Sync);

/// Changes what every secret is sealed with.
#[async_trait]
pub trait MasterKeyStore: Send + Sync {
    /// Seals every secret anew and writes down the new master key's fingerprint, in one transaction that also counts the catalog's
    /// revision up and puts it on record. Says how many secrets there were.
    ///
    /// Errors: [`StoreError::Conflict`] when the database was sealed with another key than `from`; what `rewrap` says.
    async fn rotate(
        &self,
        from: &str,
        to: &str,
        rewrap: Rewrap<'_>,
        stamp: &Stamp,
    ) -> Result<usize, StoreError>;
}

/// The setting that says which master key sealed the database.
pub const MASTER_KEY_FINGERPRINT: &str = "master_key_fingerprint";

/// Small facts about the installation, by name: the master key's fingerprint.
#[async_trait]
pub trait SettingStore: Send + Sync {
    /// The value, if there is one.
    async fn setting(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Sets a value that must not be there yet; answers the value that stands, ours or another's.
    async fn setting_or_insert(&self, name: &str, value: &str) -> Result<String, StoreError>;
}

/// How far a journal's records are in the database: the segment's number and the byte after the last record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct JournalOffset {
    /// The segment.
    pub segment: u64,
    /// The position in it.
    pub position: u64,
}

/// Where the ledger's writer puts its records.
#[async_trait]
pub trait LogStore: Send + Sync {
    /// How far the journal of this name has been stored.
    async fn offset(&self, journal: &str) -> Result<JournalOffset, StoreError>;

    /// Stores the records, their attempts and bodies, what they add to the sums, and the new offset in one transaction. A batch at
    /// or below the stored offset is skipped, and a record that is there already is left as it is and not counted again, so that
    /// the same records are never stored twice.
    ///
    /// Errors: [`StoreError::Refused`] where one of the records can never be stored; nothing was.
    async fn append(
        &self,
        journal: &str,
        records: &[RequestRecord],
        upto: JournalOffset,
    ) -> Result<(), StoreError>;
}

/// How health is checked at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthChecks {
    /// What operators have chosen.
    pub settings: Settings,
    /// Counts what is written about providers, in every core.
    pub revision: i64,
}

/// The right to ask providers, which one core has at a time.
#[derive(Clone, Copy, Debug)]
pub struct ProbeLease<'a> {
    /// Who wants it.
    pub holder: &'a str,
    /// What time it is.
    pub now: UnixMicros,
    /// How long it is to last.
    pub until: UnixMicros,
}

/// How providers are checked, and by which core.
#[async_trait]
pub trait HealthCheckStore: Send + Sync {
    /// How they are checked. Where nothing has been chosen yet, `first` is from now on. Cheap: polled twice a second.
    async fn health_checks(&self, first: &Settings) -> Result<HealthChecks, StoreError>;

    /// Operators have chosen otherwise; the audit log says so in the same transaction.
    ///
    /// Errors: [`StoreError::NotFound`] before the first [`HealthCheckStore::health_checks`].
    async fn set_health_settings(&self, settings: &Settings, stamp: &Stamp) -> Result<(), StoreError>;

    /// Takes the right to ask, or prolongs it. Says whether the holder has it.
    async fn take_probe_lease(&self, lease: &ProbeLease<'_>) -> Result<bool, StoreError>;

    /// Lets go of it, so that another core need not wait for its end.
    async fn leave_probe_lease(&self, holder: &str) -> Result<(), StoreError>;
}

/// What cores tell each other of providers.
#[async_trait]
pub trait ProviderHealthStore: Send + Sync {
    /// What other cores have written, those too that ended within a day.
    async fn provider_health_elsewhere(&self, core_id: &str) -> Result<Vec<StoredHealth>, StoreError>;

    /// Writes what a core knows, in place of what it wrote of the same providers, in one transaction that also counts the revision
    /// up; gives the new one. What was last written before `stale_before` is forgotten.
    async fn write_provider_health(
        &self,
        core_id: &str,
        rows: &[StoredHealth],
        now: UnixMicros,
        stale_before: UnixMicros,
    ) -> Result<i64, StoreError>;
}

/// All that the prober needs of a store.
pub trait HealthStore: HealthCheckStore + ProviderHealthStore {}

impl<T: HealthCheckStore + ProviderHealthStore> HealthStore for T {}
