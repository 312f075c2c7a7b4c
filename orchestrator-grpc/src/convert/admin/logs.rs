//! Request logs and their retention.

use orchestrator_core::{
    admin::logs::LogQuery,
    call::UsageSource,
    error::Result,
    ledger::{
        RequestRecord,
        record::{AttemptRecord, BodiesRecord, BodyRecord},
    },
    store::reads::Retention,
};
use orchestrator_proto::v1;

use super::{moment, timestamp, unknown};

/// The fields of the retention that can be changed.
pub(crate) const MUTABLE: [&str; 2] = ["logs_days", "bodies_days"];

/// Out of the contract; no filter finds everything.
pub(crate) fn query(filter: Option<v1::RequestLogFilter>) -> Result<LogQuery> {
    let filter = filter.unwrap_or_default();
    Ok(LogQuery {
        from: filter.from.map(|from| moment("from", from)).transpose()?,
        to: filter.to.map(|to| moment("to", to)).transpose()?,
        model: filter.model,
        provider: filter.provider,
        api_key: filter.api_key,
        status: filter.status,
        outcome: filter.outcome,
        error_kind: filter.error_kind,
        session_id: filter.session_id,
        request_id: filter.request_id,
        trace_id: filter.trace_id,
        stream: filter.stream,
    })
}

/// Into the contract.
pub(crate) fn message(record: RequestRecord) -> v1::RequestLog {
    let usage = record.usage;
    let tried = record.tried.into_iter().map(|attempt| attempt_message(record.id.clone(), attempt)).collect();
    v1::RequestLog {
        id: record.id,
        request_id: record.request_id,
        trace_id: record.trace_id,
        session_id: record.session_id,
        api_key_id: record.api_key_id,
        api_key_name: record.api_key_name,
        team: record.team,
        started_at: timestamp(record.started_at),
        origin: record.origin.name().to_owned(),
        dialect: record.dialect,
        operation: record.operation,
        stream: record.stream,
        model: record.model,
        answered_model: record.answered_model,
        provider_id: record.provider_id,
        provider: record.provider,
        provider_key: record.provider_key,
        upstream_model: record.upstream_model,
        attempts: record.attempts,
        status: u32::from(record.status),
        outcome: record.outcome,
        error_kind: record.error_kind,
        error: record.error,
        finish_reason: record.finish_reason,
        latency_ms: ms(record.latency_us),
        ttft_ms: record.ttft_us.map(ms),
        overhead_ms: ms(record.overhead_us),
        prompt_tokens: usage.prompt,
        completion_tokens: usage.completion,
        cached_read_tokens: usage.cached_read,
        cache_write_tokens: usage.cache_write,
        reasoning_tokens: usage.reasoning,
        total_tokens: usage.prompt.saturating_add(usage.completion),
        usage_source: match usage.source {
            UsageSource::Provider => "provider".to_owned(),
            UsageSource::Estimated => "estimated".to_owned(),
        },
        cost_nanos: record.cost_nanos,
        cost_usd: record.cost_nanos.map(usd),
        price_version: record.price_version,
        client_address: record.client_address,
        user_agent: record.user_agent,
        end_user: record.end_user,
        tags: record.tags,
        tried,
        bodies: record.bodies.map(bodies),
    }
}

/// Into the contract.
pub(crate) fn attempt_message(log_id: String, attempt: AttemptRecord) -> v1::RequestAttempt {
    v1::RequestAttempt {
        started_at: timestamp(attempt.started_at),
        provider_id: attempt.provider_id,
        provider: attempt.provider,
        provider_key: attempt.provider_key,
        upstream_model: attempt.upstream_model,
        status: u32::from(attempt.status),
        outcome: attempt.outcome,
        error: attempt.error,
        latency_ms: ms(attempt.latency_us),
        ttft_ms: attempt.ttft_us.map(ms),
        log_id,
    }
}

fn bodies(bodies: BodiesRecord) -> v1::RequestBodies {
    let body = |body: BodyRecord| v1::RequestBody {
        text: body.text,
        encoding: if body.base64 { "base64" } else { "utf-8" }.to_owned(),
        bytes: body.bytes,
    };
    v1::RequestBodies { request: Some(body(bodies.request)), response: Some(body(bodies.response)) }
}

/// The retention that `paths` of a message change. A field that is named and unset gets its default.
pub(crate) fn change(kept: Retention, message: v1::Retention, paths: &[String]) -> Result<Retention> {
    let first = orchestrator_core::admin::logs::FIRST_RETENTION;
    let mut changed = kept;
    for path in paths {
        match path.as_str() {
            "logs_days" => changed.logs_days = message.logs_days.unwrap_or(first.logs_days),
            "bodies_days" => changed.bodies_days = message.bodies_days.unwrap_or(first.bodies_days),
            other => return Err(unknown(other)),
        }
    }
    Ok(changed)
}

/// Into the contract.
pub(crate) fn retention_message(retention: Retention) -> v1::Retention {
    let Retention { logs_days, bodies_days } = retention;
    v1::Retention { logs_days: Some(logs_days), bodies_days: Some(bodies_days) }
}

/// Milliseconds.
fn ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

/// Dollars.
pub(crate) fn usd(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
