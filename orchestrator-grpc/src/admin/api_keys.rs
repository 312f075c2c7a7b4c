//! Callers' keys: decode, call, encode.

use std::collections::HashMap;

use orchestrator_core::{admin::Admin, error::Result};
use orchestrator_proto::v1;

use super::spending;
use crate::convert::admin::{all, api_keys as convert, page, paths, required};

pub(super) async fn list(admin: &Admin, request: v1::ListApiKeysRequest) -> Result<v1::ListApiKeysResponse> {
    let page = page(request.page_size, request.page_token);
    let listed = admin.list_api_keys(&page).await?;
    let ids: Vec<&str> = listed.items.iter().map(|key| key.id.as_str()).collect();
    let used = admin.last_used(&ids).await?;
    let mut api_keys: Vec<_> = listed.items.into_iter().map(|key| convert::message(key, &used)).collect();
    spending::tell(admin, &mut api_keys).await;
    Ok(v1::ListApiKeysResponse { api_keys, next_page_token: listed.next.unwrap_or_default() })
}

pub(super) async fn get(admin: &Admin, request: v1::GetApiKeyRequest) -> Result<v1::ApiKey> {
    let key = admin.api_key(&request.id).await?;
    let used = admin.last_used(&[&key.id]).await?;
    Ok(spending::told(admin, convert::message(key, &used)).await)
}

pub(super) async fn create(admin: &Admin, request: v1::CreateApiKeyRequest) -> Result<v1::ApiKey> {
    let message = required("api_key", request.api_key)?;
    let change = convert::change(message, &all(&convert::MUTABLE))?;
    let created = convert::created(admin.create_api_key(change).await?, &HashMap::new());
    Ok(spending::told(admin, created).await)
}

pub(super) async fn update(admin: &Admin, request: v1::UpdateApiKeyRequest) -> Result<v1::ApiKey> {
    let message = required("api_key", request.api_key)?;
    let id = message.id.clone();
    let change = convert::change(message, &paths(request.update_mask, &convert::MUTABLE)?)?;
    let key = admin.update_api_key(&id, change).await?;
    let used = admin.last_used(&[&key.id]).await?;
    Ok(spending::told(admin, convert::message(key, &used)).await)
}

pub(super) async fn rotate(admin: &Admin, request: v1::RotateApiKeyRequest) -> Result<v1::ApiKey> {
    // Looked up first: nothing may fail once there is a secret that only this answer says.
    let used = admin.last_used(&[&request.id]).await?;
    let rotated = admin.rotate_api_key(&request.id, request.overlap_seconds).await?;
    Ok(spending::told(admin, convert::created(rotated, &used)).await)
}

pub(super) async fn delete(admin: &Admin, request: v1::DeleteApiKeyRequest) -> Result<()> {
    admin.delete_api_key(&request.id).await
}
