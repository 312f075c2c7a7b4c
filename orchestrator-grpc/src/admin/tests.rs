//! The service as its callers meet it, over a real store.

mod isolation;

use std::sync::Arc;

use orchestrator_base::{
    clock::{Clock, UnixMicros},
    config::{Admission, ProviderRules, Timeouts},
    random::Random,
    task,
};
use orchestrator_core::{
    admin::secrets::Vault,
    admission::gate::Gate,
    catalog::snapshot::SharedCatalog,
    condition::{ConditionRules, Conditions},
    health::{Seen, Settings},
    prober::{Ask, Prober, Question, SettingsKeeper},
    refresher::Reloader,
    shared_state::{NothingSpent, SharedState},
    store::Database,
};
use prost_types::FieldMask;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::{admin_server::Admin as _, *};

const KEY: &str = "the-admin-key";
const SECRET: &str = "sk-canary-0123456789-0123456789";

async fn service(folder: &tempfile::TempDir) -> AdminService {
    service_on(folder, Arc::default()).await
}

/// The service that keeps this catalog.
async fn service_on(folder: &tempfile::TempDir, shared: Arc<SharedCatalog>) -> AdminService {
    let database = Arc::new(Database::open(&folder.path().join("x.db")).await.unwrap());
    let vault = Arc::new(Vault::new(&"master".into()));
    let timeouts = Timeouts::default();
    let reloader = Arc::new(Reloader::new(database.clone(), vault.clone(), Arc::clone(&shared), timeouts));
    let (clock, random) = (Clock::manual(UnixMicros(1_000_000)), Random::seeded(1));
    let rules = ProviderRules::default();
    let admin = Admin::new(database.clone(), vault, reloader, clock.clone(), random.clone(), rules);
    let auth = AdminAuth::new(&[KEY.into()], Arc::clone(&shared), clock.clone());
    let conditions = Conditions::new(ConditionRules::default(), clock, random.clone());
    let board = Arc::clone(conditions.health());
    let (_, leads) = tokio::sync::watch::channel(false);
    let (prober, desk) = Prober::new(shared, Arc::clone(&board), Arc::new(Well), random, leads);
    drop(task::spawn("prober", prober.run(CancellationToken::new())));
    let settings = Arc::new(SettingsKeeper::new(database, Arc::clone(&board), Settings::default()));
    let desk = HealthDesk { admin: admin.clone(), board, conditions, prober: desk, settings };
    let alone = SharedState::local("core".into(), Arc::new(NothingSpent));
    let status = StatusDesk::new(Gate::new(&Admission::default()), alone);
    AdminService::new(admin, desk, auth, Refusals::default(), status)
}

/// Every provider is well.
struct Well;

#[tonic::async_trait]
impl Ask for Well {
    async fn ask(&self, _: &Question) -> Option<Seen> {
        Some(Seen::answer(200, std::time::Duration::from_millis(7)))
    }
}

/// A request of an operator.
fn by_admin<T>(message: T) -> Request<T> {
    with(message, &[("authorization", &format!("Bearer {KEY}"))])
}

fn with<T>(message: T, metadata: &[(&'static str, &str)]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in metadata {
        request.metadata_mut().append(*name, value.parse().unwrap());
    }
    request
}

#[expect(clippy::unnecessary_wraps, reason = "message fields are optional in the generated code")]
fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(ToString::to_string).collect() })
}

fn provider() -> v1::Provider {
    v1::Provider {
        name: "openai".into(),
        kind: "openai".into(),
        api_key: Some(SECRET.into()),
        ..v1::Provider::default()
    }
}

#[tokio::test]
async fn only_the_holder_of_an_admin_key_comes_in() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(&folder).await;
    let bearer = format!("bearer {KEY}");
    let admitted: [&[(&str, &str)]; 3] = [
        &[("authorization", &bearer)],
        &[("x-admin-key", KEY)],
        &[("authorization", &bearer), ("x-admin-key", KEY)],
    ];
    for metadata in admitted {
        service.list_providers(with(v1::ListProvidersRequest::default(), metadata)).await.unwrap();
    }
    let refused: [&[(&str, &str)]; 5] = [
        &[],
        &[("authorization", KEY)],
        &[("authorization", "Bearer ")],
        &[("x-admin-key", "another")],
        &[("authorization", &bearer), ("x-admin-key", "another")],
    ];
    for metadata in refused {
        let status =
            service.list_providers(with(v1::ListProvidersRequest::default(), metadata)).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{metadata:?}");
    }
}

