//! The service `Admin`. Each method lets its caller in, as far as the key's role goes, and hands the message to its noun, which acts
//! in the caller's name.

mod admin_keys;
mod alerts;
mod api_keys;
mod audit;
mod auth;
mod caller;
mod health;
mod log_level;
mod logs;
mod model_providers;
mod models;
mod prices;
mod provider_keys;
mod providers;
mod roles;
mod service;
mod stats;
mod teams;
pub(crate) mod transfer;

use orchestrator_base::config::{Declared, Reload};
use orchestrator_core::admin::{
    Admin, AdminAuth, health::HealthDesk, refusals::Refusals, status::StatusDesk,
};
use orchestrator_proto::v1::{self, admin_server};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::convert::admin::{admin_keys as convert, status as convert_status, transfer::reloaded};

/// The service, over the core's [`Admin`] and its [`HealthDesk`].
#[derive(Clone)]
pub struct AdminService {
    /// Acts for nobody: methods use their caller's.
    keeper: Admin,
    desk: HealthDesk,
    auth: AdminAuth,
    refusals: Refusals,
    status: StatusDesk,
    /// `GetStatus` needs no key.
    public_status: bool,
    declared: Declared,
    reload: Reload,
    draining: CancellationToken,
}

type Answer<T> = std::result::Result<Response<T>, Status>;

#[tonic::async_trait]
impl admin_server::Admin for AdminService {
    async fn list_providers(
        &self,
        request: Request<v1::ListProvidersRequest>,
    ) -> Answer<v1::ListProvidersResponse> {
        let (caller, request) = self.admit(request)?;
        caller.answer(providers::list(&caller.admin, request).await)
    }

    async fn get_provider(&self, request: Request<v1::GetProviderRequest>) -> Answer<v1::Provider> {
        let (caller, request) = self.admit(request)?;
        caller.answer(providers::get(&caller.admin, request).await)
    }

    async fn create_provider(&self, request: Request<v1::CreateProviderRequest>) -> Answer<v1::Provider> {
        let (caller, request) = self.admit(request)?;
        caller.answer(providers::create(&caller.admin, request).await)
    }

    async fn update_provider(&self, request: Request<v1::UpdateProviderRequest>) -> Answer<v1::Provider> {
        let (caller, request) = self.admit(request)?;
        caller.answer(providers::update(&caller.admin, request).await)
    }

    async fn delete_provider(&self, request: Request<v1::DeleteProviderRequest>) -> Answer<()> {
        let (caller, request) = self.admit(request)?;
        caller.answer(providers::delete(&caller.admin, request).await)
    }

    async fn list_provider_keys(
        &self,
        request: Request<v1::ListProviderKeysRequest>,
    ) -> Answer<v1::ListProviderKeysResponse> {
        let (caller, request) = self.admit(request)?;
        caller.answer(provider_keys::list(&caller.admin, request).await)
    }

    async fn get_provider_key(&self, request: Request<v1::GetProviderKeyRequest>) -> Answer<v1::ProviderKey> {
        let (caller, request) = self.admit(request)?;
        caller.answer(provider_keys::get(&caller.admin, request).await)
    }

    async fn create_provider_key(
        &self,
        request: Request<v1::CreateProviderKeyRequest>,
    ) -> Answer<v1::ProviderKey> {
        let (caller, request) = self.admit(request)?;
        caller.answer(provider_keys::create(&caller.admin, request).await)
    }

    async fn update_provider_key(
        &self,
        request: Request<v1::UpdateProviderKeyRequest>,
    ) -> Answer<v1::ProviderKey> {
        let (caller, request) = self.admit(request)?;
        caller.answer(provider_keys::update(&caller.admin, request).await)
    }

    async fn delete_provider_key(&self, request: Request<v1::DeleteProviderKeyRequest>) -> Answer<()> {
        let (caller, request) = self.admit(request)?;
        caller.answer(provider_keys::delete(&caller.admin, request).await)
    }

    async fn list_models(&self, request: Request<v1::ListModelsRequest>) -> Answer<v1::ListModelsResponse> {
        let (caller, request) = self.admit(request)?;
        caller.answer(models::list(&caller.admin, request).await)
    }

