//! What the tests of this crate share: requests as the layers leave them, and all services together.

use std::sync::Arc;

use futures_util::stream::Pending;
use http::HeaderName;
use orchestrator_base::{
    clock::Clock,
    config::{self, Limits},
    curfew::Curfew,
    random::Random,
    tls,
};
use orchestrator_core::{
    admission::gate::Gate,
    condition::{ConditionRules, Conditions},
    ledger::{Ledger, journal::Journal},
    orchestrator::{Drains, Orchestrator, Shared},
    origins::LocalOrigins,
    policy::estimate::Estimates,
    recording::claims::Claims,
    shared_state::{NothingSpent, SharedState},
};
use orchestrator_proto::v1::{self, admin_server::Admin};
use tonic::{Request, Response, Status, body::Body};

use crate::{
    convert::edges::EdgeSource,
    edges::EdgesService,
    health::Health,
    layers::{deadline, key, trace::RequestId},
    orchestrate::OrchestrateService,
    routes::{Reflection, Services},
};

/// A request with this metadata, as the layers hand it to a handler. Without an `x-request-id` it is called `test`.
pub(crate) fn layered<T>(message: T, metadata: &[(&'static str, &'static str)]) -> Request<T> {
    let mut raw = http::Request::new(Body::empty());
    for (name, value) in metadata {
        raw.headers_mut().append(HeaderName::from_static(name), value.parse().unwrap());
    }
    let id = raw.headers().get("x-request-id").cloned().unwrap_or_else(|| "test".parse().unwrap());
    raw.extensions_mut().insert(RequestId::from_caller(&id).unwrap());
    Request::from_http(key::collect(deadline::note(raw))).map(|_| message)
}

/// All services around a core, healthy.
pub(crate) async fn services(reflection: Reflection, limits: Limits) -> Services<NoAdmin> {
    let health = Health::starting().await;
    health.set_serving(true).await;
    Services {
        orchestrate: OrchestrateService::new(core(|_| {}), limits),
        admin: NoAdmin,
        edges: EdgesService::new(EdgeSource::new(Arc::default(), Clock::system())),
        health,
        reflection,
        clock: Clock::system(),
        random: Random::seeded(1),
    }
}

/// A core with an empty catalog, unless `set` says otherwise: it knows no caller and no model.
pub(crate) fn core(set: impl FnOnce(&mut Shared)) -> Arc<Orchestrator> {
    tls::install_crypto();
    let folder = tempfile::tempdir().unwrap();
    let journal =
        Journal::open(folder.path(), "test", uuid::Uuid::nil(), &config::Journal::default()).unwrap();
    let (clock, random) = (Clock::system(), Random::seeded(1));
    let mut shared = Shared {
        catalog: Arc::default(),
        ledger: Ledger::new(Arc::new(journal), clock.clone(), random.clone()),
        shared_state: SharedState::local(Arc::new(NothingSpent)),
        estimates: Estimates::default().into(),
        gate: Gate::new(&config::Admission::default()),
        drains: Drains::default(),
        curfew: Curfew::default(),
        claims: Claims::new(&config::Idempotency::default(), None),
        origins: Arc::new(LocalOrigins::default()),
        conditions: Conditions::new(ConditionRules::default(), clock.clone(), random.clone()),
        clock,
        random,
        limits: Limits::default(),
        stream: config::Stream::default().into(),
        deny_private: false,
    };
    set(&mut shared);
    Orchestrator::for_thread(Arc::new(shared))
}

/// An Admin that does nothing: its handlers have tests of their own.
#[derive(Debug)]
pub(crate) struct NoAdmin;

macro_rules! do_nothing {
    ($($method:ident($request:ident) -> $response:ty;)*) => {
        #[tonic::async_trait]
        impl Admin for NoAdmin {
            type ExportRequestLogsStream = Pending<Result<v1::ExportRequestLogsResponse, Status>>;
            type TailRequestLogsStream = Pending<Result<v1::TailRequestLogsResponse, Status>>;

            $(async fn $method(&self, _: Request<v1::$request>) -> Result<Response<$response>, Status> {
                Err(Status::unimplemented(stringify!($method)))
            })*
        }
    };
}

