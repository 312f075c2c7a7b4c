//! Who operates: what each key opens, for how long, and what the audit log says of its holder.

use super::*;
use crate::{
    audit::{AuditEntry, AuditFilter, Event, action},
    store::AuditStore as _,
};

/// Stands in every secret of these tests.
const CANARY: &str = "canary";

fn operator(name: &str, role: &str) -> AdminKeyChange {
    AdminKeyChange { name: text(name), role: text(role), ..AdminKeyChange::default() }
}

impl House {
    fn auth(&self) -> AdminAuth {
        let vault = Arc::new(Vault::new(&"master".into()));
        AdminAuth::new(&["the-last-way-in".into()], self.shared.clone(), vault, self.clock.clone())
    }

    /// Oldest first.
    async fn log(&self) -> Vec<AuditEntry> {
        let all = Slice { after: None, limit: 1000 };
        let mut rows = self.database.audit_log(&AuditFilter::default(), &all).await.unwrap();
        rows.reverse();
        rows
    }
}

/// Who signs in with this secret, or why nobody does.
fn signs_in(auth: &AdminAuth, secret: &SecretString) -> String {
    match auth.check(&[secret.expose_secret()]) {
        Ok(session) => format!("{} {}", session.actor, session.role.name()),
        Err(error) => error.message,
    }
}

#[tokio::test]
async fn a_key_opens_what_its_role_says_until_it_is_disabled_expires_or_is_deleted() {
    let house = house().await;
    let (admin, auth) = (&house.admin, house.auth());
    let made = admin.create_admin_key(operator("ann", "operator")).await.unwrap();
    assert!(made.secret.expose_secret().starts_with("llmo_admin_"));
    assert_eq!(made.key.prefix, made.secret.expose_secret()[..18]);
    assert_eq!(signs_in(&auth, &made.secret), "ann operator");

    let id = made.key.id.as_str();
    let change = async |change: AdminKeyChange| admin.update_admin_key(id, change).await.unwrap();
    change(AdminKeyChange { role: text("viewer"), ..AdminKeyChange::default() }).await;
    assert_eq!(signs_in(&auth, &made.secret), "ann viewer");
    change(AdminKeyChange { enabled: Some(false), ..AdminKeyChange::default() }).await;
    assert_eq!(signs_in(&auth, &made.secret), "the admin key is disabled");
    let soon = Some(house.clock.now().plus(Duration::from_secs(1)));
    change(AdminKeyChange { enabled: Some(true), expires_at: Some(soon), ..AdminKeyChange::default() }).await;
    assert_eq!(signs_in(&auth, &made.secret), "ann viewer");
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(signs_in(&auth, &made.secret), "the admin key has expired");
    change(AdminKeyChange { expires_at: Some(None), ..AdminKeyChange::default() }).await;

    let rotated = admin.rotate_admin_key(id).await.unwrap();
    assert_eq!(signs_in(&auth, &made.secret), "the admin key is not known");
    assert_eq!(signs_in(&auth, &rotated.secret), "ann viewer");
    admin.delete_admin_key(id).await.unwrap();
    assert_eq!(signs_in(&auth, &rotated.secret), "the admin key is not known");
    assert_eq!(signs_in(&auth, &"the-last-way-in".into()), "bootstrap admin", "whatever was done to keys");
}

#[tokio::test]
async fn a_key_that_one_core_revokes_is_refused_by_another_at_its_next_look() {
    let house = house().await;
    let elsewhere = Arc::new(SharedCatalog::default());
    let reader = Arc::new(house.database.clone());
    let vault = Arc::new(Vault::new(&"master".into()));
    let reloader = Reloader::new(reader, vault.clone(), elsewhere.clone(), config::Timeouts::default());
    let auth = AdminAuth::new([], elsewhere, vault, house.clock.clone());
    let made = house.admin.create_admin_key(operator("ann", "admin")).await.unwrap();
    assert!(reloader.refresh().await.unwrap());
    assert_eq!(signs_in(&auth, &made.secret), "ann admin");
    house.database.close().await;
    assert!(reloader.refresh().await.is_err());
    assert_eq!(signs_in(&auth, &made.secret), "ann admin", "without a database too");
}

#[tokio::test]
async fn callers_and_operators_keys_do_not_open_each_others_doors() {
    let house = house().await;
    let caller = house.admin.create_api_key(key("caller")).await.unwrap();
    let made = house.admin.create_admin_key(operator("ann", "admin")).await.unwrap();
    assert_eq!(signs_in(&house.auth(), &caller.secret), "the admin key is not known");
    assert!(house.shared.load().keys.find(made.secret.expose_secret()).is_none());
}

#[tokio::test]
async fn a_keys_fields_are_checked_by_name() {
    let house = house().await;
    let table = [
        (operator("", "viewer"), "name"),
        (operator("bootstrap", "viewer"), "name"),
        (operator("System", "viewer"), "name"),
        (operator("ann", "root"), "role"),
        (operator("ann", ""), "role"),
        (AdminKeyChange { role: None, ..operator("ann", "") }, "role"),
    ];
    for (change, param) in table {
        let refused = house.admin.create_admin_key(change).await.unwrap_err();
        assert_eq!((refused.kind, refused.param.as_deref()), (ErrorKind::InvalidRequest, Some(param)));
    }
    assert_eq!(house.log().await, []);
}