    async fn get_model(&self, request: Request<v1::GetModelRequest>) -> Answer<v1::Model> {
        let (caller, request) = self.admit(request)?;
        caller.answer(models::get(&caller.admin, request).await)
    }

    async fn create_model(&self, request: Request<v1::CreateModelRequest>) -> Answer<v1::Model> {
        let (caller, request) = self.admit(request)?;
        caller.answer(models::create(&caller.admin, request).await)
    }

    async fn update_model(&self, request: Request<v1::UpdateModelRequest>) -> Answer<v1::Model> {
        let (caller, request) = self.admit(request)?;
        caller.answer(models::update(&caller.admin, request).await)
    }

    async fn delete_model(&self, request: Request<v1::DeleteModelRequest>) -> Answer<()> {
        let (caller, request) = self.admit(request)?;
        caller.answer(models::delete(&caller.admin, request).await)
    }

    async fn list_model_providers(
        &self,
        request: Request<v1::ListModelProvidersRequest>,
    ) -> Answer<v1::ListModelProvidersResponse> {
        let (caller, request) = self.admit(request)?;
        caller.answer(model_providers::list(&caller.admin, request).await)
    }

    async fn get_model_provider(
        &self,
        request: Request<v1::GetModelProviderRequest>,
    ) -> Answer<v1::ModelProvider> {
        let (caller, request) = self.admit(request)?;
        caller.answer(model_providers::get(&caller.admin, request).await)
    }

    async fn create_model_provider(
        &self,
        request: Request<v1::CreateModelProviderRequest>,
    ) -> Answer<v1::ModelProvider> {
        let (caller, request) = self.admit(request)?;
        caller.answer(model_providers::create(&caller.admin, request).await)
    }

    async fn update_model_provider(
        &self,
        request: Request<v1::UpdateModelProviderRequest>,
    ) -> Answer<v1::ModelProvider> {
        let (caller, request) = self.admit(request)?;
        caller.answer(model_providers::update(&caller.admin, request).await)
    }

    async fn delete_model_provider(&self, request: Request<v1::DeleteModelProviderRequest>) -> Answer<()> {
        let (caller, request) = self.admit(request)?;
        caller.answer(model_providers::delete(&caller.admin, request).await)
    }

    async fn list_api_keys(
        &self,
        request: Request<v1::ListApiKeysRequest>,
    ) -> Answer<v1::ListApiKeysResponse> {
        let (caller, request) = self.admit(request)?;
        caller.answer(api_keys::list(&caller.admin, request).await)
    }

    async fn get_api_key(&self, request: Request<v1::GetApiKeyRequest>) -> Answer<v1::ApiKey> {
        let (caller, request) = self.admit(request)?;
        caller.answer(api_keys::get(&caller.admin, request).await)
    }

    async fn create_api_key(&self, request: Request<v1::CreateApiKeyRequest>) -> Answer<v1::ApiKey> {
        let (caller, request) = self.admit(request)?;
        caller.answer(api_keys::create(&caller.admin, request).await)
    }

    async fn update_api_key(&self, request: Request<v1::UpdateApiKeyRequest>) -> Answer<v1::ApiKey> {
        let (caller, request) = self.admit(request)?;
        caller.answer(api_keys::update(&caller.admin, request).await)
    }

    async fn delete_api_key(&self, request: Request<v1::DeleteApiKeyRequest>) -> Answer<()> {
        let (caller, request) = self.admit(request)?;
        caller.answer(api_keys::delete(&caller.admin, request).await)
    }

    async fn rotate_api_key(&self, request: Request<v1::RotateApiKeyRequest>) -> Answer<v1::ApiKey> {
        let (caller, request) = self.admit(request)?;
        caller.answer(api_keys::rotate(&caller.admin, request).await)
    }

    async fn list_teams(&self, request: Request<v1::ListTeamsRequest>) -> Answer<v1::ListTeamsResponse> {
        let (caller, request) = self.admit(request)?;
        caller.answer(teams::list(&caller.admin, request).await)
    }