do_nothing! {
    list_providers(ListProvidersRequest) -> v1::ListProvidersResponse;
    get_provider(GetProviderRequest) -> v1::Provider;
    create_provider(CreateProviderRequest) -> v1::Provider;
    update_provider(UpdateProviderRequest) -> v1::Provider;
    delete_provider(DeleteProviderRequest) -> ();
    list_provider_keys(ListProviderKeysRequest) -> v1::ListProviderKeysResponse;
    get_provider_key(GetProviderKeyRequest) -> v1::ProviderKey;
    create_provider_key(CreateProviderKeyRequest) -> v1::ProviderKey;
    update_provider_key(UpdateProviderKeyRequest) -> v1::ProviderKey;
    delete_provider_key(DeleteProviderKeyRequest) -> ();
    list_models(ListModelsRequest) -> v1::ListModelsResponse;
    get_model(GetModelRequest) -> v1::Model;
    create_model(CreateModelRequest) -> v1::Model;
    update_model(UpdateModelRequest) -> v1::Model;
    delete_model(DeleteModelRequest) -> ();
    list_model_providers(ListModelProvidersRequest) -> v1::ListModelProvidersResponse;
    get_model_provider(GetModelProviderRequest) -> v1::ModelProvider;
    create_model_provider(CreateModelProviderRequest) -> v1::ModelProvider;
    update_model_provider(UpdateModelProviderRequest) -> v1::ModelProvider;
    delete_model_provider(DeleteModelProviderRequest) -> ();
    list_api_keys(ListApiKeysRequest) -> v1::ListApiKeysResponse;
    get_api_key(GetApiKeyRequest) -> v1::ApiKey;
    create_api_key(CreateApiKeyRequest) -> v1::ApiKey;
    update_api_key(UpdateApiKeyRequest) -> v1::ApiKey;
    delete_api_key(DeleteApiKeyRequest) -> ();
    rotate_api_key(RotateApiKeyRequest) -> v1::ApiKey;
    list_teams(ListTeamsRequest) -> v1::ListTeamsResponse;
    get_team(GetTeamRequest) -> v1::Team;
    create_team(CreateTeamRequest) -> v1::Team;
    update_team(UpdateTeamRequest) -> v1::Team;
    delete_team(DeleteTeamRequest) -> ();
    list_provider_health(ListProviderHealthRequest) -> v1::ListProviderHealthResponse;
    get_provider_health(GetProviderHealthRequest) -> v1::ProviderHealth;
    check_provider(CheckProviderRequest) -> v1::ProviderHealth;
    get_health_check_config(GetHealthCheckConfigRequest) -> v1::HealthCheckConfig;
    update_health_check_config(UpdateHealthCheckConfigRequest) -> v1::HealthCheckConfig;
    list_breakers(ListBreakersRequest) -> v1::ListBreakersResponse;
    reset_breakers(ResetBreakersRequest) -> ();
    get_queue(GetQueueRequest) -> v1::Queue;
    list_prices(ListPricesRequest) -> v1::ListPricesResponse;
    get_price(GetPriceRequest) -> v1::Price;
    create_price(CreatePriceRequest) -> v1::Price;
    update_price(UpdatePriceRequest) -> v1::Price;
    delete_price(DeletePriceRequest) -> ();
    list_request_logs(ListRequestLogsRequest) -> v1::ListRequestLogsResponse;
    get_request_log(GetRequestLogRequest) -> v1::RequestLog;
    export_request_logs(ExportRequestLogsRequest) -> Self::ExportRequestLogsStream;
    tail_request_logs(TailRequestLogsRequest) -> Self::TailRequestLogsStream;
    purge_request_logs(PurgeRequestLogsRequest) -> v1::PurgeRequestLogsResponse;
    get_retention(GetRetentionRequest) -> v1::Retention;
    update_retention(UpdateRetentionRequest) -> v1::Retention;
    get_stats(GetStatsRequest) -> v1::Stats;
    list_usage(ListUsageRequest) -> v1::ListUsageResponse;
    list_provider_stats(ListProviderStatsRequest) -> v1::ListProviderStatsResponse;
    list_model_provider_outcomes(ListModelProviderOutcomesRequest) -> v1::ListModelProviderOutcomesResponse;
    export_config(ExportConfigRequest) -> v1::ConfigDocument;
    import_config(ImportConfigRequest) -> v1::ConfigReport;
    apply_config(ApplyConfigRequest) -> v1::ConfigReport;
    reload(ReloadRequest) -> v1::ConfigReport;
    get_log_level(GetLogLevelRequest) -> v1::LogLevel;
    set_log_level(SetLogLevelRequest) -> v1::LogLevel;
    list_admin_keys(ListAdminKeysRequest) -> v1::ListAdminKeysResponse;
    get_admin_key(GetAdminKeyRequest) -> v1::AdminKey;
    create_admin_key(CreateAdminKeyRequest) -> v1::AdminKey;
    update_admin_key(UpdateAdminKeyRequest) -> v1::AdminKey;
    delete_admin_key(DeleteAdminKeyRequest) -> ();
    rotate_admin_key(RotateAdminKeyRequest) -> v1::AdminKey;
    list_alerts(ListAlertsRequest) -> v1::ListAlertsResponse;
    acknowledge_alert(AcknowledgeAlertRequest) -> v1::Alert;
    list_audit_log(ListAuditLogRequest) -> v1::ListAuditLogResponse;
    get_session(GetSessionRequest) -> v1::Session;
    get_status(GetStatusRequest) -> v1::CoreStatus;
}
