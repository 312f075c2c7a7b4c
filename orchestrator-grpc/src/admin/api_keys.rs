//! Callers' keys: decode, call, encode.

use orchestrator_core::{admin::Admin, error::Result};
use orchestrator_proto::v1;

use crate::convert::admin::{all, api_keys as convert, page, paths, required};

pub(super) async fn list(admin: &Admin, request: v1::ListApiKeysRequest) -> Result<v1::ListApiKeysResponse> {
    let page = page(request.page_size, request.page_token);
    let listed = admin.list_api_keys(&page).await?;
    let api_keys = listed.items.into_iter().map(convert::message).collect();
    Ok(v1::ListApiKeysResponse { api_keys, next_page_token: listed.next.unwrap_or_default() })
}

pub(super) async fn get(admin: &Admin, request: v1::GetApiKeyRequest) -> Result<v1::ApiKey> {
    admin.api_key(&request.id).await.map(convert::message)
}

pub(super) async fn create(admin: &Admin, request: v1::CreateApiKeyRequest) -> Result<v1::ApiKey> {
    let message = required("api_key", request.api_key)?;
    let change = convert::change(message, &all(&convert::MUTABLE))?;
    admin.create_api_key(change).await.map(convert::created)
}

pub(super) async fn update(admin: &Admin, request: v1::UpdateApiKeyRequest) -> Result<v1::ApiKey> {
    let message = required("api_key", request.api_key)?;
    let id = message.id.clone();
    let change = convert::change(message, &paths(request.update_mask, &convert::MUTABLE)?)?;
    admin.update_api_key(&id, change).await.map(convert::message)
}

pub(super) async fn delete(admin: &Admin, request: v1::DeleteApiKeyRequest) -> Result<()> {
    admin.delete_api_key(&request.id).await
}
