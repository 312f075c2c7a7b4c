//! The same Admin over gRPC, for programs.

use orchestrator_edge::core_client;
use orchestrator_proto::v1::{
    ApiKey, CreateApiKeyRequest, CreateModelProviderRequest, CreateModelRequest, CreateProviderKeyRequest,
    CreateProviderRequest, DeleteApiKeyRequest, DeleteModelProviderRequest, DeleteModelRequest,
    DeleteProviderKeyRequest, DeleteProviderRequest, GetApiKeyRequest, GetModelProviderRequest,
    GetModelRequest, GetProviderKeyRequest, GetProviderRequest, ListApiKeysRequest,
    ListModelProvidersRequest, ListModelsRequest, ListProviderKeysRequest, ListProvidersRequest, Model,
    ModelProvider, Provider, ProviderKey, UpdateApiKeyRequest, UpdateModelProviderRequest,
    UpdateModelRequest, UpdateProviderKeyRequest, UpdateProviderRequest, admin_client::AdminClient,
};
use prost_reflect::prost_types::FieldMask;
use tonic::{Code, Request};

use super::chat;
use crate::gateway::{ADMIN_KEY, CLIENT_KEY, Channel, Gateway};

fn as_admin<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {ADMIN_KEY}").parse().unwrap());
    request
}

#[tokio::test]
async fn a_model_lives_from_its_making_to_its_end() {
    let gateway = Gateway::start(Channel::Split).await;
    let mut admin = AdminClient::new(core_client::remote(&gateway.grpc).unwrap());
    let model = Model { name: "over-grpc".into(), ..Model::default() };
    let made = admin.create_model(as_admin(CreateModelRequest { model: Some(model.clone()) })).await.unwrap();
    let made = made.into_inner();
    assert_eq!((made.name.as_str(), made.enabled, made.max_retry), ("over-grpc", Some(true), Some(2)));

    let taken = admin.create_model(as_admin(CreateModelRequest { model: Some(model) })).await.unwrap_err();
    assert_eq!(taken.code(), Code::AlreadyExists, "{taken:?}");

    let wanted =
        Model { id: made.id.clone(), remark: "a note".into(), max_retry: Some(7), ..Model::default() };
    let update_mask = Some(FieldMask { paths: vec!["remark".into()] });
    let changed = admin.update_model(as_admin(UpdateModelRequest { model: Some(wanted), update_mask })).await;
    let changed = changed.unwrap().into_inner();
    assert_eq!(
        (changed.remark.as_str(), changed.max_retry),
        ("a note", Some(2)),
        "the mask alone is changed"
    );

    let shown = admin.get_model(as_admin(GetModelRequest { id: "over-grpc".into() })).await.unwrap();
    assert_eq!(shown.into_inner(), changed);
    let rest = gateway.admin.get(&format!("/admin/models/{}", made.id)).await;
    assert_eq!(rest.json()["remark"], "a note");

    let first = admin.list_models(as_admin(ListModelsRequest { page_size: 1, ..Default::default() })).await;
    let first = first.unwrap().into_inner();
    assert_eq!(first.models.len(), 1);
    let page = ListModelsRequest { page_size: 10, page_token: first.next_page_token };
    let rest = admin.list_models(as_admin(page)).await.unwrap().into_inner();
    assert_eq!((rest.models.len(), rest.next_page_token.as_str()), (1, ""));

    admin.delete_model(as_admin(DeleteModelRequest { id: made.id.clone() })).await.unwrap();
    let gone = admin.get_model(as_admin(GetModelRequest { id: made.id })).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound, "{gone:?}");
    for key in [None, Some(CLIENT_KEY), Some("wrong")] {
        let mut request = Request::new(ListModelsRequest::default());
        if let Some(key) = key {
            request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        }
        assert_eq!(admin.list_models(request).await.unwrap_err().code(), Code::Unauthenticated, "{key:?}");
    }
    gateway.stop().await;
}

fn enabled_alone() -> FieldMask {
    FieldMask { paths: vec!["enabled".into()] }
}

