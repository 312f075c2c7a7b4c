//! The nouns of the catalog: providers, their keys, models, who serves which model, and callers' keys.
//!
//! These are what the store keeps and Admin changes. Requests see none of them directly, but the immutable view that
//! [`snapshot`] makes of them.

pub mod route;
pub mod snapshot;
pub mod strategy;
pub mod tenants;

pub mod admin_keys;
pub mod keys;
pub mod limits;
pub mod listed;
pub mod log_level;

mod build;
#[cfg(test)]
pub(crate) mod samples;

use std::{collections::BTreeMap, sync::Arc};

use orchestrator_base::clock::UnixMicros;
use serde::{Deserialize, Serialize};

use self::{admin_keys::AdminKey, limits::Limits};
use crate::policy::price::{
    Price, Rates,
    book::{Listing, Source},
};

/// A place that serves models.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// UUID v7.
    pub id: String,
    /// Unique; 1 to 64 of letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// `openai`, `openai_compatible` or `echo`.
    pub kind: String,
    /// What the vendor's own SDK takes; never ends in `/`.
    pub base_url: String,
    /// Disabled providers get no requests.
    pub enabled: bool,
    /// Higher first, 0 to 1000.
    pub priority: u32,
    /// Share among providers of one priority, 1 to 10000.
    pub weight: u32,
    /// How often it may be asked again for one request when there is no other, 0 to 10.
    pub max_retries: u32,
    /// Seconds: `first_token` of streams and `total` of whole answers, where the time-outs below leave them open.
    pub timeout: Option<u32>,
    /// In milliseconds.
    pub timeouts: Timeouts,
    /// Requests a minute that a core asks it at most, 1 to 1000000; `None`: as many as come.
    pub rate_limit: Option<u32>,
    /// Added to every request to it.
    pub headers: BTreeMap<String, String>,
    /// What only some have.
    pub options: ProviderOptions,
    /// Who owns it.
    pub managed_by: ManagedBy,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

/// Who owns a row of the catalog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManagedBy {
    /// Admin: it can be changed there.
    #[default]
    Admin,
    /// A file: read-only in Admin.
    File,
}

impl ManagedBy {
    /// The public name: in Admin's answers and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::File => "file",
        }
    }

    /// The owner of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Admin, Self::File].into_iter().find(|owner| owner.name() == name)
    }
}

/// What only some providers have. Kept as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderOptions {
    /// The dialects that it speaks; empty: the kind's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dialects: Vec<String>,
    /// Top-level fields that requests to it carry whatever the caller said: name to JSON text.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub body_overrides: BTreeMap<String, String>,
    /// `Some(false)`: usage is never asked for on a caller's behalf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_usage: Option<bool>,
    /// Which server an `openai_compatible` one is: its base URL, and how it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The version of Azure's interface to ask in; `None`: the one that needs none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// How its health is probed: `chat`, `models` or `off`; `None`: as fits it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
}

/// The words of [`ProviderOptions::probe`].
pub const PROBES: [&str; 3] = ["chat", "models", "off"];

/// Time-outs in milliseconds; `None`: the next wider place decides. Kept as JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timeouts {
    /// Until the connection stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<u64>,
    /// Until a stream's first content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u64>,
    /// Between two pieces of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
    /// For the whole answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u64>,
}

/// A secret that we hold at a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderKey {
    /// UUID v7.
    pub id: String,
    /// Whose it is.
    pub provider_id: String,
    /// A name to know it by.
    pub label: String,
    /// The secret's ends: `sk-p…4xYz`.
    pub masked: String,
    /// The secret, encrypted, in an envelope of text (see `admin/secrets.rs`).
    pub sealed: String,
    /// Share among the provider's keys, 1 to 10000.
    pub weight: u32,
    /// Disabled keys are not used.
    pub enabled: bool,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

/// A name that callers may ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// UUID v7.
    pub id: String,
    /// Unique; may be a glob such as `claude-*`.
    pub name: String,
    /// A note.
    pub remark: String,
    /// How one of several providers is chosen: the name of a [`strategy::Strategy`].
    pub strategy: String,
    /// Models to turn to when every provider of this one fails.
    pub fallbacks: Vec<String>,
    /// Attempts in all, less one.
    pub max_retry: u32,
    /// Seconds, as [`Provider::timeout`].
    pub timeout: Option<u32>,
    /// In milliseconds; they win over the provider's.
    pub timeouts: Timeouts,
    /// A disabled model is as if it were not there, and no provider's list brings its name back.
    pub enabled: bool,
    /// What all callers together may ask of it: requests and tokens a minute.
    pub limits: Limits,
    /// Who owns it.
    pub managed_by: ManagedBy,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

/// One provider serves one model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelProvider {
    /// UUID v7.
    pub id: String,
    /// The model.
    pub model_id: String,
    /// The provider.
    pub provider_id: String,
    /// The model's name there; `*`: as asked.
    pub provider_model: String,
    /// Overrides the provider's.
    pub priority: Option<u32>,
    /// Multiplies with the provider's, 1 to 10000.
    pub weight: u32,
    /// In milliseconds; they win over all others.
    pub timeouts: Timeouts,
    /// Tools work here.
    pub tool_call: bool,
    /// JSON schemas work here.
    pub structured_output: bool,
    /// Pictures work here.
    pub image: bool,
    /// Not used when false.
    pub enabled: bool,
    /// Who owns it.
    pub managed_by: ManagedBy,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

