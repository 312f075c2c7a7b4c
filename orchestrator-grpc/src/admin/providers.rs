//! Providers: decode, call, encode.

use orchestrator_core::{
    admin::Admin,
    error::{Error, Result},
};
use orchestrator_proto::v1;

use crate::convert::admin::{all, page, paths, providers as convert, required};

pub(super) async fn list(
    admin: &Admin,
    request: v1::ListProvidersRequest,
) -> Result<v1::ListProvidersResponse> {
    let page = page(request.page_size, request.page_token);
    let listed = admin.list_providers(&page).await?;
    let providers = listed.items.into_iter().map(convert::message).collect();
    Ok(v1::ListProvidersResponse { providers, next_page_token: listed.next.unwrap_or_default() })
}

pub(super) async fn get(admin: &Admin, request: v1::GetProviderRequest) -> Result<v1::Provider> {
    admin.provider(&request.id).await.map(convert::message)
}

pub(super) async fn create(admin: &Admin, request: v1::CreateProviderRequest) -> Result<v1::Provider> {
    let message = required("provider", request.provider)?;
    let first_key = message.api_key.clone().map(Into::into);
    let change = convert::change(message, &all(&convert::MUTABLE))?;
    admin.create_provider(change, first_key).await.map(convert::message)
}

pub(super) async fn update(admin: &Admin, request: v1::UpdateProviderRequest) -> Result<v1::Provider> {
    let message = required("provider", request.provider)?;
    if message.api_key.is_some() {
        return Err(Error::invalid(
            "api_key".to_owned(),
            "api_key can be given at create only; make a provider key",
        ));
    }
    let id = message.id.clone();
    let change = convert::change(message, &paths(request.update_mask, &convert::MUTABLE)?)?;
    admin.update_provider(&id, change).await.map(convert::message)
}

pub(super) async fn delete(admin: &Admin, request: v1::DeleteProviderRequest) -> Result<()> {
    admin.delete_provider(&request.id).await
}
