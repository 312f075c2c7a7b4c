//! Health, how it is checked, and breakers: decode, call, encode.

use orchestrator_core::{admin::health::HealthDesk, error::Result};
use orchestrator_proto::v1;

use crate::convert::admin::{filter, health as convert, page, paths, required};

pub(super) async fn list(
    desk: &HealthDesk,
    request: v1::ListProviderHealthRequest,
) -> Result<v1::ListProviderHealthResponse> {
    let listed = desk.list(&page(request.page_size, request.page_token)).await?;
    let provider_health = listed.items.into_iter().map(convert::message).collect();
    Ok(v1::ListProviderHealthResponse { provider_health, next_page_token: listed.next.unwrap_or_default() })
}

pub(super) async fn get(
    desk: &HealthDesk,
    request: v1::GetProviderHealthRequest,
) -> Result<v1::ProviderHealth> {
    desk.provider(&request.id).await.map(convert::message)
}

pub(super) async fn check(
    desk: &HealthDesk,
    request: v1::CheckProviderRequest,
) -> Result<v1::ProviderHealth> {
    desk.check(&request.id).await.map(convert::message)
}

pub(super) fn settings(desk: &HealthDesk) -> v1::HealthCheckConfig {
    convert::settings_message(desk.settings())
}

pub(super) async fn change_settings(
    desk: &HealthDesk,
    request: v1::UpdateHealthCheckConfigRequest,
) -> Result<v1::HealthCheckConfig> {
    let message = required("health_check_config", request.health_check_config)?;
    let change = convert::change(&message, &paths(request.update_mask, &convert::MUTABLE)?)?;
    desk.change_settings(change).await.map(convert::settings_message)
}

pub(super) async fn breakers(
    desk: &HealthDesk,
    request: v1::ListBreakersRequest,
) -> Result<v1::ListBreakersResponse> {
    let breakers = desk.breakers(filter(&request.provider_id)).await?;
    Ok(v1::ListBreakersResponse { breakers: breakers.into_iter().map(convert::breaker).collect() })
}

pub(super) async fn reset_breakers(desk: &HealthDesk, request: v1::ResetBreakersRequest) -> Result<()> {
    desk.reset_breakers(filter(&request.provider_id)).await
}