#[tokio::test]
async fn a_provider_is_made_shown_changed_and_deleted_without_its_secret() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(&folder).await;
    let request = v1::CreateProviderRequest { provider: Some(provider()) };
    let created = service.create_provider(by_admin(request)).await.unwrap().into_inner();
    assert_eq!(created.base_url, "https://api.openai.com/v1");
    assert_eq!(
        (created.priority, created.enabled, created.managed_by.as_str()),
        (Some(100), Some(true), "admin")
    );

    let change = v1::Provider { id: created.id.clone(), weight: Some(5), ..v1::Provider::default() };
    let request = v1::UpdateProviderRequest { provider: Some(change), update_mask: mask(&["weight"]) };
    let updated = service.update_provider(by_admin(request)).await.unwrap().into_inner();
    assert_eq!(updated, v1::Provider { weight: Some(5), ..created.clone() });
    let get = v1::GetProviderRequest { id: "openai".into() };
    assert_eq!(service.get_provider(by_admin(get)).await.unwrap().into_inner(), updated);

    let keys = service.list_provider_keys(by_admin(v1::ListProviderKeysRequest::default())).await;
    let keys = keys.unwrap().into_inner().provider_keys;
    assert_eq!((keys[0].masked.as_str(), keys[0].state.as_str()), ("sk-c…6789", "active"));
    assert!(!format!("{created:?} {updated:?} {keys:?}").contains("canary"));

    let delete = v1::DeleteProviderRequest { id: created.id };
    service.delete_provider(by_admin(delete)).await.unwrap();
    let left = service.list_providers(by_admin(v1::ListProvidersRequest::default())).await.unwrap();
    assert_eq!(left.into_inner().providers, []);
}

#[tokio::test]
async fn a_secret_at_an_update_is_refused_rather_than_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(&folder).await;
    let request = v1::CreateProviderRequest { provider: Some(provider()) };
    let created = service.create_provider(by_admin(request)).await.unwrap().into_inner();
    let again = v1::Provider { api_key: Some("sk-other".into()), ..created };
    let request = v1::UpdateProviderRequest { provider: Some(again), update_mask: mask(&["*"]) };
    let status = service.update_provider(by_admin(request)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("api_key"), "{status}");
}

#[tokio::test]
async fn every_noun_can_be_made_listed_changed_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(&folder).await;
    let request = v1::CreateProviderRequest { provider: Some(provider()) };
    let provider = service.create_provider(by_admin(request)).await.unwrap().into_inner();

    let model = v1::Model { name: "gpt".into(), ..v1::Model::default() };
    let request = v1::CreateModelRequest { model: Some(model) };
    let model = service.create_model(by_admin(request)).await.unwrap().into_inner();
    assert_eq!((model.strategy.as_str(), model.max_retry), ("priority", Some(2)));
    let remark = v1::Model { remark: "a note".into(), ..model.clone() };
    let request = v1::UpdateModelRequest { model: Some(remark), update_mask: mask(&["*"]) };
    let model = service.update_model(by_admin(request)).await.unwrap().into_inner();
    assert_eq!(model.remark, "a note");
    let get = v1::GetModelRequest { id: "gpt".into() };
    assert_eq!(service.get_model(by_admin(get)).await.unwrap().into_inner(), model);

    let association = v1::ModelProvider {
        model_id: model.id.clone(),
        provider_id: provider.id.clone(),
        ..v1::ModelProvider::default()
    };
    let request = v1::CreateModelProviderRequest { model_provider: Some(association) };
    let association = service.create_model_provider(by_admin(request)).await.unwrap().into_inner();
    assert_eq!(association.provider_model, "*");
    let list = v1::ListModelProvidersRequest { model_id: "other".into(), ..Default::default() };
    let none = service.list_model_providers(by_admin(list)).await.unwrap().into_inner();
    assert_eq!(none.model_providers, []);
    let off = v1::ModelProvider { enabled: Some(false), ..association.clone() };
    let request =
        v1::UpdateModelProviderRequest { model_provider: Some(off), update_mask: mask(&["enabled"]) };
    let off = service.update_model_provider(by_admin(request)).await.unwrap().into_inner();
    let get = v1::GetModelProviderRequest { id: association.id.clone() };
    assert_eq!(service.get_model_provider(by_admin(get)).await.unwrap().into_inner(), off);
    let delete = v1::DeleteModelProviderRequest { id: association.id };
    service.delete_model_provider(by_admin(delete)).await.unwrap();
    service.delete_model(by_admin(v1::DeleteModelRequest { id: model.id })).await.unwrap();

    let key = v1::ProviderKey {
        provider_id: provider.id.clone(),
        secret: Some("sk-second".into()),
        ..v1::ProviderKey::default()
    };
    let request = v1::CreateProviderKeyRequest { provider_key: Some(key) };
    let key = service.create_provider_key(by_admin(request)).await.unwrap().into_inner();
    let off = v1::ProviderKey { enabled: Some(false), ..key.clone() };
    let request = v1::UpdateProviderKeyRequest { provider_key: Some(off), update_mask: mask(&["*"]) };
    let off = service.update_provider_key(by_admin(request)).await.unwrap().into_inner();
    assert_eq!(off.state, "disabled");
    let get = v1::GetProviderKeyRequest { id: key.id.clone() };
    assert_eq!(service.get_provider_key(by_admin(get)).await.unwrap().into_inner(), off);
    service.delete_provider_key(by_admin(v1::DeleteProviderKeyRequest { id: key.id })).await.unwrap();
}

