//! Providers' keys: decode, call, encode.

use orchestrator_core::{admin::Admin, error::Result};
use orchestrator_proto::v1;

use crate::convert::admin::{all, filter, page, provider_keys as convert, required};

pub(super) async fn list(
    admin: &Admin,
    request: v1::ListProviderKeysRequest,
) -> Result<v1::ListProviderKeysResponse> {
    let page = page(request.page_size, request.page_token);
    let listed = admin.list_provider_keys(filter(&request.provider_id), &page).await?;
    let provider_keys = listed.items.into_iter().map(convert::message).collect();
    Ok(v1::ListProviderKeysResponse { provider_keys, next_page_token: listed.next.unwrap_or_default() })
}

pub(super) async fn get(admin: &Admin, request: v1::GetProviderKeyRequest) -> Result<v1::ProviderKey> {
    admin.provider_key(&request.id).await.map(convert::message)
}

pub(super) async fn create(admin: &Admin, request: v1::CreateProviderKeyRequest) -> Result<v1::ProviderKey> {
    let message = required("provider_key", request.provider_key)?;
    let provider_id = message.provider_id.clone();
    let change = convert::change(message, &all(&convert::MUTABLE))?;
    admin.create_provider_key(&provider_id, change).await.map(convert::message)
}

pub(super) async fn update(admin: &Admin, request: v1::UpdateProviderKeyRequest) -> Result<v1::ProviderKey> {
    let message = required("provider_key", request.provider_key)?;
    let id = message.id.clone();
    let change = convert::update(message, request.update_mask)?;
    admin.update_provider_key(&id, change).await.map(convert::message)
}

pub(super) async fn delete(admin: &Admin, request: v1::DeleteProviderKeyRequest) -> Result<()> {
    admin.delete_provider_key(&request.id).await
}
