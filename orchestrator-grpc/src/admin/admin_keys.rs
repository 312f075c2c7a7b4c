//! Operators' keys: decode, call, encode.

use orchestrator_core::{admin::Admin, error::Result};
use orchestrator_proto::v1;

use crate::convert::admin::{admin_keys as convert, all, page, paths, required};

pub(super) async fn list(
    admin: &Admin,
    request: v1::ListAdminKeysRequest,
) -> Result<v1::ListAdminKeysResponse> {
    let page = page(request.page_size, request.page_token);
    let listed = admin.list_admin_keys(&page).await?;
    let admin_keys = listed.items.into_iter().map(convert::message).collect();
    Ok(v1::ListAdminKeysResponse { admin_keys, next_page_token: listed.next.unwrap_or_default() })
}

pub(super) async fn get(admin: &Admin, request: v1::GetAdminKeyRequest) -> Result<v1::AdminKey> {
    admin.admin_key(&request.id).await.map(convert::message)
}

pub(super) async fn create(admin: &Admin, request: v1::CreateAdminKeyRequest) -> Result<v1::AdminKey> {
    let message = required("admin_key", request.admin_key)?;
    let change = convert::change(message, &all(&convert::MUTABLE))?;
    admin.create_admin_key(change).await.map(convert::created)
}

pub(super) async fn update(admin: &Admin, request: v1::UpdateAdminKeyRequest) -> Result<v1::AdminKey> {
    let message = required("admin_key", request.admin_key)?;
    let id = message.id.clone();
    let change = convert::change(message, &paths(request.update_mask, &convert::MUTABLE)?)?;
    admin.update_admin_key(&id, change).await.map(convert::message)
}

pub(super) async fn delete(admin: &Admin, request: v1::DeleteAdminKeyRequest) -> Result<()> {
    admin.delete_admin_key(&request.id).await
}

pub(super) async fn rotate(admin: &Admin, request: v1::RotateAdminKeyRequest) -> Result<v1::AdminKey> {
    admin.rotate_admin_key(&request.id).await.map(convert::created)
}
