//! Admin's rows: which method is called with what, and what its answer looks like.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{Answer, app, ask, fake_core::raw_core, request};
use crate::App;

/// An Admin that answers every method with the same JSON, and what it was asked.
struct FakeAdmin {
    app: App,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeAdmin {
    fn answering(json: &'static str) -> Self {
        Self::new(move |_| Ok(json))
    }

    /// `answer` gives the answer's JSON for a method's name.
    fn new(answer: impl Fn(&str) -> Result<&'static str, Status> + Clone + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let pool = DescriptorPool::decode(orchestrator_proto::DESCRIPTORS).unwrap();
        let log = asked.clone();
        let core = raw_core(move |path, headers, message| {
            let name = path.strip_prefix("/orchestrator.v1.Admin/").unwrap();
            let service = pool.get_service_by_name("orchestrator.v1.Admin").unwrap();
            let method = service.methods().find(|method| method.name() == name).unwrap();
            let key = headers.get("authorization").map_or("", |key| key.to_str().unwrap());
            let message = DynamicMessage::decode(method.input(), message).unwrap();
            let options = SerializeOptions::new().use_proto_field_name(true);
            let message = message.serialize_with_options(serde_json::value::Serializer, &options).unwrap();
            log.lock().unwrap().push(format!("{name} [{key}] {message}"));
            let answer = DynamicMessage::deserialize(
                method.output(),
                &mut serde_json::Deserializer::from_str(answer(name)?),
            );
            Ok(Bytes::from(answer.unwrap().encode_to_vec()))
        });
        Self { app: app(core), asked }
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        ask(&self.app, request(method, path, &[("authorization", "Bearer k")], body)).await
    }

    fn asked(&self) -> String {
        std::mem::take(&mut *self.asked.lock().unwrap()).join("\n")
    }
}

#[tokio::test]
async fn every_noun_is_shown_whole_without_its_secrets() {
    let mut shown = String::new();
    for (path, stored) in [
        (
            "/admin/providers/p1",
            r#"{"id":"p1","name":"openai","kind":"openai","enabled":true,"priority":0,"timeouts":{"idle_ms":"9007199254740993"},
                "headers":{"b":"2","a":"1"},"options":{"dialects":["openai_chat"],"body_overrides_json":{"store":"false"}},
                "managed_by":"admin","created_at":"2026-11-21T03:02:08.000001Z","api_key":"sk-canary"}"#,
        ),
        ("/admin/models/m1", r#"{"id":"m1","name":"gpt","fallbacks":["a"],"max_retry":2}"#),
        ("/admin/model-providers/x1", r#"{"id":"x1","model_id":"m1","provider_id":"p1","tool_call":false}"#),
        (
            "/admin/keys/k1",
            r#"{"id":"k1","name":"team","tags":{"a":"b"},"budget_usd":1.5,"secret":"sk-canary"}"#,
        ),
        (
            "/admin/providers/p1/keys/pk1",
            r#"{"id":"pk1","provider_id":"p1","masked":"sk-…1","secret":"sk-canary"}"#,
        ),
    ] {
        let answer = FakeAdmin::answering(stored).ask("GET", path, "").await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
        let _: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        writeln!(shown, "{path}\n{}", answer.text()).unwrap();
    }
    assert!(!shown.contains("canary"));
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn every_row_calls_its_method() {
    let admin = FakeAdmin::answering("{}");
    let mut table = String::new();
    for (method, path, body) in [
        ("GET", "/admin/providers?page_size=2&page_token=t", ""),
        (
            "POST",
            "/admin/providers",
            r#"{"name":"n","api_key":"s","options":{"include_usage":true},"timeouts":{"idle_ms":5}}"#,
        ),
        ("PATCH", "/admin/providers/p1", r#"{"priority":5,"timeout":null}"#),
        ("DELETE", "/admin/providers/p1", ""),
        ("GET", "/admin/providers/p1/keys", ""),
        ("POST", "/admin/providers/p1/keys", r#"{"secret":"s"}"#),
        ("GET", "/admin/models/meta%2Fllama", ""),
        ("POST", "/admin/models", r#"{"name":"m"}"#),
        ("PATCH", "/admin/models/m1", r#"{"id":"m1","fallbacks":["a","b"]}"#),
        ("GET", "/admin/model-providers?model_id=m1", ""),
        ("PATCH", "/admin/model-providers/x1/status", r#"{"enabled":false}"#),
        ("GET", "/admin/audit?actor=ann&from=2026-11-21T00:00:00Z", ""),
        ("POST", "/admin/admin-keys/a1/rotate", ""),
        ("POST", "/api/admin/keys", r#"{"name":"k","expires_at":"2027-01-01T00:00:00Z","tags":{"a":"b"}}"#),
        ("PATCH", "/api/admin/keys/k1", r#"{"enabled":false}"#),
        ("DELETE", "/api/admin/keys/k1", ""),
    ] {
        let answer = admin.ask(method, path, body).await;
        writeln!(table, "{method} {path}: {}\n  {}", answer.status.as_u16(), admin.asked()).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[tokio::test]
async fn a_list_is_the_bare_array_with_the_next_pages_token() {
    let empty = FakeAdmin::answering("{}").ask("GET", "/admin/models", "").await;
    assert_eq!((empty.text(), empty.headers.contains_key("next-page-token")), ("[]", false));
    let page = r#"{"provider_keys":[{"id":"a","secret":"sk-canary"},{"id":"b"}],"next_page_token":"t2"}"#;
    let page = FakeAdmin::answering(page).ask("GET", "/admin/providers/p1/keys", "").await;
    assert_eq!(page.header("next-page-token"), "t2");
    let items: serde_json::Value = serde_json::from_slice(&page.body).unwrap();
    assert_eq!((&items[0]["id"], &items[1]["id"]), (&"a".into(), &"b".into()));
    assert!(!page.text().contains("canary"));
}

#[tokio::test]
async fn a_callers_key_is_shown_once() {
    let admin = FakeAdmin::answering(r#"{"id":"k1","secret":"sk-new"}"#);
    let secret_after = async |method, path, body| {
        let answer = admin.ask(method, path, body).await;
        serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap().get("secret").cloned()
    };
    assert_eq!(secret_after("POST", "/admin/keys", r#"{"name":"k"}"#).await, Some("sk-new".into()));
    assert_eq!(secret_after("GET", "/admin/keys/k1", "").await, None);
    assert_eq!(secret_after("PATCH", "/admin/keys/k1", r#"{"enabled":true}"#).await, None);
}

#[tokio::test]
async fn what_cannot_be_understood_is_a_400_that_names_the_field() {
    let admin = FakeAdmin::answering("{}");
    let mut table = String::new();
    for (method, path, body) in [
        ("POST", "/admin/providers", r#"{"nmae":"x"}"#),
        ("POST", "/admin/providers", r#"{"options":{"dialect":[]}}"#),
        ("POST", "/admin/providers", r#"{"baseUrl":"x"}"#),
        ("POST", "/admin/providers", r#"{"enabled":"yes"}"#),
        ("POST", "/admin/providers", r#"{"timeouts":{"idle_ms":-1}}"#),
        ("POST", "/admin/providers", r#"{"timeouts":7}"#),
        ("POST", "/admin/providers", r#"{"headers":{"a":1}}"#),
        ("POST", "/admin/keys", r#"{"expires_at":"tomorrow"}"#),
        ("POST", "/admin/providers", "[]"),
        ("POST", "/admin/providers", "{"),
        ("PATCH", "/admin/models/m1", r#"{"id":"m2"}"#),
        ("PATCH", "/admin/model-providers/x1/status", r#"{"enabled":true,"weight":1}"#),
        ("PATCH", "/admin/model-providers/x1/status", "{}"),
        ("GET", "/admin/providers?page_size=many", ""),
        ("GET", "/admin/providers?limit=5", ""),
    ] {
        let answer = admin.ask(method, path, body).await;
        assert_eq!(answer.status, 400, "{method} {path} {body}");
        writeln!(table, "{method} {path} {body}\n  {}", answer.text()).unwrap();
    }
    assert_eq!(admin.asked(), "", "none of them reached the core");
    insta::assert_snapshot!(table);
}

#[tokio::test]
async fn a_key_of_another_provider_is_not_at_this_path() {
    let admin = FakeAdmin::answering(r#"{"id":"pk1","provider_id":"p1"}"#);
    assert_eq!(admin.ask("PATCH", "/admin/providers/p1/keys/pk1", r#"{"weight":5}"#).await.status, 200);
    insta::assert_snapshot!(admin.asked(), @r#"
    GetProviderKey [Bearer k] {"id":"pk1"}
    UpdateProviderKey [Bearer k] {"provider_key":{"id":"pk1","provider_id":"p1","weight":5},"update_mask":"weight"}
    "#);
    for (method, body) in [("GET", ""), ("PATCH", r#"{"weight":5}"#), ("DELETE", "")] {
        assert_eq!(admin.ask(method, "/admin/providers/p2/keys/pk1", body).await.status, 404);
        assert_eq!(admin.asked(), r#"GetProviderKey [Bearer k] {"id":"pk1"}"#, "{method} went no further");
    }
}

#[tokio::test]
async fn the_cores_refusals_keep_their_meaning_and_its_troubles_their_secrets() {
    let mut table = String::new();
    for code in [
        Code::InvalidArgument,
        Code::Unauthenticated,
        Code::PermissionDenied,
        Code::NotFound,
        Code::AlreadyExists,
        Code::FailedPrecondition,
        Code::Unavailable,
        Code::Internal,
    ] {
        let details = ErrorDetails::with_bad_request_violation("name", "taken");
        let admin =
            FakeAdmin::new(move |_| Err(Status::with_error_details(code, "said the core", details.clone())));
        let answer = admin.ask("GET", "/admin/keys", "").await;
        writeln!(table, "{code:?}: {} {}", answer.status.as_u16(), answer.text()).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[tokio::test]
async fn the_core_says_itself_that_its_database_is_away() {
    let admin = FakeAdmin::new(|_| {
        let details = ErrorDetails::with_error_info("UNAVAILABLE", "orchestrator.v1", []);
        Err(Status::with_error_details(Code::Unavailable, "the database is unavailable", details))
    });
    let answer = admin.ask("POST", "/admin/models", r#"{"name":"m"}"#).await;
    assert_eq!(answer.status, 503);
    let body = r#"{"error":{"code":"unavailable","message":"the database is unavailable"}}"#;
    assert_eq!(answer.text(), body);
}

#[tokio::test]
async fn verify_says_whether_either_header_holds_an_admin_key() {
    let admin = FakeAdmin::answering("{}");
    for prefix in ["/admin", "/api/admin"] {
        let with_header = request("GET", &format!("{prefix}/verify"), &[("x-admin-key", "k")], "");
        let answer = ask(&admin.app, with_header).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, r#"{"valid":true}"#));
        assert_eq!(admin.asked(), "GetSession [Bearer k] {}");
    }
    let both = [("x-admin-key", "k"), ("authorization", "Bearer other")];
    assert_eq!(ask(&admin.app, request("GET", "/admin/verify", &both, "")).await.status, 401);
    let refusing = FakeAdmin::new(|_| Err(Status::unauthenticated("no such key")));
    assert_eq!(refusing.ask("GET", "/admin/verify", "").await.status, 401);
}
