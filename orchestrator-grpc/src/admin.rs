//! The service `Admin`. Each method lets its caller in, and hands the message to its noun.

mod api_keys;
mod auth;
mod health;
mod logs;
mod model_providers;
mod models;
mod prices;
mod provider_keys;
mod providers;
mod queue;
mod stats;
mod transfer;

use std::sync::Arc;

use orchestrator_core::{
    admin::{Admin, AdminAuth, health::HealthDesk},
    admission::gate::Gate,
    error::Result,
};
use orchestrator_proto::v1::{self, admin_server};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::status::to_status;

/// The service, over the core's [`Admin`] and its [`HealthDesk`].
#[derive(Clone)]
pub struct AdminService {
    admin: Arc<Admin>,
    health: HealthDesk,
    auth: AdminAuth,
    gate: Arc<Gate>,
    draining: CancellationToken,
}

type Answer<T> = std::result::Result<Response<T>, Status>;

impl AdminService {
    /// Serves `admin` to whoever `auth` lets in, and shows how `gate` stands.
    pub fn new(admin: Arc<Admin>, health: HealthDesk, auth: AdminAuth, gate: Arc<Gate>) -> Self {
        Self { admin, health, auth, gate, draining: CancellationToken::new() }
    }

    /// Ends its streams when `draining` begins.
    #[must_use]
    pub fn until(self, draining: CancellationToken) -> Self {
        Self { draining, ..self }
    }

    /// Every method begins here: without an admin key nothing is even decoded further.
    fn admit<T>(&self, request: Request<T>) -> std::result::Result<(Trace, T), Status> {
        let trace = Trace::of(&request);
        match auth::check(&self.auth, request.metadata()) {
            Ok(()) => Ok((trace, request.into_inner())),
            Err(error) => Err(to_status(&error, &trace.request_id)),
        }
    }
}

/// What connects an answer with its request.
#[derive(Clone)]
struct Trace {
    request_id: String,
}

impl Trace {
    fn of<T>(request: &Request<T>) -> Self {
        let id = request.metadata().get("x-request-id").and_then(|id| id.to_str().ok());
        Self { request_id: id.unwrap_or_default().to_owned() }
    }

    fn answer<T>(&self, outcome: Result<T>) -> Answer<T> {
        outcome.map(Response::new).map_err(|error| to_status(&error, &self.request_id))
    }
}

#[tonic::async_trait]
impl admin_server::Admin for AdminService {
    async fn list_providers(
        &self,
        request: Request<v1::ListProvidersRequest>,
    ) -> Answer<v1::ListProvidersResponse> {
        let (trace, request) = self.admit(request)?;
        trace.answer(providers::list(&self.admin, request).await)
    }

    async fn get_provider(&self, request: Request<v1::GetProviderRequest>) -> Answer<v1::Provider> {
        let (trace, request) = self.admit(request)?;
        trace.answer(providers::get(&self.admin, request).await)
    }

    async fn create_provider(&self, request: Request<v1::CreateProviderRequest>) -> Answer<v1::Provider> {
        let (trace, request) = self.admit(request)?;
        trace.answer(providers::create(&self.admin, request).await)
    }

    async fn update_provider(&self, request: Request<v1::UpdateProviderRequest>) -> Answer<v1::Provider> {
        let (trace, request) = self.admit(request)?;
        trace.answer(providers::update(&self.admin, request).await)
    }

    async fn delete_provider(&self, request: Request<v1::DeleteProviderRequest>) -> Answer<()> {
        let (trace, request) = self.admit(request)?;
        trace.answer(providers::delete(&self.admin, request).await)
    }

    async fn list_provider_keys(
        &self,
        request: Request<v1::ListProviderKeysRequest>,
    ) -> Answer<v1::ListProviderKeysResponse> {
        let (trace, request) = self.admit(request)?;
        trace.answer(provider_keys::list(&self.admin, request).await)
    }

