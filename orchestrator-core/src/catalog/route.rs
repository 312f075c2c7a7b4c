//! What a request gets out of the catalog: who may serve it, in which order, and with what.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use secrecy::SecretString;

use super::{strategy::Strategy, tenants::Tenant};
use crate::{chat::JsonText, dialect::Dialect, metrics::Name, policy::price::Price};

/// Everybody who may serve one name.
#[derive(Clone, Debug)]
pub struct Route {
    /// The name that was asked for.
    pub model: String,
    /// What it is counted under.
    pub label: Name,
    /// Best first: by priority, then by weight. Empty when the model is known and nobody enabled serves it.
    pub targets: Vec<Target>,
    /// How one of several equals is chosen.
    pub strategy: Strategy,
    /// Attempts in all, at least 1.
    pub max_attempts: u32,
    /// Names to turn to when every target has failed.
    pub fallbacks: Vec<String>,
    /// What all callers together may ask of the model, if that is limited.
    pub limits: Option<Arc<Tenant>>,
}

/// One provider, asked for one model. Cheap to clone: what is large is shared.
#[derive(Clone, Debug)]
pub struct Target {
    /// The provider's id.
    pub provider_id: Arc<str>,
    /// The provider's name.
    pub provider_name: Arc<str>,
    /// What it is counted under.
    pub label: Name,
    /// The provider's kind: `openai`.
    pub kind: Arc<str>,
    /// Without a slash at the end; empty for kinds that ask nobody.
    pub base_url: Arc<str>,
    /// The dialects that its options name; `None`: those of its kind.
    pub dialects: Option<Arc<[Dialect]>>,
    /// The model's name there.
    pub upstream_model: String,
    /// Higher first.
    pub priority: u32,
    /// Share among the targets of one priority: the provider's weight times the association's.
    pub weight: u64,
    /// Tools work here.
    pub tool_call: bool,
    /// JSON schemas work here.
    pub structured_output: bool,
    /// Pictures work here.
    pub image: bool,
    /// How long each thing may take.
    pub timeouts: TargetTimeouts,
    /// How often it may be asked again for one request when there is no other.
    pub max_retries: u32,
    /// Requests a minute that it is asked at most; `None`: as many as come.
    pub rate_limit: Option<u32>,
    /// Added to every request.
    pub headers: Arc<HeaderMap>,
    /// Top-level fields that every request carries: name and JSON text.
    pub overrides: Arc<[(String, JsonText)]>,
    /// Whether usage may be asked for on a caller's behalf; `None`: as the preset or else the kind says.
    pub include_usage: Option<bool>,
    /// The server that its options name.
    pub preset: Option<Arc<str>>,
    /// The version of its interface that its options name.
    pub api_version: Option<Arc<str>>,
    /// How its options say that its health is probed.
    pub probe: Option<Arc<str>>,
    /// The enabled keys. Empty: it has none at all, and is asked without one, as local servers are.
    pub keys: Arc<[TargetKey]>,
    /// What the model costs there; `None`: nobody knows.
    pub price: Option<Arc<Price>>,
}

/// A key to ask a provider with.
#[derive(Clone, Debug)]
pub struct TargetKey {
    /// Its id.
    pub id: String,
    /// Its label, for the ledger.
    pub label: String,
    /// Share among the provider's keys.
    pub weight: u32,
    /// The secret itself.
    pub secret: SecretString,
}

/// How long each thing may take at one target, after all the places that may say so were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetTimeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// Until a stream's first content.
    pub first_token: Duration,
    /// Between two pieces of a stream.
    pub idle: Duration,
    /// For a whole answer.
    pub total_whole: Duration,
    /// For a stream, from its beginning to its end.
    pub total_stream: Duration,
}

/// What a name means.
#[derive(Clone, Debug)]
pub enum Resolution {
    /// It can be asked for.
    Found(Arc<Route>),
    /// Nobody knows it; [`super::snapshot::Catalog::near`] says what may have been meant.
    Unknown,
}
