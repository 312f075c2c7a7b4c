//! A catalog of as many models and callers' keys as are asked for, and a ledger.

use std::{collections::BTreeMap, sync::Arc};

use http::HeaderMap;
use orchestrator_base::{
    clock::{Clock, UnixMicros},
    config,
    random::Random,
};
use orchestrator_core::{
    call::{About, Call, Input},
    catalog::{
        ApiKey, CatalogRows, ManagedBy, Model, ModelProvider, OnDisconnect, Provider, ProviderKey,
        ProviderOptions, Timeouts, defaults, keys, limits::Limits, snapshot::Snapshot,
    },
    dialect::Dialect,
    ledger::{Ledger, journal::Journal},
};
use secrecy::SecretString;
use tempfile::TempDir;
use uuid::Uuid;

const THEN: UnixMicros = UnixMicros(1_757_000_000_000_000);
const PROVIDERS: [&str; 2] = ["provider-a", "provider-b"];

/// The secret of a caller's key.
pub(crate) fn secret(number: usize) -> String {
    format!("llmo_{number:043}")
}

/// The name of a model.
pub(crate) fn model_name(number: usize) -> String {
    format!("gpt-4.1-mini-{number:04}")
}

/// So many models, each served by the same two providers of one rank, and so many callers' keys.
pub(crate) fn snapshot(count: usize) -> Snapshot {
    let rows = CatalogRows {
        sealed_with: None,
        revision: 1,
        providers: PROVIDERS.into_iter().map(provider).collect(),
        provider_keys: PROVIDERS.into_iter().map(provider_key).collect(),
        models: (0..count).map(model).collect(),
        model_providers: (0..count)
            .flat_map(|number| PROVIDERS.map(|provider| association(number, provider)))
            .collect(),
        api_keys: (0..count).map(api_key).collect(),
        teams: Vec::new(),
        prices: Vec::new(),
        admin_keys: Vec::new(),
        log_level: None,
    };
    Snapshot::build(rows, &|_| Ok(SecretString::from("sk-provider")), &config::Timeouts::default())
}

fn provider(name: &str) -> Provider {
    Provider {
        id: name.into(),
        name: name.into(),
        kind: "openai".into(),
        base_url: "https://api.example.com/v1".into(),
        enabled: true,
        priority: defaults::PRIORITY,
        weight: defaults::WEIGHT,
        rate_limit: None,
        max_retries: defaults::MAX_RETRIES,
        timeout: None,
        timeouts: Timeouts::default(),
        headers: BTreeMap::new(),
        options: ProviderOptions::default(),
        managed_by: ManagedBy::Admin,
        created_at: THEN,
        updated_at: THEN,
    }
}

fn provider_key(provider: &str) -> ProviderKey {
    ProviderKey {
        id: format!("key-of-{provider}"),
        provider_id: provider.into(),
        label: "main".into(),
        masked: String::new(),
        sealed: String::new(),
        weight: defaults::WEIGHT,
        enabled: true,
        created_at: THEN,
        updated_at: THEN,
    }
}

fn model(number: usize) -> Model {
    Model {
        id: model_name(number),
        name: model_name(number),
        remark: String::new(),
        strategy: defaults::STRATEGY.into(),
        fallbacks: Vec::new(),
        max_retry: defaults::MAX_RETRY,
        timeout: None,
        timeouts: Timeouts::default(),
        enabled: true,
        limits: Limits::default(),
        managed_by: ManagedBy::Admin,
        created_at: THEN,
        updated_at: THEN,
    }
}

fn association(model: usize, provider: &str) -> ModelProvider {
    ModelProvider {
        id: format!("{model}-{provider}"),
        model_id: model_name(model),
        provider_id: provider.into(),
        provider_model: "gpt-4.1-mini-2025-04-14".into(),
        priority: None,
        weight: defaults::WEIGHT,
        timeouts: Timeouts::default(),
        tool_call: true,
        structured_output: true,
        image: true,
        enabled: true,
        managed_by: ManagedBy::Admin,
        created_at: THEN,
        updated_at: THEN,
    }
}

fn api_key(number: usize) -> ApiKey {
    ApiKey {
        id: format!("{number}"),
        name: format!("{number}"),
        owner: String::new(),
        team: String::new(),
        tags: BTreeMap::new(),
        prefix: String::new(),
        digest: keys::digest(&secret(number)),
        models: vec!["gpt-*".into()],
        operations: vec!["chat".into()],
        enabled: true,
        expires_at: None,
        on_disconnect: OnDisconnect::Cancel,
        log_bodies: false,
        limits: Limits::default(),
        previous: None,
        managed_by: ManagedBy::Admin,
        created_at: THEN,
        updated_at: THEN,
    }
}

/// A ledger, and the folder of its journal for as long as it is needed.
pub(crate) fn ledger() -> (TempDir, Ledger) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let journal = Journal::open(folder.path(), "core", Uuid::nil(), &config::Journal::default())
        .expect("a journal can be opened");
    (folder, Ledger::new(Arc::new(journal), Clock::manual(THEN), Random::seeded(7)))
}

/// A call as the edge hands it in.
pub(crate) fn call() -> Call {
    Call {
        request_id: "0198f2b4-7c3e-7d2a-9b1f-2f6d8c4e5a70".into(),
        keys: Vec::new(),
        input: Input::Models { dialect: Dialect::OpenAiChat, id: None },
        received: tokio::time::Instant::now(),
        timeout: None,
        about: About {
            client_address: "10.0.0.17".into(),
            user_agent: "OpenAI/Python 1.109.1".into(),
            ..About::default()
        },
        headers: HeaderMap::new(),
    }
}