    async fn get_provider_key(&self, request: Request<v1::GetProviderKeyRequest>) -> Answer<v1::ProviderKey> {
        let (trace, request) = self.admit(request)?;
        trace.answer(provider_keys::get(&self.admin, request).await)
    }

    async fn create_provider_key(
        &self,
        request: Request<v1::CreateProviderKeyRequest>,
    ) -> Answer<v1::ProviderKey> {
        let (trace, request) = self.admit(request)?;
        trace.answer(provider_keys::create(&self.admin, request).await)
    }

    async fn update_provider_key(
        &self,
        request: Request<v1::UpdateProviderKeyRequest>,
    ) -> Answer<v1::ProviderKey> {
        let (trace, request) = self.admit(request)?;
        trace.answer(provider_keys::update(&self.admin, request).await)
    }

    async fn delete_provider_key(&self, request: Request<v1::DeleteProviderKeyRequest>) -> Answer<()> {
        let (trace, request) = self.admit(request)?;
        trace.answer(provider_keys::delete(&self.admin, request).await)
    }

    async fn list_models(&self, request: Request<v1::ListModelsRequest>) -> Answer<v1::ListModelsResponse> {
        let (trace, request) = self.admit(request)?;
        trace.answer(models::list(&self.admin, request).await)
    }

    async fn get_model(&self, request: Request<v1::GetModelRequest>) -> Answer<v1::Model> {
        let (trace, request) = self.admit(request)?;
        trace.answer(models::get(&self.admin, request).await)
    }

    async fn create_model(&self, request: Request<v1::CreateModelRequest>) -> Answer<v1::Model> {
        let (trace, request) = self.admit(request)?;
        trace.answer(models::create(&self.admin, request).await)
    }

    async fn update_model(&self, request: Request<v1::UpdateModelRequest>) -> Answer<v1::Model> {
        let (trace, request) = self.admit(request)?;
        trace.answer(models::update(&self.admin, request).await)
    }

    async fn delete_model(&self, request: Request<v1::DeleteModelRequest>) -> Answer<()> {
        let (trace, request) = self.admit(request)?;
        trace.answer(models::delete(&self.admin, request).await)
    }

    async fn list_model_providers(
        &self,
        request: Request<v1::ListModelProvidersRequest>,
    ) -> Answer<v1::ListModelProvidersResponse> {
        let (trace, request) = self.admit(request)?;
        trace.answer(model_providers::list(&self.admin, request).await)
    }

    async fn get_model_provider(
        &self,
        request: Request<v1::GetModelProviderRequest>,
    ) -> Answer<v1::ModelProvider> {
        let (trace, request) = self.admit(request)?;
        trace.answer(model_providers::get(&self.admin, request).await)
    }

    async fn create_model_provider(
        &self,
        request: Request<v1::CreateModelProviderRequest>,
    ) -> Answer<v1::ModelProvider> {
        let (trace, request) = self.admit(request)?;
        trace.answer(model_providers::create(&self.admin, request).await)
    }

    async fn update_model_provider(
        &self,
        request: Request<v1::UpdateModelProviderRequest>,
    ) -> Answer<v1::ModelProvider> {
        let (trace, request) = self.admit(request)?;
        trace.answer(model_providers::update(&self.admin, request).await)
    }

    async fn delete_model_provider(&self, request: Request<v1::DeleteModelProviderRequest>) -> Answer<()> {
        let (trace, request) = self.admit(request)?;
        trace.answer(model_providers::delete(&self.admin, request).await)
    }

    async fn list_api_keys(
        &self,
        request: Request<v1::ListApiKeysRequest>,
    ) -> Answer<v1::ListApiKeysResponse> {
        let (trace, request) = self.admit(request)?;
        trace.answer(api_keys::list(&self.admin, request).await)
    }

    async fn get_api_key(&self, request: Request<v1::GetApiKeyRequest>) -> Answer<v1::ApiKey> {
        let (trace, request) = self.admit(request)?;
        trace.answer(api_keys::get(&self.admin, request).await)
    }

