//! Teams: decode, call, encode.

use orchestrator_core::{admin::Admin, error::Result};
use orchestrator_proto::v1;

use super::spending;
use crate::convert::admin::{all, page, paths, required, teams as convert};

pub(super) async fn list(admin: &Admin, request: v1::ListTeamsRequest) -> Result<v1::ListTeamsResponse> {
    let page = page(request.page_size, request.page_token);
    let listed = admin.list_teams(&page).await?;
    let mut teams: Vec<_> = listed.items.into_iter().map(convert::message).collect();
    spending::tell(admin, &mut teams).await;
    Ok(v1::ListTeamsResponse { teams, next_page_token: listed.next.unwrap_or_default() })
}

pub(super) async fn get(admin: &Admin, request: v1::GetTeamRequest) -> Result<v1::Team> {
    let mut shown = convert::message(admin.team(&request.id).await?);
    spending::tell(admin, std::slice::from_mut(&mut shown)).await;
    Ok(shown)
}

pub(super) async fn create(admin: &Admin, request: v1::CreateTeamRequest) -> Result<v1::Team> {
    let message = required("team", request.team)?;
    let change = convert::change(&message, &all(&convert::MUTABLE))?;
    admin.create_team(change).await.map(convert::message)
}

pub(super) async fn update(admin: &Admin, request: v1::UpdateTeamRequest) -> Result<v1::Team> {
    let message = required("team", request.team)?;
    let change = convert::change(&message, &paths(request.update_mask, &convert::MUTABLE)?)?;
    admin.update_team(&message.id, change).await.map(convert::message)
}

pub(super) async fn delete(admin: &Admin, request: v1::DeleteTeamRequest) -> Result<()> {
    admin.delete_team(&request.id).await
}
