//! Request logs and their retention: decode, call, encode. Exports and tails are streams.

use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use orchestrator_core::{
    admin::{
        Admin,
        logs::{ExportFormat, LogExport, LogTail},
    },
    error::Result,
};
use orchestrator_proto::v1;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{
    convert::admin::{logs as convert, page, paths, required},
    status::to_status,
};

/// A stream of answers.
pub(super) type Messages<T> = BoxStream<'static, std::result::Result<T, Status>>;

/// After how long without a request a tail says that it is still there.
const IDLE: Duration = Duration::from_secs(15);

pub(super) async fn list(
    admin: &Admin,
    request: v1::ListRequestLogsRequest,
) -> Result<v1::ListRequestLogsResponse> {
    let query = convert::query(request.filter)?;
    let listed = admin.list_request_logs(&query, &page(request.page_size, request.page_token)).await?;
    let request_logs = listed.items.into_iter().map(convert::message).collect();
    Ok(v1::ListRequestLogsResponse { request_logs, next_page_token: listed.next.unwrap_or_default() })
}

pub(super) async fn get(admin: &Admin, request: v1::GetRequestLogRequest) -> Result<v1::RequestLog> {
    let record = if request.include_bodies {
        admin.request_log_with_bodies(&request.id).await?
    } else {
        admin.request_log(&request.id).await?
    };
    Ok(convert::message(record))
}

/// The first piece is read before anything is answered, so that a failure can still be a status of its own.
pub(super) async fn export(
    admin: &Admin,
    request: v1::ExportRequestLogsRequest,
    request_id: String,
    draining: CancellationToken,
) -> Result<Messages<v1::ExportRequestLogsResponse>> {
    let format = ExportFormat::from_name(&request.format)?;
    let mut export = admin.export_request_logs(&convert::query(request.filter)?, format).await?;
    let first = export.next().await?;
    let first = stream::iter(first.map(|data| Ok(v1::ExportRequestLogsResponse { data })));
    let rest = stream::unfold(Some(export), move |export| {
        let (request_id, draining) = (request_id.clone(), draining.clone());
        async move { next_piece(export?, &request_id, &draining).await }
    });
    Ok(first.chain(rest).boxed())
}

type Piece = std::result::Result<v1::ExportRequestLogsResponse, Status>;

async fn next_piece(
    mut export: LogExport,
    request_id: &str,
    draining: &CancellationToken,
) -> Option<(Piece, Option<LogExport>)> {
    // A file that stops in the middle must not look whole.
    let Some(piece) = draining.run_until_cancelled(export.next()).await else {
        return Some((Err(Status::unavailable("the core is about to stop")), None));
    };
    match piece {
        Ok(Some(data)) => Some((Ok(v1::ExportRequestLogsResponse { data }), Some(export))),
        Ok(None) => None,
        Err(error) => Some((Err(to_status(&error, request_id)), None)),
    }
}

pub(super) async fn tail(
    admin: &Admin,
    request: v1::TailRequestLogsRequest,
    draining: CancellationToken,
) -> Result<Messages<v1::TailRequestLogsResponse>> {
    let tail = admin.tail_request_logs(&convert::query(request.filter)?).await?;
    // The first message is at once: it says that the tail has begun.
    let begun = stream::iter([Ok(v1::TailRequestLogsResponse::default())]);
    let looks = stream::unfold((tail, Instant::now()), |(mut tail, said)| async move {
        let messages = look(&mut tail, said).await;
        Some((stream::iter(messages), (tail, Instant::now())))
    });
    Ok(begun.chain(looks.flatten()).take_until(draining.cancelled_owned()).boxed())
}

/// What has ended, or after a while of nothing an empty message. A database that is away is waited for.
async fn look(
    tail: &mut LogTail,
    said: Instant,
) -> Vec<std::result::Result<v1::TailRequestLogsResponse, Status>> {
    loop {
        let records = tail.next().await.unwrap_or_default();
        if !records.is_empty() {
            let message =
                |record| v1::TailRequestLogsResponse { request_log: Some(convert::message(record)) };
            return records.into_iter().map(|record| Ok(message(record))).collect();
        }
        if said.elapsed() >= IDLE {
            return vec![Ok(v1::TailRequestLogsResponse::default())];
        }
    }
}

pub(super) async fn purge(
    admin: &Admin,
    request: v1::PurgeRequestLogsRequest,
) -> Result<v1::PurgeRequestLogsResponse> {
    let days = required("retention_days", request.retention_days)?;
    admin.purge_request_logs(days).await.map(|deleted| v1::PurgeRequestLogsResponse { deleted })
}

pub(super) async fn retention(admin: &Admin) -> Result<v1::Retention> {
    admin.retention().await.map(convert::retention_message)
}

pub(super) async fn change_retention(
    admin: &Admin,
    request: v1::UpdateRetentionRequest,
) -> Result<v1::Retention> {
    let message = required("retention", request.retention)?;
    let paths = paths(request.update_mask, &convert::MUTABLE)?;
    let changed = convert::change(admin.retention().await?, message, &paths)?;
    admin.set_retention(changed).await.map(convert::retention_message)
}
