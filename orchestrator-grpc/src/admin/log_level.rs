//! What is logged: decode, call, encode.

use orchestrator_core::admin::log_level::Logging;
use orchestrator_proto::v1;

use super::{Answer, caller::Caller};
use crate::convert::admin::timestamp;

pub(super) fn get((caller, _): (Caller, v1::GetLogLevelRequest)) -> Answer<v1::LogLevel> {
    caller.answer(Ok(message(caller.admin.logging())))
}

pub(super) async fn set((caller, request): (Caller, v1::SetLogLevelRequest)) -> Answer<v1::LogLevel> {
    let set = caller.admin.set_logging(&request.level, request.expires_seconds).await;
    caller.answer(set.map(message))
}

fn message(logging: Logging) -> v1::LogLevel {
    let Logging { level, configured, until, overruled } = logging;
    v1::LogLevel { level, configured, overruled, expires_at: until.and_then(timestamp) }
}
