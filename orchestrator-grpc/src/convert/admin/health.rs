//! Health, how it is checked, and breakers.

use orchestrator_core::{
    admin::health::{ProviderHealth, SettingsChange},
    condition::BreakerView,
    error::Result,
    health::{Report, Settings, Status},
};
use orchestrator_proto::v1;

use super::{timestamp, unknown};

/// The fields of the settings that can be changed.
pub(crate) const MUTABLE: [&str; 4] = ["enabled", "interval_minutes", "max_error_count", "retry_after_hours"];

/// The change that `paths` of a message make. A field that is named and unset gets its default.
pub(crate) fn change(message: &v1::HealthCheckConfig, paths: &[String]) -> Result<SettingsChange> {
    let default = Settings::default();
    let mut change = SettingsChange::default();
    for path in paths {
        match path.as_str() {
            "enabled" => change.enabled = Some(message.enabled.unwrap_or(default.enabled)),
            "interval_minutes" => {
                change.interval_minutes = Some(message.interval_minutes.unwrap_or(default.interval_minutes));
            }
            "max_error_count" => {
                change.max_error_count = Some(message.max_error_count.unwrap_or(default.max_error_count));
            }
            "retry_after_hours" => {
                change.retry_after_hours =
                    Some(message.retry_after_hours.unwrap_or(default.retry_after_hours));
            }
            other => return Err(unknown(other)),
        }
    }
    Ok(change)
}

/// Into the contract.
pub(crate) fn settings_message(settings: Settings) -> v1::HealthCheckConfig {
    let Settings { enabled, interval_minutes, max_error_count, retry_after_hours } = settings;
    v1::HealthCheckConfig {
        enabled: Some(enabled),
        interval_minutes: Some(interval_minutes),
        max_error_count: Some(max_error_count),
        retry_after_hours: Some(retry_after_hours),
    }
}

/// Into the contract.
pub(crate) fn message(health: ProviderHealth) -> v1::ProviderHealth {
    let ProviderHealth { provider, report } = health;
    let Report { status, facts, avg_response_time_ms, next_retry_at, success_rate_24h, total_requests_24h } =
        report;
    v1::ProviderHealth {
        provider_id: provider.id,
        provider_name: provider.name,
        provider_type: provider.kind,
        status: status.name().to_owned(),
        is_healthy: matches!(status, Status::Healthy | Status::Degraded),
        response_time_ms: facts.response_time_ms,
        avg_response_time_ms,
        last_checked: facts.last_checked.and_then(timestamp),
        last_success: facts.last_success.and_then(timestamp),
        last_error: facts.last_error.and_then(timestamp),
        error_message: facts.error_message,
        last_status_code: facts.last_status_code.map(u32::from),
        error_count: facts.error_count,
        consecutive_successes: facts.consecutive_successes,
        next_retry_at: next_retry_at.and_then(timestamp),
        success_rate_24h,
        total_requests_24h,
    }
}

/// Into the contract.
pub(crate) fn breaker(view: BreakerView) -> v1::Breaker {
    v1::Breaker {
        provider_id: view.provider_id,
        key_id: view.key_id,
        upstream_model: view.upstream_model,
        state: view.state.to_owned(),
        failures: view.faults,
        retry_in_ms: u64::try_from(view.retry_in.as_millis()).unwrap_or(u64::MAX),
    }
}
