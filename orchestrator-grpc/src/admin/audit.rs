//! The audit log: decode, call, encode.

use orchestrator_core::{admin::Admin, error::Result};
use orchestrator_proto::v1;

use crate::convert::admin::{audit as convert, page};

pub(super) async fn list(
    admin: &Admin,
    request: v1::ListAuditLogRequest,
) -> Result<v1::ListAuditLogResponse> {
    let page = page(request.page_size, request.page_token.clone());
    let listed = admin.audit_log(&convert::filter(request)?, &page).await?;
    let audit_entries = listed.items.into_iter().map(convert::message).collect();
    Ok(v1::ListAuditLogResponse { audit_entries, next_page_token: listed.next.unwrap_or_default() })
}