    async fn get_team(&self, request: Request<v1::GetTeamRequest>) -> Answer<v1::Team> {
        let (caller, request) = self.admit(request)?;
        caller.answer(teams::get(&caller.admin, request).await)
    }

    async fn create_team(&self, request: Request<v1::CreateTeamRequest>) -> Answer<v1::Team> {
        let (caller, request) = self.admit(request)?;
        caller.answer(teams::create(&caller.admin, request).await)
    }

    async fn update_team(&self, request: Request<v1::UpdateTeamRequest>) -> Answer<v1::Team> {
        let (caller, request) = self.admit(request)?;
        caller.answer(teams::update(&caller.admin, request).await)
    }

    async fn delete_team(&self, request: Request<v1::DeleteTeamRequest>) -> Answer<()> {
        let (caller, request) = self.admit(request)?;
        caller.answer(teams::delete(&caller.admin, request).await)
    }

    async fn list_provider_health(
        &self,
        request: Request<v1::ListProviderHealthRequest>,
    ) -> Answer<v1::ListProviderHealthResponse> {
        let (caller, request) = self.admit(request)?;
        caller.answer(health::list(&caller.health, request).await)
    }

    async fn get_provider_health(
        &self,
        request: Request<v1::GetProviderHealthRequest>,
    ) -> Answer<v1::ProviderHealth> {
        let (caller, request) = self.admit(request)?;
        caller.answer(health::get(&caller.health, request).await)
    }

    async fn check_provider(&self, request: Request<v1::CheckProviderRequest>) -> Answer<v1::ProviderHealth> {
        let (caller, request) = self.admit(request)?;
        caller.answer(health::check(&caller.health, request).await)
    }

    async fn get_health_check_config(
        &self,
        request: Request<v1::GetHealthCheckConfigRequest>,
    ) -> Answer<v1::HealthCheckConfig> {
        let (caller, _) = self.admit(request)?;
        caller.answer(Ok(health::settings(&caller.health)))
    }

    async fn update_health_check_config(
        &self,
        request: Request<v1::UpdateHealthCheckConfigRequest>,
    ) -> Answer<v1::HealthCheckConfig> {
        let (caller, request) = self.admit(request)?;
        caller.answer(health::change_settings(&caller.health, request).await)
    }

    async fn list_breakers(
        &self,
        request: Request<v1::ListBreakersRequest>,
    ) -> Answer<v1::ListBreakersResponse> {
        let (caller, request) = self.admit(request)?;
        caller.answer(health::breakers(&caller.health, request).await)
    }

    async fn reset_breakers(&self, request: Request<v1::ResetBreakersRequest>) -> Answer<()> {
        let (caller, request) = self.admit(request)?;
        caller.answer(health::reset_breakers(&caller.health, request).await)
    }

    async fn get_queue(&self, request: Request<v1::GetQueueRequest>) -> Answer<v1::Queue> {
        let (caller, _) = self.admit(request)?;
        caller.answer(Ok(convert_status::queue(self.status.queue())))
    }

    async fn list_admin_keys(
        &self,
        request: Request<v1::ListAdminKeysRequest>,
    ) -> Answer<v1::ListAdminKeysResponse> {
        let (caller, request) = self.admit(request)?;
        caller.answer(admin_keys::list(&caller.admin, request).await)
    }

    async fn get_admin_key(&self, request: Request<v1::GetAdminKeyRequest>) -> Answer<v1::AdminKey> {
        let (caller, request) = self.admit(request)?;
        caller.answer(admin_keys::get(&caller.admin, request).await)
    }

    async fn create_admin_key(&self, request: Request<v1::CreateAdminKeyRequest>) -> Answer<v1::AdminKey> {
        let (caller, request) = self.admit(request)?;
        caller.answer(admin_keys::create(&caller.admin, request).await)
    }

    async fn update_admin_key(&self, request: Request<v1::UpdateAdminKeyRequest>) -> Answer<v1::AdminKey> {
        let (caller, request) = self.admit(request)?;
        caller.answer(admin_keys::update(&caller.admin, request).await)
    }

