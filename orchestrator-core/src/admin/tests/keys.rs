//! Callers' keys and their teams: what a secret opens, for how long, and what a team's name holds together.

use super::*;
use crate::{
    admission::authenticate,
    audit::AuditFilter,
    catalog::{
        ApiKey,
        limits::{Budget, Limits, Period},
    },
};

impl House {
    /// Why this secret is refused; `None`: it is taken.
    fn refusal(&self, secret: &SecretString) -> Option<String> {
        let snapshot = self.shared.load();
        let refused = authenticate(std::slice::from_ref(secret), &snapshot.keys, self.clock.now()).err()?;
        assert_eq!((refused.status(), refused.code.as_deref()), (401, Some("invalid_api_key")));
        Some(refused.message)
    }
}

fn team(name: &str) -> TeamChange {
    TeamChange { name: text(name), ..TeamChange::default() }
}

fn of_team(name: &str, team: &str) -> ApiKeyChange {
    ApiKeyChange { team: text(team), ..key(name) }
}

#[tokio::test]
async fn a_rotated_keys_old_secret_is_taken_for_as_long_as_it_was_said() {
    let house = house().await;
    let admin = &house.admin;
    let first = admin.create_api_key(key("ci")).await.unwrap();
    // Rows of the log within a millisecond have no order.
    house.clock.advance(Duration::from_secs(1));
    let second = admin.rotate_api_key(&first.key.id, 60).await.unwrap();
    assert_eq!(
        (&second.key.id, second.key.previous.as_ref().unwrap().until),
        (&first.key.id, UnixMicros(62_000_000))
    );
    assert!(
        second.secret.expose_secret().starts_with(&second.key.prefix)
            && second.key.prefix != first.key.prefix
    );
    assert_eq!((house.refusal(&first.secret), house.refusal(&second.secret)), (None, None));
    house.clock.advance(Duration::from_secs(59));
    assert_eq!(house.refusal(&first.secret), None);
    house.clock.advance(Duration::from_secs(1));
    let ended = "the API key was rotated, and its old secret is no longer taken";
    assert_eq!(house.refusal(&first.secret).as_deref(), Some(ended));
    assert_eq!(house.refusal(&second.secret), None);

    let third = admin.rotate_api_key(&first.key.id, 60).await.unwrap();
    let unknown = Some("the API key is not known here".to_owned());
    assert_eq!(house.refusal(&first.secret), unknown, "only the one before is kept");
    house.clock.advance(Duration::from_secs(1));
    let last = admin.rotate_api_key(&first.key.id, 0).await.unwrap();
    assert_eq!(last.key.previous, None);
    assert_eq!([house.refusal(&second.secret), house.refusal(&third.secret)], [unknown.clone(), unknown]);
    assert_eq!(house.refusal(&last.secret), None);
    let too_long = admin.rotate_api_key(&first.key.id, 2_592_001).await.unwrap_err();
    assert_eq!((too_long.status(), too_long.param.as_deref()), (400, Some("overlap_seconds")));
    assert_eq!(
        admin.rotate_api_key("ci", 0).await.unwrap_err().kind,
        ErrorKind::NotFound,
        "an id, not a name"
    );

    let filter = AuditFilter { noun: text("api_key"), ..AuditFilter::default() };
    let log = admin.audit_log(&filter, &Page::default()).await.unwrap().items;
    assert_eq!(
        log.iter().map(|entry| entry.action.as_str()).collect::<Vec<_>>(),
        ["rotate", "rotate", "rotate", "create"]
    );
    let shown = format!("{log:?}");
    assert!(shown.contains("previous_until"));
    for secret in [&first, &second, &third, &last] {
        assert!(
            !shown.contains(secret.secret.expose_secret())
                && !shown.contains(&hex::encode(secret.key.digest))
        );
    }
}

#[tokio::test]
async fn each_refusal_of_a_key_says_why() {
    let house = house().await;
    let admin = &house.admin;
    let made = admin
        .create_api_key(ApiKeyChange { expires_at: Some(Some(UnixMicros(2_000_000))), ..key("ci") })
        .await;
    let made = made.unwrap();
    let update = async |change: ApiKeyChange| admin.update_api_key(&made.key.id, change).await.unwrap();
    let off = |enabled| ApiKeyChange { enabled: Some(enabled), ..ApiKeyChange::default() };
    assert_eq!(house.refusal(&made.secret), None);
    update(off(false)).await;
    assert_eq!(house.refusal(&made.secret).as_deref(), Some("the API key is disabled"));
    update(off(true)).await;
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(house.refusal(&made.secret).as_deref(), Some("the API key has expired"));
    update(ApiKeyChange { expires_at: Some(None), ..ApiKeyChange::default() }).await;
    assert_eq!(house.refusal(&made.secret), None);
    let cut = made.secret.expose_secret();
    let typo = house.refusal(&cut[..cut.len() - 1].into()).unwrap();
    assert!(typo.contains("checksum"), "{typo}");
    admin.delete_api_key(&made.key.id).await.unwrap();
    assert_eq!(house.refusal(&made.secret).as_deref(), Some("the API key is not known here"));
}

