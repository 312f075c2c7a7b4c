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
mod provider_models;
mod providers;
mod roles;
mod service;
mod spending;
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

/// Writes the service: a row for each method that only lets its caller in and hands the message on, with the handle that its noun works
/// on (`admin` or `health`), and in braces those that do more. One block, for a trait is implemented at once.
macro_rules! service {
    ($($method:ident($request:ident) -> $answer:ty = $handle:ident: $noun:path;)+ { $($more:tt)+ }) => {
        #[tonic::async_trait]
        impl admin_server::Admin for AdminService {
            $(async fn $method(&self, request: Request<v1::$request>) -> Answer<$answer> {
                let (caller, request) = self.admit(request)?;
                caller.answer($noun(&caller.$handle, request).await)
            })+

            $($more)+
        }
    };
}

#[rustfmt::skip]
service! {
    list_providers(ListProvidersRequest) -> v1::ListProvidersResponse = admin: providers::list;
    get_provider(GetProviderRequest) -> v1::Provider = admin: providers::get;
    create_provider(CreateProviderRequest) -> v1::Provider = admin: providers::create;
    update_provider(UpdateProviderRequest) -> v1::Provider = admin: providers::update;
    delete_provider(DeleteProviderRequest) -> () = admin: providers::delete;
    list_provider_keys(ListProviderKeysRequest) -> v1::ListProviderKeysResponse = admin: provider_keys::list;
    get_provider_key(GetProviderKeyRequest) -> v1::ProviderKey = admin: provider_keys::get;
    create_provider_key(CreateProviderKeyRequest) -> v1::ProviderKey = admin: provider_keys::create;
    update_provider_key(UpdateProviderKeyRequest) -> v1::ProviderKey = admin: provider_keys::update;
    delete_provider_key(DeleteProviderKeyRequest) -> () = admin: provider_keys::delete;
    list_models(ListModelsRequest) -> v1::ListModelsResponse = admin: models::list;
    get_model(GetModelRequest) -> v1::Model = admin: models::get;
    create_model(CreateModelRequest) -> v1::Model = admin: models::create;
    update_model(UpdateModelRequest) -> v1::Model = admin: models::update;
    delete_model(DeleteModelRequest) -> () = admin: models::delete;
    list_model_providers(ListModelProvidersRequest) -> v1::ListModelProvidersResponse = admin: model_providers::list;
    get_model_provider(GetModelProviderRequest) -> v1::ModelProvider = admin: model_providers::get;
    create_model_provider(CreateModelProviderRequest) -> v1::ModelProvider = admin: model_providers::create;
    update_model_provider(UpdateModelProviderRequest) -> v1::ModelProvider = admin: model_providers::update;
    delete_model_provider(DeleteModelProviderRequest) -> () = admin: model_providers::delete;
    list_api_keys(ListApiKeysRequest) -> v1::ListApiKeysResponse = admin: api_keys::list;
    get_api_key(GetApiKeyRequest) -> v1::ApiKey = admin: api_keys::get;
    create_api_key(CreateApiKeyRequest) -> v1::ApiKey = admin: api_keys::create;
    update_api_key(UpdateApiKeyRequest) -> v1::ApiKey = admin: api_keys::update;
    delete_api_key(DeleteApiKeyRequest) -> () = admin: api_keys::delete;
    rotate_api_key(RotateApiKeyRequest) -> v1::ApiKey = admin: api_keys::rotate;
    list_teams(ListTeamsRequest) -> v1::ListTeamsResponse = admin: teams::list;
    get_team(GetTeamRequest) -> v1::Team = admin: teams::get;
    create_team(CreateTeamRequest) -> v1::Team = admin: teams::create;
    update_team(UpdateTeamRequest) -> v1::Team = admin: teams::update;
    delete_team(DeleteTeamRequest) -> () = admin: teams::delete;
    list_provider_health(ListProviderHealthRequest) -> v1::ListProviderHealthResponse = health: health::list;
    get_provider_health(GetProviderHealthRequest) -> v1::ProviderHealth = health: health::get;
    check_provider(CheckProviderRequest) -> v1::ProviderHealth = health: health::check;
    list_provider_models(ListProviderModelsRequest) -> v1::ListProviderModelsResponse = health: provider_models::list;
    import_provider_models(ImportProviderModelsRequest) -> v1::ImportProviderModelsResponse = health: provider_models::import;
    test_provider_tools(TestProviderToolsRequest) -> v1::TestProviderToolsResponse = health: provider_models::test_tools;
    update_health_check_config(UpdateHealthCheckConfigRequest) -> v1::HealthCheckConfig = health: health::change_settings;
    list_breakers(ListBreakersRequest) -> v1::ListBreakersResponse = health: health::breakers;
    reset_breakers(ResetBreakersRequest) -> () = health: health::reset_breakers;
    list_admin_keys(ListAdminKeysRequest) -> v1::ListAdminKeysResponse = admin: admin_keys::list;
    get_admin_key(GetAdminKeyRequest) -> v1::AdminKey = admin: admin_keys::get;
    create_admin_key(CreateAdminKeyRequest) -> v1::AdminKey = admin: admin_keys::create;
    update_admin_key(UpdateAdminKeyRequest) -> v1::AdminKey = admin: admin_keys::update;
    delete_admin_key(DeleteAdminKeyRequest) -> () = admin: admin_keys::delete;
    rotate_admin_key(RotateAdminKeyRequest) -> v1::AdminKey = admin: admin_keys::rotate;
    list_audit_log(ListAuditLogRequest) -> v1::ListAuditLogResponse = admin: audit::list;
    list_alerts(ListAlertsRequest) -> v1::ListAlertsResponse = admin: alerts::list;
    acknowledge_alert(AcknowledgeAlertRequest) -> v1::Alert = admin: alerts::acknowledge;
    list_prices(ListPricesRequest) -> v1::ListPricesResponse = admin: prices::list;
    get_price(GetPriceRequest) -> v1::Price = admin: prices::get;
    create_price(CreatePriceRequest) -> v1::Price = admin: prices::create;
    update_price(UpdatePriceRequest) -> v1::Price = admin: prices::update;
    delete_price(DeletePriceRequest) -> () = admin: prices::delete;
    list_request_logs(ListRequestLogsRequest) -> v1::ListRequestLogsResponse = admin: logs::list;
    purge_request_logs(PurgeRequestLogsRequest) -> v1::PurgeRequestLogsResponse = admin: logs::purge;
    update_retention(UpdateRetentionRequest) -> v1::Retention = admin: logs::change_retention;
    get_stats(GetStatsRequest) -> v1::Stats = admin: stats::get;
    list_usage(ListUsageRequest) -> v1::ListUsageResponse = admin: stats::usage;
    list_provider_stats(ListProviderStatsRequest) -> v1::ListProviderStatsResponse = admin: stats::providers;
    list_model_provider_outcomes(ListModelProviderOutcomesRequest) -> v1::ListModelProviderOutcomesResponse = admin: stats::outcomes;

    {
    async fn get_health_check_config(
        &self,
        request: Request<v1::GetHealthCheckConfigRequest>,
    ) -> Answer<v1::HealthCheckConfig> {
        let (caller, _) = self.admit(request)?;
        caller.answer(Ok(health::settings(&caller.health)))
    }

    async fn get_queue(&self, request: Request<v1::GetQueueRequest>) -> Answer<v1::Queue> {
        let (caller, _) = self.admit(request)?;
        caller.answer(Ok(convert_status::queue(self.status.queue())))
    }

    async fn create_session(&self, request: Request<v1::CreateSessionRequest>) -> Answer<v1::Session> {
        let (caller, _) = self.admit(request)?;
        let created = caller.admin.create_session(&caller.session).await;
        caller.answer(created.map(|created| convert::signed_in(&created)))
    }

    async fn delete_session(&self, request: Request<v1::DeleteSessionRequest>) -> Answer<()> {
        let (caller, _) = self.admit(request)?;
        caller.answer(caller.admin.end_session(&caller.session).await)
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

    async fn get_retention(&self, request: Request<v1::GetRetentionRequest>) -> Answer<v1::Retention> {
        let (caller, _) = self.admit(request)?;
        caller.answer(logs::retention(&caller.admin).await)
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
}

#[cfg(test)]
mod tests;