#[tokio::test]
async fn whatever_is_done_is_on_record_with_who_did_it() {
    let house = house().await;
    let ann = Actor {
        name: "ann".into(),
        role: Role::Operator,
        address: "10.0.0.9".into(),
        request_id: "r-1".into(),
    };
    let tick = || house.clock.advance(Duration::from_millis(1));
    house.admin.create_model(model("seeded")).await.unwrap();
    let admin = house.admin.acting_as(ann);
    tick();
    let provider = admin.create_provider(named("p"), Some("sk-0123456789-0123456789".into())).await.unwrap();
    tick();
    let off = ProviderChange { enabled: Some(false), ..ProviderChange::default() };
    admin.update_provider(&provider.id, off).await.unwrap();
    admin.create_provider(named("p"), None).await.unwrap_err();
    tick();
    admin.record(Event::new(action::RESET, "breaker")).await.unwrap();
    tick();
    let made = admin.create_admin_key(operator("bob", "viewer")).await.unwrap();
    tick();
    admin.rotate_admin_key(&made.key.id).await.unwrap();
    tick();
    admin.delete_provider(&provider.id).await.unwrap();

    let mut shown = String::new();
    for row in house.log().await {
        let AuditEntry { actor, address, request_id, action, noun, target_name, outcome, .. } = row;
        let words = [actor, address, request_id, action, noun, target_name, outcome];
        shown.push_str(&words.join(" "));
        shown.push('\n');
    }
    insta::assert_snapshot!(shown, @r"
    system   create model seeded ok
    ann 10.0.0.9 r-1 create provider p ok
    ann 10.0.0.9 r-1 create provider_key default ok
    ann 10.0.0.9 r-1 update provider p ok
    ann 10.0.0.9 r-1 reset breaker  ok
    ann 10.0.0.9 r-1 create admin_key bob ok
    ann 10.0.0.9 r-1 rotate admin_key bob ok
    ann 10.0.0.9 r-1 delete provider p ok
    ");
}

/// Every noun with a secret wherever one fits, made, changed and deleted; neither it nor anything made of it is in the log.
#[tokio::test]
async fn no_secret_is_in_the_audit_log() {
    let house = house().await;
    let admin = &house.admin;
    let secret = || SecretString::from(format!("sk-a-{CANARY}-0123456789-b"));
    let dressed = ProviderChange {
        headers: Some([("x-auth".to_owned(), format!("{CANARY}-header"))].into()),
        options: Some(ProviderOptions {
            body_overrides: [("auth".to_owned(), format!("\"{CANARY}-body\""))].into(),
            ..ProviderOptions::default()
        }),
        ..named("p")
    };
    let provider = admin.create_provider(dressed.clone(), Some(secret())).await.unwrap();
    admin.update_provider(&provider.id, ProviderChange { name: text("q"), ..dressed }).await.unwrap();
    let with_secret = || ProviderKeyChange { secret: Some(secret()), ..ProviderKeyChange::default() };
    let second = admin.create_provider_key(&provider.id, with_secret()).await.unwrap();
    let second = admin.update_provider_key(&second.id, with_secret()).await.unwrap();
    admin.delete_provider_key(&second.id).await.unwrap();
    let caller = admin.create_api_key(key("caller")).await.unwrap();
    let off = ApiKeyChange { enabled: Some(false), ..ApiKeyChange::default() };
    admin.update_api_key(&caller.key.id, off).await.unwrap();
    admin.delete_api_key(&caller.key.id).await.unwrap();
    let first = admin.create_admin_key(operator("ann", "viewer")).await.unwrap();
    let other = admin.rotate_admin_key(&first.key.id).await.unwrap();
    admin.delete_admin_key(&first.key.id).await.unwrap();
    admin.delete_provider(&provider.id).await.unwrap();

    let log = format!("{:?}", house.log().await);
    assert!(log.contains("x-auth") && log.contains(&first.key.prefix), "what is no secret is there: {log}");
    let mut hidden = vec![CANARY.to_owned(), second.sealed.clone()];
    for (whole, digest) in [
        (&caller.secret, caller.key.digest),
        (&first.secret, first.key.digest),
        (&other.secret, other.key.digest),
    ] {
        hidden.extend([whole.expose_secret()[20..].to_owned(), hex::encode(digest)]);
    }
    for secret in hidden {
        assert!(!log.contains(&secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn without_a_database_changes_are_refused_at_once_and_nothing_else_is_done() {
    let house = house().await;
    house.database.close().await;
    let refused = [
        house.admin.create_model(model("m")).await.unwrap_err(),
        house.admin.delete_model("m").await.unwrap_err(),
        house.admin.record(Event::new(action::RESET, "breaker")).await.unwrap_err(),
    ];
    for error in refused {
        assert_eq!(
            (error.kind, error.code.as_deref()),
            (ErrorKind::Unavailable, Some("database_unavailable"))
        );
        assert!(error.retry_after.is_some());
    }
}
