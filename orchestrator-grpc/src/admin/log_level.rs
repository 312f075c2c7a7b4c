//! What is logged: decode, call, encode.

use orchestrator_core::{
    admin::{Admin, log_level::Logging},
    error::Result,
};
use orchestrator_proto::v1;

use crate::convert::admin::timestamp;

pub(super) fn get(admin: &Admin) -> v1::LogLevel {
    message(admin.logging())
}

pub(super) async fn set(admin: &Admin, request: v1::SetLogLevelRequest) -> Result<v1::LogLevel> {
    admin.set_logging(&request.level, request.expires_seconds).await.map(message)
}

fn message(logging: Logging) -> v1::LogLevel {
    let Logging { level, configured, until, overruled } = logging;
    v1::LogLevel { level, configured, overruled, expires_at: until.and_then(timestamp) }
}
