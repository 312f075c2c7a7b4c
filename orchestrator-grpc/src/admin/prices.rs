//! Prices: decode, call, encode.

use orchestrator_core::{admin::Admin, error::Result};
use orchestrator_proto::v1;

use crate::convert::admin::{all, filter, page, paths, prices as convert, required};

pub(super) async fn list(admin: &Admin, request: v1::ListPricesRequest) -> Result<v1::ListPricesResponse> {
    let page = page(request.page_size, request.page_token);
    let listed = admin.list_prices(filter(&request.kind), &page).await?;
    let prices = listed.items.into_iter().map(convert::message).collect();
    Ok(v1::ListPricesResponse { prices, next_page_token: listed.next.unwrap_or_default() })
}

pub(super) async fn get(admin: &Admin, request: v1::GetPriceRequest) -> Result<v1::Price> {
    admin.price(&request.kind, &request.upstream_model).await.map(convert::message)
}

pub(super) async fn create(admin: &Admin, request: v1::CreatePriceRequest) -> Result<v1::Price> {
    let message = required("price", request.price)?;
    let change = convert::change(&message, &all(&convert::MUTABLE))?;
    admin.create_price(&message.kind, &message.upstream_model, change).await.map(convert::message)
}

pub(super) async fn update(admin: &Admin, request: v1::UpdatePriceRequest) -> Result<v1::Price> {
    let message = required("price", request.price)?;
    let change = convert::change(&message, &paths(request.update_mask, &convert::MUTABLE)?)?;
    admin.update_price(&message.kind, &message.upstream_model, change).await.map(convert::message)
}

pub(super) async fn delete(admin: &Admin, request: v1::DeletePriceRequest) -> Result<()> {
    admin.delete_price(&request.kind, &request.upstream_model).await
}
