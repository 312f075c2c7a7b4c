//! Alerts: decode, call, encode.

use orchestrator_core::{admin::Admin, error::Result};
use orchestrator_proto::v1;

use crate::convert::admin::{alerts as convert, page};

pub(super) async fn list(admin: &Admin, request: v1::ListAlertsRequest) -> Result<v1::ListAlertsResponse> {
    let page = page(request.page_size, request.page_token);
    let listed = admin.alerts(request.open_only, &page).await?;
    let alerts = listed.items.into_iter().map(convert::message).collect();
    Ok(v1::ListAlertsResponse { alerts, next_page_token: listed.next.unwrap_or_default() })
}

pub(super) async fn acknowledge(admin: &Admin, request: v1::AcknowledgeAlertRequest) -> Result<v1::Alert> {
    admin.acknowledge_alert(&request.id).await.map(convert::message)
}