    async fn create_api_key(&self, request: Request<v1::CreateApiKeyRequest>) -> Answer<v1::ApiKey> {
        let (trace, request) = self.admit(request)?;
        trace.answer(api_keys::create(&self.admin, request).await)
    }

    async fn update_api_key(&self, request: Request<v1::UpdateApiKeyRequest>) -> Answer<v1::ApiKey> {
        let (trace, request) = self.admit(request)?;
        trace.answer(api_keys::update(&self.admin, request).await)
    }

    async fn delete_api_key(&self, request: Request<v1::DeleteApiKeyRequest>) -> Answer<()> {
        let (trace, request) = self.admit(request)?;
        trace.answer(api_keys::delete(&self.admin, request).await)
    }

    async fn list_provider_health(
        &self,
        request: Request<v1::ListProviderHealthRequest>,
    ) -> Answer<v1::ListProviderHealthResponse> {
        let (trace, request) = self.admit(request)?;
        trace.answer(health::list(&self.health, request).await)
    }

    async fn get_provider_health(
        &self,
        request: Request<v1::GetProviderHealthRequest>,
    ) -> Answer<v1::ProviderHealth> {
        let (trace, request) = self.admit(request)?;
        trace.answer(health::get(&self.health, request).await)
    }

    async fn check_provider(&self, request: Request<v1::CheckProviderRequest>) -> Answer<v1::ProviderHealth> {
        let (trace, request) = self.admit(request)?;
        trace.answer(health::check(&self.health, request).await)
    }

    async fn get_health_check_config(
        &self,
        request: Request<v1::GetHealthCheckConfigRequest>,
    ) -> Answer<v1::HealthCheckConfig> {
        let (trace, _) = self.admit(request)?;
        trace.answer(Ok(health::settings(&self.health)))
    }

    async fn update_health_check_config(
        &self,
        request: Request<v1::UpdateHealthCheckConfigRequest>,
    ) -> Answer<v1::HealthCheckConfig> {
        let (trace, request) = self.admit(request)?;
        trace.answer(health::change_settings(&self.health, request).await)
    }

    async fn list_breakers(
        &self,
        request: Request<v1::ListBreakersRequest>,
    ) -> Answer<v1::ListBreakersResponse> {
        let (trace, request) = self.admit(request)?;
        trace.answer(health::breakers(&self.health, request).await)
    }

    async fn reset_breakers(&self, request: Request<v1::ResetBreakersRequest>) -> Answer<()> {
        let (trace, request) = self.admit(request)?;
        trace.answer(health::reset_breakers(&self.health, request).await)
    }

    async fn get_queue(&self, request: Request<v1::GetQueueRequest>) -> Answer<v1::Queue> {
        let (trace, _) = self.admit(request)?;
        trace.answer(Ok(queue::show(&self.gate)))
    }

    async fn list_prices(&self, request: Request<v1::ListPricesRequest>) -> Answer<v1::ListPricesResponse> {
        let (trace, request) = self.admit(request)?;
        trace.answer(prices::list(&self.admin, request).await)
    }

    async fn get_price(&self, request: Request<v1::GetPriceRequest>) -> Answer<v1::Price> {
        let (trace, request) = self.admit(request)?;
        trace.answer(prices::get(&self.admin, request).await)
    }

    async fn create_price(&self, request: Request<v1::CreatePriceRequest>) -> Answer<v1::Price> {
        let (trace, request) = self.admit(request)?;
        trace.answer(prices::create(&self.admin, request).await)
    }

    async fn update_price(&self, request: Request<v1::UpdatePriceRequest>) -> Answer<v1::Price> {
        let (trace, request) = self.admit(request)?;
        trace.answer(prices::update(&self.admin, request).await)
    }

    async fn delete_price(&self, request: Request<v1::DeletePriceRequest>) -> Answer<()> {
        let (trace, request) = self.admit(request)?;
        trace.answer(prices::delete(&self.admin, request).await)
    }