/// Changes `enabled` over gRPC, looks, lists, deletes, and looks again.
macro_rules! lives_and_ends {
    ($admin:expr, $made:expr, $field:ident, $list:ident $list_request:expr, $listed:ident, $get:ident $get_request:ident,
     $update:ident $update_request:ident, $delete:ident $delete_request:ident) => {
        let (id, mut wanted) = ($made.id.clone(), $made.clone());
        wanted.enabled = Some(false);
        let update = $update_request { $field: Some(wanted), update_mask: Some(enabled_alone()) };
        assert_eq!($admin.$update(as_admin(update)).await.unwrap().into_inner().enabled, Some(false));
        let shown = $admin.$get(as_admin($get_request { id: id.clone() })).await.unwrap().into_inner();
        assert_eq!((&shown.id, shown.enabled), (&id, Some(false)));
        let listed = $admin.$list(as_admin($list_request)).await.unwrap().into_inner().$listed;
        assert!(listed.iter().any(|one| one.id == id), "{listed:?}");
        $admin.$delete(as_admin($delete_request { id: id.clone() })).await.unwrap();
        let gone = $admin.$get(as_admin($get_request { id })).await.unwrap_err();
        assert_eq!(gone.code(), Code::NotFound, "{gone:?}");
    };
}

#[tokio::test]
async fn so_does_every_other_noun_without_telling_its_secret() {
    let gateway = Gateway::start(Channel::Split).await;
    let mut admin = AdminClient::new(core_client::remote(&gateway.grpc).unwrap());
    let provider = Provider {
        name: "p".into(),
        kind: "openai".into(),
        api_key: Some("sk-canary-first-0123".into()),
        ..Provider::default()
    };
    let provider = admin.create_provider(as_admin(CreateProviderRequest { provider: Some(provider) })).await;
    let provider = provider.unwrap().into_inner();
    assert_eq!((provider.api_key.as_deref(), provider.managed_by.as_str()), (None, "admin"));

    let key = ProviderKey {
        provider_id: provider.id.clone(),
        label: "second".into(),
        secret: Some("sk-canary-second-0123".into()),
        ..ProviderKey::default()
    };
    let key = admin.create_provider_key(as_admin(CreateProviderKeyRequest { provider_key: Some(key) })).await;
    let key = key.unwrap().into_inner();
    assert_eq!((key.secret.as_deref(), key.state.as_str()), (None, "active"));
    assert!(!key.masked.is_empty() && !key.masked.contains("canary-second"), "{}", key.masked);

    let echo = admin.get_model(as_admin(GetModelRequest { id: "echo".into() })).await.unwrap().into_inner();
    let association = ModelProvider {
        model_id: echo.id,
        provider_id: provider.id.clone(),
        enabled: Some(false),
        ..ModelProvider::default()
    };
    let association = CreateModelProviderRequest { model_provider: Some(association) };
    let association = admin.create_model_provider(as_admin(association)).await.unwrap().into_inner();

    let caller = ApiKey { name: "caller".into(), ..ApiKey::default() };
    let caller = admin.create_api_key(as_admin(CreateApiKeyRequest { api_key: Some(caller) })).await;
    let mut caller = caller.unwrap().into_inner();
    let secret = caller.secret.take().expect("told once");
    let shown = admin.get_api_key(as_admin(GetApiKeyRequest { id: caller.id.clone() })).await.unwrap();
    assert_eq!(shown.into_inner().secret, None, "and never again");
    let asking = gateway.client.with_key(Some(&secret));
    assert_eq!(asking.post("/v1/chat/completions", &chat("echo")).await.status, 200);

    lives_and_ends!(admin, caller, api_key, list_api_keys ListApiKeysRequest::default(), api_keys,
        get_api_key GetApiKeyRequest, update_api_key UpdateApiKeyRequest, delete_api_key DeleteApiKeyRequest);
    assert_eq!(asking.post("/v1/chat/completions", &chat("echo")).await.status, 401, "live at once");
    lives_and_ends!(admin, association, model_provider, list_model_providers ListModelProvidersRequest::default(),
        model_providers, get_model_provider GetModelProviderRequest,
        update_model_provider UpdateModelProviderRequest, delete_model_provider DeleteModelProviderRequest);
    lives_and_ends!(admin, key, provider_key, list_provider_keys ListProviderKeysRequest::default(), provider_keys,
        get_provider_key GetProviderKeyRequest, update_provider_key UpdateProviderKeyRequest,
        delete_provider_key DeleteProviderKeyRequest);
    lives_and_ends!(admin, provider, provider, list_providers ListProvidersRequest::default(), providers,
        get_provider GetProviderRequest, update_provider UpdateProviderRequest,
        delete_provider DeleteProviderRequest);
    gateway.stop().await;
}
