//! Models: decode, call, encode.

use orchestrator_core::{admin::Admin, error::Result};
use orchestrator_proto::v1;

use crate::convert::admin::{all, models as convert, page, paths, required};

pub(super) async fn list(admin: &Admin, request: v1::ListModelsRequest) -> Result<v1::ListModelsResponse> {
    let page = page(request.page_size, request.page_token);
    let listed = admin.list_models(&page).await?;
    let models = listed.items.into_iter().map(convert::message).collect();
    Ok(v1::ListModelsResponse { models, next_page_token: listed.next.unwrap_or_default() })
}

pub(super) async fn get(admin: &Admin, request: v1::GetModelRequest) -> Result<v1::Model> {
    admin.model(&request.id).await.map(convert::message)
}

pub(super) async fn create(admin: &Admin, request: v1::CreateModelRequest) -> Result<v1::Model> {
    let message = required("model", request.model)?;
    let change = convert::change(message, &all(&convert::MUTABLE))?;
    admin.create_model(change).await.map(convert::message)
}

pub(super) async fn update(admin: &Admin, request: v1::UpdateModelRequest) -> Result<v1::Model> {
    let message = required("model", request.model)?;
    let id = message.id.clone();
    let change = convert::change(message, &paths(request.update_mask, &convert::MUTABLE)?)?;
    admin.update_model(&id, change).await.map(convert::message)
}

pub(super) async fn delete(admin: &Admin, request: v1::DeleteModelRequest) -> Result<()> {
    admin.delete_model(&request.id).await
}
