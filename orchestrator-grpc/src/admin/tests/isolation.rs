//! Who may call what: every method that the contract lists, of both services, with every kind of key.

use std::fmt::Write as _;

use http::uri::PathAndQuery;
use orchestrator_base::config::Limits;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::transport::server::TcpConnectInfo;

use super::*;
use crate::{
    orchestrate::OrchestrateService,
    routes::{CoreService, Reflection, Services, routes},
    testing,
};

/// Every method of every service that the contract has, in its order: the service's name and the method's.
fn methods() -> Vec<(String, String)> {
    let set = FileDescriptorSet::decode(crate::descriptor()).unwrap();
    let services = set.file.iter().flat_map(|file| &file.service);
    let named = |service: &prost_types::ServiceDescriptorProto| {
        let methods = service.method.iter().map(|method| method.name().to_owned());
        methods.map(|method| (service.name().to_owned(), method)).collect::<Vec<_>>()
    };
    services.flat_map(named).collect()
}

/// What a caller of models asks for; of Admin nothing is asked, since what a request lacks is looked at last.
fn asked(service: &str, method: &str) -> Vec<u8> {
    let part = v1::Part { kind: Some(v1::part::Kind::Text("hi".into())), ..v1::Part::default() };
    let message = v1::Message { role: v1::Role::User.into(), parts: vec![part], name: None };
    let model = || MODEL.to_owned();
    match (service, method) {
        ("Orchestrate", "Chat" | "StreamChat") => {
            v1::ChatRequest { model: model(), messages: vec![message], ..v1::ChatRequest::default() }
                .encode_to_vec()
        }
        ("Orchestrate", "CountTokens") => {
            let chat =
                v1::ChatRequest { model: model(), messages: vec![message], ..v1::ChatRequest::default() };
            v1::CountTokensRequest { request: Some(chat) }.encode_to_vec()
        }
        ("Orchestrate", "Embed") => {
            let input = v1::EmbedInput { kind: Some(v1::embed_input::Kind::Text("hi".into())) };
            v1::EmbedRequest { model: model(), inputs: vec![input], ..v1::EmbedRequest::default() }
                .encode_to_vec()
        }
        ("Orchestrate", "Invoke" | "StreamInvoke") => v1::InvokeRequest {
            dialect: "openai_chat".into(),
            body: format!(r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"hi"}}]}}"#).into(),
            ..v1::InvokeRequest::default()
        }
        .encode_to_vec(),
        ("Orchestrate", "ListModels") | ("Admin" | "Edges", _) => Vec::new(),
        _ => panic!("{service}.{method} is new: say what is asked of it"),
    }
}

/// Passes messages on as the bytes that they are.
#[derive(Clone, Copy, Debug, Default)]
struct Raw;

impl tonic::codec::Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl tonic::codec::Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(
        &mut self,
        item: Vec<u8>,
        to: &mut tonic::codec::EncodeBuf<'_>,
    ) -> std::result::Result<(), Status> {
        bytes::BufMut::put_slice(to, &item);
        Ok(())
    }
}

impl tonic::codec::Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(
        &mut self,
        from: &mut tonic::codec::DecodeBuf<'_>,
    ) -> std::result::Result<Option<Vec<u8>>, Status> {
        let length = bytes::Buf::remaining(from);
        Ok(Some(bytes::Buf::copy_to_bytes(from, length).to_vec()))
    }
}

/// What becomes of a call with this key: `401`, `403` or `open`. What an empty request lacks is another matter.
async fn call(service: &CoreService, (name, method): &(String, String), key: Option<&str>) -> String {
    let mut client = tonic::client::Grpc::new(service.clone());
    client.ready().await.unwrap();
    let mut request = Request::new(asked(name, method));
    if let Some(key) = key {
        request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    }
    let path = PathAndQuery::try_from(format!("/orchestrator.v1.{name}/{method}")).unwrap();
    let answer = client.server_streaming(request, path, Raw).await;
    let status = match answer {
        // Only the answer's beginning is waited for: a tail never ends.
        Ok(_) if name == "Admin" => None,
        Ok(answer) => match answer.into_inner().message().await {
            Ok(message) => return in_band(method, &message.unwrap_or_default()),
            Err(status) => Some(status),
        },
        Err(status) => Some(status),
    };
    let word = match status.map(|status| status.code()) {
        Some(Code::Unauthenticated) => "401",
        Some(Code::PermissionDenied) => "403",
        _ => "open",
    };
    word.to_owned()
}

