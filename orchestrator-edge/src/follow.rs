//! What an edge in front of cores elsewhere follows while it runs: its own files, at SIGHUP, and what operators have told its cores.
//!
//! An edge with a core in its process needs none of this: the core's own work is the process's.

use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use orchestrator_base::{
    config::{Config, Problem, Reload},
    signals, supervisor, task,
    telemetry::{self, Filter},
};
use orchestrator_proto::v1::EdgeSettings;
use prost::Message as _;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;

use crate::core_client::{CoreChannel, unary};

/// How often a core is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How long it may take.
const WITHIN: Duration = Duration::from_secs(1);
const GET_EDGE_SETTINGS: &str = "/orchestrator.v1.Edges/GetEdgeSettings";

/// Reads the files again at each SIGHUP, from now on. Call it on a runtime that lives on.
///
/// # Errors
/// Signals cannot be watched.
pub fn hangups(reload: Reload) -> std::io::Result<()> {
    let mut hangups = signals::hangups()?;
    drop(task::spawn("reload", async move {
        while hangups.recv().await == Some(()) {
            let _reloading = supervisor::reloading();
            telemetry::reopen();
            tracing::info!(signal = "SIGHUP", "Reading the configuration again");
            let again = reload.clone();
            let read =
                tokio::task::spawn_blocking(move || again.again(|_: &Config| Ok::<_, Vec<Problem>>(())));
            match read.await {
                Ok(Ok((_, changes))) => tracing::info!(settings = changes.len(), "Configuration read again"),
                Ok(Err(problems)) => {
                    for problem in problems {
                        tracing::error!(%problem, "the configuration has a problem, and is not taken");
                    }
                }
                Err(_) => tracing::error!("the configuration could not be read"),
            }
        }
    }));
    Ok(())
}

/// Logs what operators want logged, until told to stop. While no core answers, the last word holds to its end.
pub async fn log_level(core: CoreChannel, stop: CancellationToken) {
    let mut until = None;
    while !stop.is_cancelled() {
        let path = PathAndQuery::from_static(GET_EDGE_SETTINGS);
        let asked = timeout(WITHIN, unary(&core, path, MetadataMap::new(), Bytes::new())).await;
        let settings = asked.ok().and_then(Result::ok).and_then(|answer| EdgeSettings::decode(answer).ok());
        if let Some(settings) = settings {
            let left = settings.log_level_expires_ms;
            until = (left > 0).then(|| Instant::now() + Duration::from_millis(left));
            telemetry::overrule(Filter::parse(&settings.log_level).ok());
        } else if until.is_some_and(|until| until <= Instant::now()) {
            telemetry::overrule(None);
        }
        let _ = stop.run_until_cancelled(sleep(EVERY)).await;
    }
}