    async fn delete_admin_key(&self, request: Request<v1::DeleteAdminKeyRequest>) -> Answer<()> {
        let (caller, request) = self.admit(request)?;
        caller.answer(admin_keys::delete(&caller.admin, request).await)
    }

    async fn rotate_admin_key(&self, request: Request<v1::RotateAdminKeyRequest>) -> Answer<v1::AdminKey> {
        let (caller, request) = self.admit(request)?;
        caller.answer(admin_keys::rotate(&caller.admin, request).await)
    }

    async fn list_audit_log(
        &self,
        request: Request<v1::ListAuditLogRequest>,
    ) -> Answer<v1::ListAuditLogResponse> {
        let (caller, request) = self.admit(request)?;
        caller.answer(audit::list(&caller.admin, request).await)
    }

    async fn list_alerts(&self, request: Request<v1::ListAlertsRequest>) -> Answer<v1::ListAlertsResponse> {
        let (caller, request) = self.admit(request)?;
        caller.answer(alerts::list(&caller.admin, request).await)
    }

    async fn acknowledge_alert(&self, request: Request<v1::AcknowledgeAlertRequest>) -> Answer<v1::Alert> {
        let (caller, request) = self.admit(request)?;
        caller.answer(alerts::acknowledge(&caller.admin, request).await)
    }

    async fn get_session(&self, request: Request<v1::GetSessionRequest>) -> Answer<v1::Session> {
        let (caller, _) = self.admit(request)?;
        caller.answer(Ok(convert::session(&caller.session)))
    }

    async fn get_status(&self, request: Request<v1::GetStatusRequest>) -> Answer<v1::CoreStatus> {
        let desk = if self.is_open_to(&request) { self.desk.clone() } else { self.admit(request)?.0.health };
        let state = self.status.look(&desk).await;
        Ok(Response::new(convert_status::status(state, self.draining.is_cancelled())))
    }

    async fn list_prices(&self, request: Request<v1::ListPricesRequest>) -> Answer<v1::ListPricesResponse> {
        let (caller, request) = self.admit(request)?;
        caller.answer(prices::list(&caller.admin, request).await)
    }

    async fn get_price(&self, request: Request<v1::GetPriceRequest>) -> Answer<v1::Price> {
        let (caller, request) = self.admit(request)?;
        caller.answer(prices::get(&caller.admin, request).await)
    }

    async fn create_price(&self, request: Request<v1::CreatePriceRequest>) -> Answer<v1::Price> {
        let (caller, request) = self.admit(request)?;
        caller.answer(prices::create(&caller.admin, request).await)
    }

    async fn update_price(&self, request: Request<v1::UpdatePriceRequest>) -> Answer<v1::Price> {
        let (caller, request) = self.admit(request)?;
        caller.answer(prices::update(&caller.admin, request).await)
    }

    async fn delete_price(&self, request: Request<v1::DeletePriceRequest>) -> Answer<()> {
        let (caller, request) = self.admit(request)?;
        caller.answer(prices::delete(&caller.admin, request).await)
    }

    async fn list_request_logs(
        &self,
        request: Request<v1::ListRequestLogsRequest>,
    ) -> Answer<v1::ListRequestLogsResponse> {
        let (caller, request) = self.admit(request)?;
        caller.answer(logs::list(&caller.admin, request).await)
    }

    async fn get_request_log(&self, request: Request<v1::GetRequestLogRequest>) -> Answer<v1::RequestLog> {
        let (caller, request) = self.admit(request)?;
        if request.include_bodies {
            self.admins_only(&caller, "GetRequestLog with include_bodies")?;
        }
        caller.answer(logs::get(&caller.admin, request).await)
    }

    type ExportRequestLogsStream = logs::Messages<v1::ExportRequestLogsResponse>;

    async fn export_request_logs(
        &self,
        request: Request<v1::ExportRequestLogsRequest>,
    ) -> Answer<Self::ExportRequestLogsStream> {
        let (caller, request) = self.admit(request)?;
        caller.answer(
            logs::export(&caller.admin, request, caller.request_id.clone(), self.draining.clone()).await,
        )
    }