#[tokio::test]
async fn a_callers_key_tells_its_secret_once() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(&folder).await;
    let key = v1::ApiKey { name: "team".into(), ..v1::ApiKey::default() };
    let request = v1::CreateApiKeyRequest { api_key: Some(key) };
    let created = service.create_api_key(by_admin(request)).await.unwrap().into_inner();
    let secret = created.secret.clone().unwrap();
    assert!(secret.starts_with(&created.prefix));
    let get = v1::GetApiKeyRequest { id: "team".into() };
    let shown = service.get_api_key(by_admin(get)).await.unwrap().into_inner();
    assert_eq!(shown, v1::ApiKey { secret: None, ..created.clone() });
    let off = v1::ApiKey { enabled: Some(false), ..shown };
    let request = v1::UpdateApiKeyRequest { api_key: Some(off), update_mask: mask(&["enabled"]) };
    let off = service.update_api_key(by_admin(request)).await.unwrap().into_inner();
    assert_eq!((off.enabled, off.secret.as_ref()), (Some(false), None));
    let list = service.list_api_keys(by_admin(v1::ListApiKeysRequest::default())).await.unwrap();
    assert_eq!(list.into_inner().api_keys, [off]);
    service.delete_api_key(by_admin(v1::DeleteApiKeyRequest { id: created.id })).await.unwrap();
}

#[tokio::test]
async fn an_error_names_what_is_wrong_and_carries_the_request_id() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(&folder).await;
    let bearer = format!("Bearer {KEY}");
    let metadata: [(&str, &str); 2] = [("authorization", &bearer), ("x-request-id", "trace-7")];
    let request = with(v1::CreateModelRequest::default(), &metadata);
    let status = service.create_model(request).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "model is required"));
    assert_eq!(status.metadata().get("x-request-id").unwrap(), "trace-7");
    let pages = v1::ListModelsRequest { page_size: 0, page_token: "nonsense".into() };
    let status = service.list_models(by_admin(pages)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_provider_is_checked_shown_and_judged_by_settings_that_change_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(&folder).await;
    let request = v1::CreateProviderRequest { provider: Some(provider()) };
    service.create_provider(by_admin(request)).await.unwrap();
    let get = || by_admin(v1::GetProviderHealthRequest { id: "openai".into() });
    let unasked = service.get_provider_health(get()).await.unwrap().into_inner();
    assert_eq!((unasked.status.as_str(), unasked.is_healthy, unasked.last_checked), ("unknown", false, None));

    let check = v1::CheckProviderRequest { id: "openai".into() };
    let checked = service.check_provider(by_admin(check)).await.unwrap().into_inner();
    assert_eq!(
        (checked.status.as_str(), checked.is_healthy, checked.response_time_ms),
        ("healthy", true, Some(7))
    );
    assert_eq!((checked.total_requests_24h, checked.success_rate_24h), (0, None), "a probe is no request");
    assert_eq!(service.get_provider_health(get()).await.unwrap().into_inner(), checked);
    let list =
        service.list_provider_health(by_admin(v1::ListProviderHealthRequest::default())).await.unwrap();
    assert_eq!(list.into_inner().provider_health, [checked]);
    let nobody = v1::CheckProviderRequest { id: "nobody".into() };
    assert_eq!(service.check_provider(by_admin(nobody)).await.unwrap_err().code(), Code::NotFound);

    let change = async |interval_minutes: u32, paths: &[&str]| {
        let config = v1::HealthCheckConfig {
            interval_minutes: Some(interval_minutes),
            ..v1::HealthCheckConfig::default()
        };
        let request = v1::UpdateHealthCheckConfigRequest {
            health_check_config: Some(config),
            update_mask: mask(paths),
        };
        service.update_health_check_config(by_admin(request)).await.map(Response::into_inner)
    };
    let changed = change(9, &["interval_minutes"]).await.unwrap();
    let expected = v1::HealthCheckConfig {
        enabled: Some(true),
        interval_minutes: Some(9),
        max_error_count: Some(5),
        retry_after_hours: Some(1),
    };
    assert_eq!(changed, expected);
    assert_eq!(change(0, &["interval_minutes"]).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(change(1, &["intervall"]).await.unwrap_err().code(), Code::InvalidArgument);
    let shown = service.get_health_check_config(by_admin(v1::GetHealthCheckConfigRequest {})).await.unwrap();
    assert_eq!(shown.into_inner(), expected);

    let breakers = service.list_breakers(by_admin(v1::ListBreakersRequest::default())).await.unwrap();
    assert_eq!(breakers.into_inner().breakers, []);
    let reset = |id: &str| by_admin(v1::ResetBreakersRequest { provider_id: id.into() });
    service.reset_breakers(reset("openai")).await.unwrap();
    assert_eq!(service.reset_breakers(reset("nobody")).await.unwrap_err().code(), Code::NotFound);
}