/// The native plane says in its first message what became of a request.
fn in_band(method: &str, message: &[u8]) -> String {
    let head = match method {
        "Invoke" | "StreamInvoke" => v1::InvokeResponse::decode(message).unwrap().head,
        _ => return "open".to_owned(),
    };
    match head.unwrap().status {
        200 => "open".to_owned(),
        status => status.to_string(),
    }
}

async fn key_of(service: &AdminService, role: &str) -> String {
    let admin_key = v1::AdminKey { name: role.into(), role: role.into(), ..v1::AdminKey::default() };
    let request = v1::CreateAdminKeyRequest { admin_key: Some(admin_key) };
    service.create_admin_key(by_admin(request)).await.unwrap().into_inner().secret.unwrap()
}

/// The model that the caller's key may use, and that of another team may not.
const MODEL: &str = "echo";

/// A key of a team of its own, for these models.
async fn caller_of(service: &AdminService, team: &str, model: &str) -> String {
    let made = v1::Team { name: team.into(), ..v1::Team::default() };
    service.create_team(by_admin(v1::CreateTeamRequest { team: Some(made) })).await.unwrap();
    let api_key = v1::ApiKey {
        name: format!("of {team}"),
        team: team.into(),
        models: vec![model.into()],
        ..v1::ApiKey::default()
    };
    let request = v1::CreateApiKeyRequest { api_key: Some(api_key) };
    service.create_api_key(by_admin(request)).await.unwrap().into_inner().secret.unwrap()
}

async fn with_echo(service: &AdminService) {
    let provider = v1::Provider { name: MODEL.into(), kind: "echo".into(), ..v1::Provider::default() };
    let request = v1::CreateProviderRequest { provider: Some(provider) };
    let provider_id = service.create_provider(by_admin(request)).await.unwrap().into_inner().id;
    let model = v1::Model { name: MODEL.into(), ..v1::Model::default() };
    let request = v1::CreateModelRequest { model: Some(model) };
    let model_id = service.create_model(by_admin(request)).await.unwrap().into_inner().id;
    let model_provider = v1::ModelProvider { model_id, provider_id, ..v1::ModelProvider::default() };
    let request = v1::CreateModelProviderRequest { model_provider: Some(model_provider) };
    service.create_model_provider(by_admin(request)).await.unwrap();
}

/// The table of expected answers: each method of each service, with each kind of key. A new method is in it by itself.
#[tokio::test]
async fn every_method_opens_to_the_roles_that_the_table_says_and_to_no_other_key() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Arc::new(SharedCatalog::default());
    let admin = service_on(&folder, Arc::clone(&catalog)).await;
    with_echo(&admin).await;
    let (caller, other) = (caller_of(&admin, "blue", MODEL).await, caller_of(&admin, "green", "other").await);
    let mut keys = vec![("none", None), ("wrong", Some("wrong".to_owned()))];
    keys.extend([("another team's", Some(other)), ("caller's", Some(caller))]);
    for role in ["viewer", "operator", "admin"] {
        keys.push((role, Some(key_of(&admin, role).await)));
    }
    keys.push(("bootstrap", Some(KEY.to_owned())));
    let services = testing::services(Reflection::Open, Limits::default()).await;
    let service = routes(Services {
        orchestrate: OrchestrateService::new(
            testing::core(|shared| shared.catalog = catalog),
            Limits::default(),
        ),
        admin,
        edges: services.edges,
        health: services.health,
        reflection: services.reflection,
        clock: services.clock,
        random: services.random,
    });
    let mut table = String::new();
    for method in methods() {
        write!(table, "{}.{}:", method.0, method.1).unwrap();
        for (kind, key) in &keys {
            write!(table, " {kind} {},", call(&service, &method, key.as_deref()).await).unwrap();
        }
        table.pop();
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

#[tokio::test]
async fn a_refusal_names_the_role_that_is_needed_and_is_on_record() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(&folder).await;
    let viewer = key_of(&service, "viewer").await;
    let bearer = format!("Bearer {viewer}");
    let request = with(v1::ListAuditLogRequest::default(), &[("authorization", &bearer)]);
    let status = service.list_audit_log(request).await.unwrap_err();
    assert_eq!(status.message(), "ListAuditLog needs the role admin; this key's role is viewer");

    let session = with(v1::GetSessionRequest {}, &[("x-admin-key", &viewer)]);
    let session = service.get_session(session).await.unwrap().into_inner();
    assert_eq!((session.actor.as_str(), session.role.as_str()), ("viewer", "viewer"));
    let raise = v1::AdminKey { id: "viewer".into(), role: "admin".into(), ..v1::AdminKey::default() };
    let raise = v1::UpdateAdminKeyRequest { admin_key: Some(raise), update_mask: mask(&["role"]) };
    let status = service.update_admin_key(with(raise, &[("x-admin-key", &viewer)])).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "nobody raises himself");
}

