//! Rows for tests: whole, valid and plain, so that a test says only what it is about.

use orchestrator_base::clock::UnixMicros;

use super::{
    ApiKey, ManagedBy, Model, ModelProvider, OnDisconnect, Provider, ProviderKey, ProviderOptions, Team,
    Timeouts, keys::digest, limits::Limits,
};

/// An enabled `openai_compatible` provider.
pub(crate) fn provider(id: &str, name: &str) -> Provider {
    Provider {
        id: id.into(),
        name: name.into(),
        kind: "openai_compatible".into(),
        base_url: format!("http://{name}.test/v1"),
        enabled: true,
        priority: 100,
        weight: 100,
        max_retries: 3,
        timeout: None,
        timeouts: Timeouts::default(),
        rate_limit: None,
        headers: [].into(),
        options: ProviderOptions::default(),
        managed_by: ManagedBy::Admin,
        created_at: UnixMicros(1),
        updated_at: UnixMicros(2),
    }
}

/// An enabled key of a provider.
pub(crate) fn provider_key(id: &str, provider_id: &str, sealed: &str) -> ProviderKey {
    ProviderKey {
        id: id.into(),
        provider_id: provider_id.into(),
        label: "main".into(),
        masked: "sk-p…4xYz".into(),
        sealed: sealed.into(),
        weight: 100,
        enabled: true,
        created_at: UnixMicros(1),
        updated_at: UnixMicros(2),
    }
}

/// An enabled model.
pub(crate) fn model(id: &str, name: &str) -> Model {
    Model {
        id: id.into(),
        name: name.into(),
        remark: String::new(),
        strategy: "priority".into(),
        fallbacks: Vec::new(),
        max_retry: 2,
        timeout: None,
        timeouts: Timeouts::default(),
        enabled: true,
        limits: Limits::default(),
        managed_by: ManagedBy::Admin,
        created_at: UnixMicros(1_000_000),
        updated_at: UnixMicros(2_000_000),
    }
}

/// An enabled association that asks for the model by the name that it was asked by.
pub(crate) fn model_provider(id: &str, model_id: &str, provider_id: &str) -> ModelProvider {
    ModelProvider {
        id: id.into(),
        model_id: model_id.into(),
        provider_id: provider_id.into(),
        provider_model: "*".into(),
        priority: None,
        weight: 100,
        timeouts: Timeouts::default(),
        tool_call: true,
        structured_output: true,
        image: true,
        enabled: true,
        managed_by: ManagedBy::Admin,
        created_at: UnixMicros(1),
        updated_at: UnixMicros(2),
    }
}

/// An enabled key of a caller.
pub(crate) fn api_key(id: &str, name: &str, secret: &str) -> ApiKey {
    ApiKey {
        id: id.into(),
        name: name.into(),
        owner: String::new(),
        team: String::new(),
        tags: [].into(),
        prefix: "llmo_abcdefg".into(),
        digest: digest(secret),
        models: Vec::new(),
        operations: Vec::new(),
        enabled: true,
        expires_at: None,
        on_disconnect: OnDisconnect::Cancel,
        log_bodies: false,
        limits: Limits::default(),
        previous: None,
        managed_by: ManagedBy::Admin,
        created_at: UnixMicros(1),
        updated_at: UnixMicros(2),
    }
}

/// An enabled team without limits.
pub(crate) fn team(id: &str, name: &str) -> Team {
    Team {
        id: id.into(),
        name: name.into(),
        remark: String::new(),
        enabled: true,
        limits: Limits::default(),
        managed_by: ManagedBy::Admin,
        created_at: UnixMicros(1),
        updated_at: UnixMicros(2),
    }
}
