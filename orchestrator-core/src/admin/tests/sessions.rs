//! Sessions: what one opens, what ends it, and that nobody makes one by himself.

use super::*;
use crate::{
    admin::auth::AdminAuth,
    audit::{AuditFilter, action},
    catalog::admin_keys::EndedSession,
    store::{AuditStore as _, Slice},
};

const HOURS: u64 = 12;

struct Desk {
    house: House,
    auth: AdminAuth,
}

async fn desk() -> Desk {
    let house = house().await;
    let vault = Arc::new(Vault::new(&"master".into()));
    let auth = AdminAuth::new(&["bootstrap-key".into()], house.shared.clone(), vault, house.clock.clone());
    Desk { house, auth }
}

impl Desk {
    /// Signs in with a key; gives the token.
    async fn sign_in(&self, key: &str) -> String {
        let by = self.auth.check(&[key]).unwrap();
        // What is on record has an order.
        self.house.clock.advance(Duration::from_millis(1));
        self.house.admin.create_session(&by).await.unwrap().token.expose_secret().to_owned()
    }

    /// Who presents this, or why nobody does.
    fn who(&self, presented: &str) -> String {
        match self.auth.check(&[presented]) {
            Ok(session) => format!("{} {}", session.actor, session.role.name()),
            Err(error) => error.message,
        }
    }

    async fn operator(&self) -> (String, String) {
        let change =
            AdminKeyChange { name: text("ann"), role: text("operator"), ..AdminKeyChange::default() };
        let made = self.house.admin.create_admin_key(change).await.unwrap();
        (made.key.id.clone(), made.secret.expose_secret().to_owned())
    }

    async fn change(&self, id: &str, change: AdminKeyChange) {
        self.house.admin.update_admin_key(id, change).await.unwrap();
    }
}

const OVER: &str = "the session is over; sign in again";

#[tokio::test]
async fn a_session_opens_what_its_key_opens_and_ends_with_it() {
    let desk = desk().await;
    let (id, key) = desk.operator().await;
    let token = desk.sign_in(&key).await;
    assert!(token.starts_with("llmo_session_") && !token.contains(&key[20..]));
    assert_eq!(desk.who(&token), "ann operator");

    let role = |role: &str| AdminKeyChange { role: text(role), ..AdminKeyChange::default() };
    desk.change(&id, role("viewer")).await;
    assert_eq!(desk.who(&token), OVER, "what it opens is not what it was");
    desk.change(&id, role("operator")).await;
    assert_eq!(desk.who(&token), "ann operator");
    let enabled = |enabled| AdminKeyChange { enabled: Some(enabled), ..AdminKeyChange::default() };
    desk.change(&id, enabled(false)).await;
    assert_eq!(desk.who(&token), "the admin key is disabled");
    desk.change(&id, enabled(true)).await;
    let renamed = AdminKeyChange { name: text("anna"), ..AdminKeyChange::default() };
    desk.change(&id, renamed).await;
    assert_eq!(desk.who(&token), "anna operator", "the log knows her by the name that she has");

    let rotated = desk.house.admin.rotate_admin_key(&id).await.unwrap();
    assert_eq!(desk.who(&token), OVER);
    let token = desk.sign_in(rotated.secret.expose_secret()).await;
    desk.house.admin.delete_admin_key(&id).await.unwrap();
    assert_eq!(desk.who(&token), OVER);
}

#[tokio::test]
async fn a_session_ends_after_half_a_day_and_never_later_than_its_key() {
    let desk = desk().await;
    let token = desk.sign_in("bootstrap-key").await;
    assert_eq!(desk.who(&token), "bootstrap admin");
    desk.house.clock.advance(Duration::from_millis(HOURS * 3_600_000 - 1));
    assert_eq!(desk.who(&token), "bootstrap admin");
    desk.house.clock.advance(Duration::from_millis(1));
    assert_eq!(desk.who(&token), OVER);

    let (id, key) = desk.operator().await;
    let soon = Some(desk.house.clock.now().plus(Duration::from_mins(1)));
    desk.change(&id, AdminKeyChange { expires_at: Some(soon), ..AdminKeyChange::default() }).await;
    let token = desk.sign_in(&key).await;
    assert_eq!(desk.auth.check(&[&token]).unwrap().expires_at, soon);
    // A longer life of the key is none of a session that began before.
    desk.change(&id, AdminKeyChange { expires_at: Some(None), ..AdminKeyChange::default() }).await;
    desk.house.clock.advance(Duration::from_mins(1));
    assert_eq!(desk.who(&token), OVER);
}