#[tokio::test]
async fn a_key_names_a_team_that_is_there_and_a_disabled_teams_keys_are_refused() {
    let house = house().await;
    let admin = &house.admin;
    let refused = admin.create_api_key(of_team("ci", "blue")).await.unwrap_err();
    assert_eq!((refused.status(), refused.param.as_deref()), (400, Some("team")));
    let blue = admin.create_team(team("blue")).await.unwrap();
    let by_id = admin.create_api_key(of_team("ci", &blue.id)).await.unwrap_err();
    assert_eq!(by_id.param.as_deref(), Some("team"), "a key names its team, not its id");
    let made = admin.create_api_key(of_team("ci", "blue")).await.unwrap();
    let elsewhere = ApiKeyChange { team: text("green"), ..ApiKeyChange::default() };
    assert_eq!(
        admin.update_api_key(&made.key.id, elsewhere).await.unwrap_err().param.as_deref(),
        Some("team")
    );

    let off = |enabled| TeamChange { enabled: Some(enabled), ..TeamChange::default() };
    admin.update_team(&blue.id, off(false)).await.unwrap();
    assert_eq!(house.refusal(&made.secret).as_deref(), Some("the API key's team is disabled"));
    admin.update_team(&blue.id, off(true)).await.unwrap();
    assert_eq!(house.refusal(&made.secret), None);
}

#[tokio::test]
async fn a_new_name_goes_into_the_teams_keys_and_a_team_that_has_keys_stays() {
    let house = house().await;
    let admin = &house.admin;
    let blue = admin.create_team(team("blue")).await.unwrap();
    for name in ["a", "b", "c", "d"] {
        house.clock.advance(Duration::from_millis(1));
        admin.create_api_key(of_team(name, "blue")).await.unwrap();
    }
    admin.update_team(&blue.id, TeamChange { name: text("navy"), ..TeamChange::default() }).await.unwrap();
    let teams = |keys: &[ApiKey]| keys.iter().map(|key| key.team.clone()).collect::<Vec<_>>();
    let keys = admin.list_api_keys(&Page::default()).await.unwrap().items;
    assert_eq!(teams(&keys), ["navy"; 4]);

    let refused = admin.delete_team(&blue.id).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Conflict);
    assert_eq!(refused.message, "team navy has keys: a, b, c, 1 more; give them another team or delete them");
    for key in &keys {
        let leave = ApiKeyChange { team: text(""), ..ApiKeyChange::default() };
        admin.update_api_key(&key.id, leave).await.unwrap();
    }
    admin.delete_team(&blue.id).await.unwrap();
    assert_eq!(admin.team("navy").await.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_label_from_before_there_were_teams_stays_until_a_team_takes_its_name() {
    let house = house().await;
    let labelled = ApiKey { team: "old".into(), ..samples::api_key("c1", "ci", "the-secret-of-ci") };
    let insert = vec![CatalogChange::InsertApiKey(Box::new(labelled))];
    house.database.apply(insert, &Stamp::for_tests()).await.unwrap();
    let owned = ApiKeyChange { owner: text("ann"), team: text("old"), ..ApiKeyChange::default() };
    assert_eq!(
        house.admin.update_api_key("c1", owned).await.unwrap().team,
        "old",
        "what does not change may stay"
    );
    let off = TeamChange { enabled: Some(false), ..team("old") };
    house.admin.create_team(off).await.unwrap();
    assert_eq!(house.refusal(&"the-secret-of-ci".into()).as_deref(), Some("the API key's team is disabled"));
}

#[tokio::test]
async fn limits_are_kept_and_taken_away_one_by_one() {
    let house = house().await;
    let admin = &house.admin;
    let limits = LimitsChange {
        requests_per_minute: Some(Some(60)),
        tokens_per_minute: Some(Some(9_000)),
        max_concurrency: Some(Some(2)),
        budget_nanos: Some(Some(1_500_000_001)),
        budget_period: text("day"),
    };
    let made = admin.create_api_key(ApiKeyChange { limits: limits.clone(), ..key("ci") }).await.unwrap().key;
    let all = Limits {
        requests_per_minute: Some(60),
        tokens_per_minute: Some(9_000),
        max_concurrency: Some(2),
        budget: Some(Budget { nanos: 1_500_000_001, period: Period::Day }),
    };
    assert_eq!(made.limits, all);
    let change = |limits| ApiKeyChange { limits, ..ApiKeyChange::default() };
    let less =
        LimitsChange { budget_nanos: Some(None), tokens_per_minute: Some(None), ..LimitsChange::default() };
    let less = admin.update_api_key(&made.id, change(less)).await.unwrap();
    assert_eq!(less.limits, Limits { budget: None, tokens_per_minute: None, ..all });
    assert_eq!(admin.api_key("ci").await.unwrap(), less);
    let none = LimitsChange { requests_per_minute: Some(Some(0)), ..LimitsChange::default() };
    let refused = admin.update_api_key(&made.id, change(none)).await.unwrap_err();
    assert_eq!(refused.param.as_deref(), Some("requests_per_minute"));
    let team = admin.create_team(TeamChange { limits, ..team("blue") }).await.unwrap();
    assert_eq!(admin.team(&team.id).await.unwrap().limits, all);
    let model = ModelChange { requests_per_minute: Some(Some(5)), ..model("m") };
    let model = admin.create_model(model).await.unwrap();
    assert_eq!(model.limits, Limits { requests_per_minute: Some(5), ..Limits::default() });
    assert_eq!(admin.model("m").await.unwrap(), model);
}