    async fn list_request_logs(
        &self,
        request: Request<v1::ListRequestLogsRequest>,
    ) -> Answer<v1::ListRequestLogsResponse> {
        let (trace, request) = self.admit(request)?;
        trace.answer(logs::list(&self.admin, request).await)
    }

    async fn get_request_log(&self, request: Request<v1::GetRequestLogRequest>) -> Answer<v1::RequestLog> {
        let (trace, request) = self.admit(request)?;
        trace.answer(logs::get(&self.admin, request).await)
    }

    type ExportRequestLogsStream = logs::Messages<v1::ExportRequestLogsResponse>;

    async fn export_request_logs(
        &self,
        request: Request<v1::ExportRequestLogsRequest>,
    ) -> Answer<Self::ExportRequestLogsStream> {
        let (trace, request) = self.admit(request)?;
        trace.answer(logs::export(&self.admin, request, trace.clone(), self.draining.clone()).await)
    }

    type TailRequestLogsStream = logs::Messages<v1::TailRequestLogsResponse>;

    async fn tail_request_logs(
        &self,
        request: Request<v1::TailRequestLogsRequest>,
    ) -> Answer<Self::TailRequestLogsStream> {
        let (trace, request) = self.admit(request)?;
        trace.answer(logs::tail(&self.admin, request, self.draining.clone()).await)
    }

    async fn purge_request_logs(
        &self,
        request: Request<v1::PurgeRequestLogsRequest>,
    ) -> Answer<v1::PurgeRequestLogsResponse> {
        let (trace, request) = self.admit(request)?;
        trace.answer(logs::purge(&self.admin, request).await)
    }

    async fn get_retention(&self, request: Request<v1::GetRetentionRequest>) -> Answer<v1::Retention> {
        let (trace, _) = self.admit(request)?;
        trace.answer(logs::retention(&self.admin).await)
    }

    async fn update_retention(&self, request: Request<v1::UpdateRetentionRequest>) -> Answer<v1::Retention> {
        let (trace, request) = self.admit(request)?;
        trace.answer(logs::change_retention(&self.admin, request).await)
    }

    async fn get_stats(&self, request: Request<v1::GetStatsRequest>) -> Answer<v1::Stats> {
        let (trace, request) = self.admit(request)?;
        trace.answer(stats::get(&self.admin, request).await)
    }

    async fn list_usage(&self, request: Request<v1::ListUsageRequest>) -> Answer<v1::ListUsageResponse> {
        let (trace, request) = self.admit(request)?;
        trace.answer(stats::usage(&self.admin, request).await)
    }

    async fn list_provider_stats(
        &self,
        request: Request<v1::ListProviderStatsRequest>,
    ) -> Answer<v1::ListProviderStatsResponse> {
        let (trace, request) = self.admit(request)?;
        trace.answer(stats::providers(&self.admin, request).await)
    }

    async fn list_model_provider_outcomes(
        &self,
        request: Request<v1::ListModelProviderOutcomesRequest>,
    ) -> Answer<v1::ListModelProviderOutcomesResponse> {
        let (trace, request) = self.admit(request)?;
        trace.answer(stats::outcomes(&self.admin, request).await)
    }

    async fn export_config(&self, request: Request<v1::ExportConfigRequest>) -> Answer<v1::ConfigDocument> {
        let (trace, request) = self.admit(request)?;
        trace.answer(transfer::export(&self.admin, request).await)
    }

    async fn import_config(&self, request: Request<v1::ImportConfigRequest>) -> Answer<v1::ConfigReport> {
        let (trace, request) = self.admit(request)?;
        trace.answer(transfer::import(&self.admin, request).await)
    }

    async fn apply_config(&self, request: Request<v1::ApplyConfigRequest>) -> Answer<v1::ConfigReport> {
        let (trace, request) = self.admit(request)?;
        trace.answer(transfer::apply(&self.admin, request).await)
    }
}

#[cfg(test)]
mod tests;