#[tokio::test]
async fn signing_out_ends_one_session_in_every_core_and_is_on_record() {
    let desk = desk().await;
    let (one, other) = (desk.sign_in("bootstrap-key").await, desk.sign_in("bootstrap-key").await);
    let elsewhere = Arc::new(SharedCatalog::default());
    let vault = Arc::new(Vault::new(&"master".into()));
    let reader = Arc::new(desk.house.database.clone());
    let reloader = Reloader::new(reader, vault.clone(), elsewhere.clone(), config::Timeouts::default());
    let auth = AdminAuth::new(&["bootstrap-key".into()], elsewhere, vault, desk.house.clock.clone());
    reloader.refresh().await.unwrap();
    assert!(auth.check(&[&one]).is_ok(), "no core has to be told of a session");

    let by = desk.auth.check(&[&one]).unwrap();
    for _ in 0..2 {
        desk.house.clock.advance(Duration::from_millis(1));
        desk.house.admin.end_session(&by).await.unwrap();
    }
    reloader.refresh().await.unwrap();
    for auth in [&desk.auth, &auth] {
        assert_eq!(auth.check(&[&one]).unwrap_err().message, OVER);
        assert!(auth.check(&[&other]).is_ok(), "the other goes on");
        assert!(auth.check(&["bootstrap-key"]).is_ok(), "and so does the key");
    }
    let (filter, all) = (AuditFilter::default(), Slice { after: None, limit: 9 });
    let mut log = desk.house.database.audit_log(&filter, &all).await.unwrap();
    log.reverse();
    let told: Vec<_> = log.iter().map(|row| (row.action.as_str(), row.target_name.as_str())).collect();
    let sign_out = (action::SIGN_OUT, "bootstrap");
    assert_eq!(told, [(action::SIGN_IN, "bootstrap"), (action::SIGN_IN, "bootstrap"), sign_out, sign_out]);
    assert!(!format!("{log:?}").contains(&one["llmo_session_".len()..]));
}

#[tokio::test]
async fn a_token_is_nobodys_to_make_or_to_prolong() {
    let desk = desk().await;
    let token = desk.sign_in("bootstrap-key").await;
    let by_session = desk.auth.check(&[&token]).unwrap();
    let refused = desk.house.admin.create_session(&by_session).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Conflict, "{refused}");
    let by_key = desk.auth.check(&["bootstrap-key"]).unwrap();
    assert_eq!(desk.house.admin.end_session(&by_key).await.unwrap_err().kind, ErrorKind::Conflict);

    let mut forged =
        vec!["llmo_session_".to_owned(), format!("{token}A"), token[..token.len() - 1].to_owned()];
    for place in (13..token.len()).step_by(7) {
        let mut wrong = token.clone().into_bytes();
        wrong[place] = if wrong[place] == b'x' { b'y' } else { b'x' };
        forged.push(String::from_utf8(wrong).unwrap());
    }
    for token in forged {
        assert_eq!(desk.who(&token), OVER, "{token}");
    }
    let stranger = Arc::new(Vault::new(&"another master key".into()));
    let clock = desk.house.clock.clone();
    let auth = AdminAuth::new(&["bootstrap-key".into()], desk.house.shared.clone(), stranger, clock);
    assert_eq!(auth.check(&[&token]).unwrap_err().message, OVER);
    let other = Arc::new(Vault::new(&"master".into()));
    let auth = AdminAuth::new(&["other".into()], desk.house.shared.clone(), other, desk.house.clock.clone());
    assert_eq!(auth.check(&[&token]).unwrap_err().message, OVER, "a changed ADMIN_KEY ends its sessions");
}

#[tokio::test]
async fn who_operates_may_sign_in_while_the_database_is_away() {
    let desk = desk().await;
    desk.house.database.close().await;
    let token = desk.sign_in("bootstrap-key").await;
    assert_eq!(desk.who(&token), "bootstrap admin");
    let by = desk.auth.check(&[&token]).unwrap();
    assert_eq!(desk.house.admin.end_session(&by).await.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn ended_sessions_are_forgotten_when_they_would_be_over_anyway() {
    let desk = desk().await;
    for _ in 0..3 {
        let token = desk.sign_in("bootstrap-key").await;
        let by = desk.auth.check(&[&token]).unwrap();
        desk.house.admin.end_session(&by).await.unwrap();
        desk.house.clock.advance(Duration::from_hours(HOURS) + Duration::from_secs(1));
    }
    let rows = desk.house.database.load().await.unwrap().ended_sessions;
    let at: Vec<_> = rows.iter().map(|EndedSession { expires_at, .. }| *expires_at).collect();
    assert_eq!(at.len(), 1, "{at:?}");
}
