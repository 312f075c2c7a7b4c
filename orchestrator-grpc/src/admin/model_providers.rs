//! Associations of models and providers: decode, call, encode.

use orchestrator_core::{admin::Admin, error::Result};
use orchestrator_proto::v1;

use crate::convert::admin::{all, filter, model_providers as convert, page, paths, required};

pub(super) async fn list(
    admin: &Admin,
    request: v1::ListModelProvidersRequest,
) -> Result<v1::ListModelProvidersResponse> {
    let page = page(request.page_size, request.page_token);
    let listed =
        admin.list_model_providers(filter(&request.model_id), filter(&request.provider_id), &page).await?;
    let model_providers = listed.items.into_iter().map(convert::message).collect();
    Ok(v1::ListModelProvidersResponse { model_providers, next_page_token: listed.next.unwrap_or_default() })
}

pub(super) async fn get(admin: &Admin, request: v1::GetModelProviderRequest) -> Result<v1::ModelProvider> {
    admin.model_provider(&request.id).await.map(convert::message)
}

pub(super) async fn create(
    admin: &Admin,
    request: v1::CreateModelProviderRequest,
) -> Result<v1::ModelProvider> {
    let message = required("model_provider", request.model_provider)?;
    let change = convert::change(message, &all(&convert::MUTABLE))?;
    admin.create_model_provider(change).await.map(convert::message)
}

pub(super) async fn update(
    admin: &Admin,
    request: v1::UpdateModelProviderRequest,
) -> Result<v1::ModelProvider> {
    let message = required("model_provider", request.model_provider)?;
    let id = message.id.clone();
    let change = convert::change(message, &paths(request.update_mask, &convert::MUTABLE)?)?;
    admin.update_model_provider(&id, change).await.map(convert::message)
}

pub(super) async fn delete(admin: &Admin, request: v1::DeleteModelProviderRequest) -> Result<()> {
    admin.delete_model_provider(&request.id).await
}
