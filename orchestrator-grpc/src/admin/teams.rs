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
    let team = admin.team(&request.id).await?;
    Ok(spending::told(admin, convert::message(team)).await)
}

pub(super) async fn create(admin: &Admin, request: v1::CreateTeamRequest) -> Result<v1::Team> {
    let message = required("team", request.team)?;
    let change = convert::change(&message, &all(&convert::MUTABLE))?;
    let team = admin.create_team(change).await?;
    Ok(spending::told(admin, convert::message(team)).await)
}

pub(super) async fn update(admin: &Admin, request: v1::UpdateTeamRequest) -> Result<v1::Team> {
    let message = required("team", request.team)?;
    let change = convert::change(&message, &paths(request.update_mask, &convert::MUTABLE)?)?;
    let team = admin.update_team(&message.id, change).await?;
    Ok(spending::told(admin, convert::message(team)).await)
}

pub(super) async fn delete(admin: &Admin, request: v1::DeleteTeamRequest) -> Result<()> {
    admin.delete_team(&request.id).await
}