    type TailRequestLogsStream = logs::Messages<v1::TailRequestLogsResponse>;

    async fn tail_request_logs(
        &self,
        request: Request<v1::TailRequestLogsRequest>,
    ) -> Answer<Self::TailRequestLogsStream> {
        let (caller, request) = self.admit(request)?;
        caller.answer(logs::tail(&caller.admin, request, self.draining.clone()).await)
    }

    async fn purge_request_logs(
        &self,
        request: Request<v1::PurgeRequestLogsRequest>,
    ) -> Answer<v1::PurgeRequestLogsResponse> {
        let (caller, request) = self.admit(request)?;
        caller.answer(logs::purge(&caller.admin, request).await)
    }

    async fn get_retention(&self, request: Request<v1::GetRetentionRequest>) -> Answer<v1::Retention> {
        let (caller, _) = self.admit(request)?;
        caller.answer(logs::retention(&caller.admin).await)
    }

    async fn update_retention(&self, request: Request<v1::UpdateRetentionRequest>) -> Answer<v1::Retention> {
        let (caller, request) = self.admit(request)?;
        caller.answer(logs::change_retention(&caller.admin, request).await)
    }

    async fn get_stats(&self, request: Request<v1::GetStatsRequest>) -> Answer<v1::Stats> {
        let (caller, request) = self.admit(request)?;
        caller.answer(stats::get(&caller.admin, request).await)
    }

    async fn list_usage(&self, request: Request<v1::ListUsageRequest>) -> Answer<v1::ListUsageResponse> {
        let (caller, request) = self.admit(request)?;
        caller.answer(stats::usage(&caller.admin, request).await)
    }

    async fn list_provider_stats(
        &self,
        request: Request<v1::ListProviderStatsRequest>,
    ) -> Answer<v1::ListProviderStatsResponse> {
        let (caller, request) = self.admit(request)?;
        caller.answer(stats::providers(&caller.admin, request).await)
    }

    async fn list_model_provider_outcomes(
        &self,
        request: Request<v1::ListModelProviderOutcomesRequest>,
    ) -> Answer<v1::ListModelProviderOutcomesResponse> {
        let (caller, request) = self.admit(request)?;
        caller.answer(stats::outcomes(&caller.admin, request).await)
    }

    async fn export_config(&self, request: Request<v1::ExportConfigRequest>) -> Answer<v1::ConfigDocument> {
        let (caller, request) = self.admit(request)?;
        if request.passphrase.is_some() {
            self.admins_only(&caller, "ExportConfig with secrets")?;
        }
        caller.answer(transfer::export(&caller.admin, request).await)
    }

    async fn import_config(&self, request: Request<v1::ImportConfigRequest>) -> Answer<v1::ConfigReport> {
        let (caller, request) = self.admit(request)?;
        if transfer::has_secrets(&request.document_json) {
            self.admins_only(&caller, "ImportConfig with secrets")?;
        }
        caller.answer(transfer::import(&caller.admin, request).await)
    }

    async fn apply_config(&self, request: Request<v1::ApplyConfigRequest>) -> Answer<v1::ConfigReport> {
        let (caller, request) = self.admit(request)?;
        if transfer::has_secrets(&request.document_json) {
            self.admins_only(&caller, "ApplyConfig with secrets")?;
        }
        caller.answer(transfer::apply(&caller.admin, request).await)
    }

    async fn reload(&self, request: Request<v1::ReloadRequest>) -> Answer<v1::ConfigReport> {
        let (caller, _) = self.admit(request)?;
        caller.answer(transfer::reload(&caller.admin, &self.reload, &self.declared).await.map(reloaded))
    }

    async fn get_log_level(&self, request: Request<v1::GetLogLevelRequest>) -> Answer<v1::LogLevel> {
        log_level::get(self.admit(request)?)
    }

    async fn set_log_level(&self, request: Request<v1::SetLogLevelRequest>) -> Answer<v1::LogLevel> {
        log_level::set(self.admit(request)?).await
    }
}

#[cfg(test)]
mod tests;
