//! The audit log.

use orchestrator_core::{
    audit::{AuditEntry, AuditFilter},
    error::Result,
};
use orchestrator_proto::v1;

use super::{moment, timestamp};

/// Which rows are asked for.
pub(crate) fn filter(request: v1::ListAuditLogRequest) -> Result<AuditFilter> {
    let given = |value: String| (!value.is_empty()).then_some(value);
    Ok(AuditFilter {
        actor: given(request.actor),
        action: given(request.action),
        noun: given(request.noun),
        target: given(request.target),
        from: request.from.map(|at| moment("from", at)).transpose()?,
        to: request.to.map(|at| moment("to", at)).transpose()?,
    })
}

/// Into the contract.
pub(crate) fn message(entry: AuditEntry) -> v1::AuditEntry {
    v1::AuditEntry {
        id: entry.id,
        at: timestamp(entry.at),
        actor: entry.actor,
        address: entry.address,
        request_id: entry.request_id,
        action: entry.action,
        noun: entry.noun,
        target: entry.target,
        target_name: entry.target_name,
        outcome: entry.outcome,
        state_before_json: entry.state_before,
        state_after_json: entry.state_after,
    }
}
