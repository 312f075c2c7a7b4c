//! Who may call what: every method that the contract lists, with every kind of key.

use std::fmt::Write as _;

use http::uri::PathAndQuery;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::transport::server::TcpConnectInfo;
use tonic_prost::ProstCodec;

use super::*;

/// Every method of Admin, in the contract's order.
fn methods() -> Vec<String> {
    let set = FileDescriptorSet::decode(crate::descriptor()).unwrap();
    let services = set.file.iter().flat_map(|file| &file.service);
    let admin = services.into_iter().find(|service| service.name() == "Admin").unwrap();
    admin.method.iter().map(|method| method.name().to_owned()).collect()
}

/// What an empty request of this method gets with this key.
async fn call(service: &AdminService, method: &str, key: Option<&str>) -> Code {
    let mut client = tonic::client::Grpc::new(admin_server::AdminServer::new(service.clone()));
    client.ready().await.unwrap();
    let mut request = Request::new(());
    if let Some(key) = key {
        request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    }
    let path = PathAndQuery::try_from(format!("/orchestrator.v1.Admin/{method}")).unwrap();
    // Only the answer's beginning is waited for: a tail never ends.
    match client.server_streaming::<(), (), _>(request, path, ProstCodec::default()).await {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    }
}

async fn key_of(service: &AdminService, role: &str) -> String {
    let admin_key = v1::AdminKey { name: role.into(), role: role.into(), ..v1::AdminKey::default() };
    let request = v1::CreateAdminKeyRequest { admin_key: Some(admin_key) };
    service.create_admin_key(by_admin(request)).await.unwrap().into_inner().secret.unwrap()
}

#[tokio::test]
async fn every_method_opens_to_the_roles_that_the_table_says_and_to_no_other_key() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(&folder).await;
    let caller = v1::CreateApiKeyRequest {
        api_key: Some(v1::ApiKey { name: "caller".into(), ..v1::ApiKey::default() }),
    };
    let caller = service.create_api_key(by_admin(caller)).await.unwrap().into_inner().secret.unwrap();
    let mut roles = Vec::new();
    for role in ["viewer", "operator", "admin"] {
        roles.push((role, key_of(&service, role).await));
    }
    let mut table = String::new();
    for method in methods() {
        for key in [None, Some("wrong"), Some(caller.as_str())] {
            assert_eq!(call(&service, &method, key).await, Code::Unauthenticated, "{method} {key:?}");
        }
        let mut open = Vec::new();
        for (role, key) in &roles {
            match call(&service, &method, Some(key)).await {
                Code::PermissionDenied => {}
                Code::Unauthenticated => panic!("{method}: the {role}'s key is good"),
                // What an empty request lacks is another matter.
                _ => open.push(*role),
            }
        }
        writeln!(table, "{method}: {}", open.join(" ")).unwrap();
        let bootstrap = call(&service, &method, Some(KEY)).await;
        assert!(!matches!(bootstrap, Code::PermissionDenied | Code::Unauthenticated), "{method}");
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