/// What a caller holds; the secret itself only as a digest.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKey {
    /// UUID v7.
    pub id: String,
    /// Unique.
    pub name: String,
    /// Who answers for it.
    pub owner: String,
    /// The team it belongs to.
    pub team: String,
    /// Copied into the log of its requests.
    pub tags: BTreeMap<String, String>,
    /// The secret's beginning: enough to recognise it, too little to use it.
    pub prefix: String,
    /// SHA-256 of the secret.
    pub digest: [u8; 32],
    /// Globs of models it may use; empty: all.
    pub models: Vec<String>,
    /// Operations it may use; empty: all.
    pub operations: Vec<String>,
    /// Disabled keys are refused.
    pub enabled: bool,
    /// From when on it is refused.
    pub expires_at: Option<UnixMicros>,
    /// What becomes of a provider's answer when the caller leaves.
    pub on_disconnect: OnDisconnect,
    /// Whether bodies are kept with the log of its requests.
    pub log_bodies: bool,
    /// What it may use.
    pub limits: Limits,
    /// The secret before the last rotation, for as long as it is still taken.
    pub previous: Option<PreviousSecret>,
    /// Who owns it.
    pub managed_by: ManagedBy,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

/// A secret that is still taken for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousSecret {
    /// Its SHA-256.
    pub digest: [u8; 32],
    /// From when on it is refused.
    pub until: UnixMicros,
}

/// Keys that may use so much together.
#[derive(Clone, Debug, PartialEq)]
pub struct Team {
    /// UUID v7.
    pub id: String,
    /// Unique; what [`ApiKey::team`] says.
    pub name: String,
    /// A note.
    pub remark: String,
    /// A disabled team's keys are refused.
    pub enabled: bool,
    /// What its keys may use together.
    pub limits: Limits,
    /// Who owns it.
    pub managed_by: ManagedBy,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

/// What becomes of a provider's answer when the caller leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDisconnect {
    /// The provider is told to stop.
    #[default]
    Cancel,
    /// The answer is read on for a while, for the provider's own count of its tokens.
    Drain,
}

impl OnDisconnect {
    /// Its name in the contract and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Drain => "drain",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Cancel, Self::Drain].into_iter().find(|policy| policy.name() == name)
    }
}

/// A price that an operator has set. A change of it is another row with the next version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnPrice {
    /// UUID v7.
    pub id: String,
    /// Counts all changes of prices. The store gives it; what is not stored yet has 0.
    pub version: i64,
    /// The kind of the providers that it is for, or a preset of theirs.
    pub kind: String,
    /// The model's name there; may be a glob.
    pub upstream_model: String,
    /// What the tokens cost.
    pub rates: Rates,
    /// From here on the price is as shipped again.
    pub deleted: bool,
    /// When it was set.
    pub created_at: UnixMicros,
}

impl OwnPrice {
    /// As a line of the price list.
    pub fn listing(&self) -> Listing {
        let version = format!("own-{}", self.version).into();
        Listing {
            kind: self.kind.clone(),
            upstream_model: self.upstream_model.clone(),
            price: Arc::new(Price { version, rates: self.rates, long: None }),
            source: Source::Own,
        }
    }
}

/// Every row of the catalog, as one consistent read of the store gives it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CatalogRows {
    /// Counts every change of the catalog, in every core.
    pub revision: i64,
    /// All of them, disabled ones too.
    pub providers: Vec<Provider>,
    /// All of them.
    pub provider_keys: Vec<ProviderKey>,
    /// All of them.
    pub models: Vec<Model>,
    /// All of them.
    pub model_providers: Vec<ModelProvider>,
    /// All of them.
    pub api_keys: Vec<ApiKey>,
    /// All of them.
    pub teams: Vec<Team>,
    /// Those in force.
    pub prices: Vec<OwnPrice>,
    /// The fingerprint of the master key that secrets are sealed with; `None`: none was ever used.
    pub sealed_with: Option<String>,
    /// All of them.
    pub admin_keys: Vec<AdminKey>,
    /// What operators want logged, if anything else than the configuration says.
    pub log_level: Option<log_level::LogLevel>,
}

/// What holds where a row is made without saying.
pub mod defaults {
    /// [`super::Provider::priority`].
    pub const PRIORITY: u32 = 100;
    /// Every `weight`.
    pub const WEIGHT: u32 = 100;
    /// [`super::Provider::max_retries`].
    pub const MAX_RETRIES: u32 = 3;
    /// [`super::Model::max_retry`].
    pub const MAX_RETRY: u32 = 2;
    /// [`super::Model::strategy`].
    pub const STRATEGY: &str = "priority";
    /// [`super::ModelProvider::provider_model`]: as asked.
    pub const PROVIDER_MODEL: &str = "*";
}
