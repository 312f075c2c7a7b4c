//! Statistics: decode, call, encode.

use orchestrator_core::{admin::Admin, error::Result};
use orchestrator_proto::v1;

use crate::convert::admin::{logs, moment, stats as convert};

pub(super) async fn get(admin: &Admin, request: v1::GetStatsRequest) -> Result<v1::Stats> {
    admin.stats(request.hours).await.map(convert::message)
}

pub(super) async fn usage(admin: &Admin, request: v1::ListUsageRequest) -> Result<v1::ListUsageResponse> {
    let rows = admin.usage(&convert::report(request)?).await?;
    Ok(v1::ListUsageResponse { usage: rows.into_iter().map(convert::row).collect() })
}

pub(super) async fn providers(
    admin: &Admin,
    request: v1::ListProviderStatsRequest,
) -> Result<v1::ListProviderStatsResponse> {
    let from = request.from.map(|from| moment("from", from)).transpose()?;
    let to = request.to.map(|to| moment("to", to)).transpose()?;
    let days = admin.provider_stats(from, to, &request.provider).await?;
    Ok(v1::ListProviderStatsResponse {
        provider_stats: days.into_iter().map(convert::provider_day).collect(),
    })
}

pub(super) async fn outcomes(
    admin: &Admin,
    request: v1::ListModelProviderOutcomesRequest,
) -> Result<v1::ListModelProviderOutcomesResponse> {
    let outcomes = admin.model_provider_outcomes(&request.id, request.count).await?;
    let outcomes = outcomes.into_iter().map(|(log_id, attempt)| logs::attempt_message(log_id, attempt));
    Ok(v1::ListModelProviderOutcomesResponse { outcomes: outcomes.collect() })
}
