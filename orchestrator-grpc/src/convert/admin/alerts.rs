//! Alerts.

use orchestrator_core::alerts::Alert;
use orchestrator_proto::v1;

use super::timestamp;

/// Into the contract.
pub(crate) fn message(alert: Alert) -> v1::Alert {
    v1::Alert {
        id: alert.id,
        created_at: timestamp(alert.created_at),
        kind: alert.kind,
        subject: alert.subject,
        message: alert.message,
        acknowledged_at: alert.acknowledged_at.and_then(timestamp),
    }
}