#[tokio::test]
async fn secrets_and_bodies_are_for_admins_whatever_the_method_is_open_to() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(&folder).await;
    let operator = key_of(&service, "operator").await;
    let export =
        |passphrase: Option<&str>| v1::ExportConfigRequest { passphrase: passphrase.map(Into::into) };
    let by_operator = [("x-admin-key", operator.as_str())];
    assert!(service.export_config(with(export(None), &by_operator)).await.is_ok());
    let secrets = export(Some("correct horse battery"));
    let refused = service.export_config(with(secrets.clone(), &by_operator)).await.unwrap_err();
    assert_eq!(
        refused.message(),
        "ExportConfig with secrets needs the role admin; this key's role is operator"
    );
    let exported = service.export_config(by_admin(secrets)).await.unwrap().into_inner().document_json;

    let import = v1::ImportConfigRequest { document_json: exported, ..v1::ImportConfigRequest::default() };
    let refused = service.import_config(with(import, &by_operator)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let apply = |document: &str| v1::ApplyConfigRequest {
        document_json: document.into(),
        dry_run: true,
        ..v1::ApplyConfigRequest::default()
    };
    let declared = apply(r#"{"api_keys":[{"name":"one","secret":"declared-key-0123456789"}]}"#);
    let refused = service.apply_config(with(declared, &by_operator)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let plain = apply(r#"{"models":[{"name":"one"}]}"#);
    assert!(service.apply_config(with(plain, &by_operator)).await.is_ok());

    let bodies = |include_bodies| v1::GetRequestLogRequest { id: "none".into(), include_bodies };
    let refused = service.get_request_log(with(bodies(true), &by_operator)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let missing = service.get_request_log(with(bodies(false), &by_operator)).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);

    let list =
        v1::ListAuditLogRequest { action: "export_secrets".into(), ..v1::ListAuditLogRequest::default() };
    let log = service.list_audit_log(by_admin(list)).await.unwrap().into_inner().audit_entries;
    assert_eq!(log.len(), 1, "what was refused was not exported");
}

#[tokio::test]
async fn the_log_says_where_a_change_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(&folder).await;
    let peer = TcpConnectInfo { local_addr: None, remote_addr: Some("10.0.0.7:4711".parse().unwrap()) };
    let model = |name: &str| v1::CreateModelRequest {
        model: Some(v1::Model { name: name.into(), ..v1::Model::default() }),
    };
    let said = "x-orchestrator-client-address";
    for (name, address, peer) in [
        ("in-process", Some("192.0.2.1"), None),
        ("direct", None, Some(&peer)),
        ("edge", Some("2001:db8::1"), Some(&peer)),
        ("nonsense", Some("127.0.0.1, 10.0.0.1"), Some(&peer)),
    ] {
        let bearer = format!("Bearer {KEY}");
        let mut metadata = vec![("authorization", bearer.as_str()), ("x-request-id", name)];
        metadata.extend(address.map(|address| (said, address)));
        let mut request = with(model(name), &metadata);
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer.clone());
        }
        service.create_model(request).await.unwrap();
    }
    let list = v1::ListAuditLogRequest { noun: "model".into(), ..v1::ListAuditLogRequest::default() };
    let log = service.list_audit_log(by_admin(list)).await.unwrap().into_inner().audit_entries;
    let mut from: Vec<_> = log
        .iter()
        .map(|entry| {
            assert_eq!((entry.request_id.as_str(), entry.actor.as_str()), (&*entry.target_name, "bootstrap"));
            (entry.target_name.as_str(), entry.address.as_str())
        })
        .collect();
    from.sort_unstable();
    let expected = [
        ("direct", "10.0.0.7"),
        ("edge", "2001:db8::1 via 10.0.0.7"),
        ("in-process", "192.0.2.1"),
        ("nonsense", "10.0.0.7"),
    ];
    assert_eq!(from, expected);
}
