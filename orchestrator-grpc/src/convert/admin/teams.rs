//! Teams.

use orchestrator_core::{admin::TeamChange, catalog::Team, error::Result};
use orchestrator_proto::v1;

use super::{limits, read_only, timestamp, unknown};

/// The fields that can be changed.
pub(crate) const MUTABLE: [&str; 8] = [
    "name",
    "remark",
    "enabled",
    "requests_per_minute",
    "tokens_per_minute",
    "max_concurrency",
    "budget_usd",
    "budget_period",
];

/// The change that `paths` of a message make. A field that is named and unset gets its default.
pub(crate) fn change(message: &v1::Team, paths: &[String]) -> Result<TeamChange> {
    let mut change = TeamChange::default();
    for path in paths {
        match path.as_str() {
            "name" => change.name = Some(message.name.clone()),
            "remark" => change.remark = Some(message.remark.clone()),
            "enabled" => change.enabled = Some(message.enabled.unwrap_or(true)),
            "requests_per_minute" => change.limits.requests_per_minute = Some(message.requests_per_minute),
            "tokens_per_minute" => change.limits.tokens_per_minute = Some(message.tokens_per_minute),
            "max_concurrency" => change.limits.max_concurrency = Some(message.max_concurrency),
            "budget_usd" => change.limits.budget_nanos = Some(limits::nanos(message.budget_usd)?),
            "budget_period" => change.limits.budget_period = Some(message.budget_period.clone()),
            "id" | "created_at" | "updated_at" | "managed_by" | "spent_usd" => return Err(read_only(path)),
            other => return Err(unknown(other)),
        }
    }
    Ok(change)
}

/// Into the contract.
pub(crate) fn message(team: Team) -> v1::Team {
    let (budget_usd, budget_period) = limits::budget(&team.limits);
    v1::Team {
        id: team.id,
        name: team.name,
        remark: team.remark,
        enabled: Some(team.enabled),
        requests_per_minute: team.limits.requests_per_minute,
        tokens_per_minute: team.limits.tokens_per_minute,
        max_concurrency: team.limits.max_concurrency,
        budget_usd,
        budget_period,
        created_at: timestamp(team.created_at),
        updated_at: timestamp(team.updated_at),
        managed_by: team.managed_by.name().to_owned(),
        spent_usd: None,
    }
}
