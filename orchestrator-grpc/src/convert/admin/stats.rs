//! Statistics.

use orchestrator_core::{
    admin::stats::{Stats, UsageReport},
    error::Result,
    store::reads::{ProviderDay, UsageRow, UsageSums},
};
use orchestrator_proto::v1;

use super::{logs::usd, moment, timestamp};

/// Out of the contract.
pub(crate) fn report(request: v1::ListUsageRequest) -> Result<UsageReport> {
    Ok(UsageReport {
        from: request.from.map(|from| moment("from", from)).transpose()?,
        to: request.to.map(|to| moment("to", to)).transpose()?,
        interval: request.interval,
        group_by: request.group_by,
    })
}

/// Into the contract.
pub(crate) fn message(stats: Stats) -> v1::Stats {
    let rows = |rows: Vec<UsageRow>| rows.into_iter().map(row).collect();
    v1::Stats {
        from: timestamp(stats.from),
        to: timestamp(stats.to),
        total: Some(sums(&stats.total)),
        by_provider: rows(stats.by_provider),
        by_model: rows(stats.by_model),
        by_key: rows(stats.by_key),
    }
}

/// Into the contract.
pub(crate) fn row(row: UsageRow) -> v1::UsageRow {
    v1::UsageRow {
        start: timestamp(row.start),
        provider: row.provider,
        model: row.model,
        api_key_id: row.api_key_id,
        api_key_name: row.api_key_name,
        team: row.team,
        tag_value: row.tag_value,
        usage: Some(sums(&row.sums)),
    }
}

fn sums(sums: &UsageSums) -> v1::UsageSums {
    // Where latencies are not counted, they are not summed either.
    let measured = if sums.latencies.is_some() { sums.requests } else { 0 };
    v1::UsageSums {
        requests: sums.requests,
        successes: sums.successes,
        failures: sums.requests.saturating_sub(sums.successes),
        success_rate: sums.success_rate(sums.requests),
        streams: sums.streams,
        attempts: sums.attempts,
        prompt_tokens: sums.prompt_tokens,
        completion_tokens: sums.completion_tokens,
        cached_read_tokens: sums.cached_read_tokens,
        cache_write_tokens: sums.cache_write_tokens,
        reasoning_tokens: sums.reasoning_tokens,
        total_tokens: sums.prompt_tokens.saturating_add(sums.completion_tokens),
        estimated: sums.estimated,
        cost_nanos: sums.cost_nanos,
        cost_usd: usd(sums.cost_nanos),
        unpriced: sums.unpriced,
        average_latency_ms: sums.average_latency_ms(measured),
        p50_latency_ms: sums.latency_ms(50.0),
        p95_latency_ms: sums.latency_ms(95.0),
        p99_latency_ms: sums.latency_ms(99.0),
        average_ttft_ms: sums.average_ttft_ms(),
    }
}

/// Into the contract.
pub(crate) fn provider_day(day: ProviderDay) -> v1::ProviderStats {
    let sums = &day.sums;
    v1::ProviderStats {
        day: timestamp(day.day),
        provider_id: day.provider_id,
        provider: day.provider,
        upstream_model: day.upstream_model,
        attempts: sums.attempts,
        successes: sums.successes,
        success_rate: sums.success_rate(sums.attempts),
        prompt_tokens: sums.prompt_tokens,
        completion_tokens: sums.completion_tokens,
        cached_read_tokens: sums.cached_read_tokens,
        cache_write_tokens: sums.cache_write_tokens,
        reasoning_tokens: sums.reasoning_tokens,
        cost_nanos: sums.cost_nanos,
        cost_usd: usd(sums.cost_nanos),
        average_latency_ms: sums.average_latency_ms(sums.attempts),
        average_ttft_ms: sums.average_ttft_ms(),
        last_used_at: timestamp(day.last_used_at),
    }
}
