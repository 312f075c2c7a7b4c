//! Masks, moments and fields, held against the contract itself.

use orchestrator_base::clock::UnixMicros;
use orchestrator_core::catalog::OnDisconnect;
use orchestrator_proto::DESCRIPTORS;
use prost::Message as _;
use prost_types::FileDescriptorSet;

use super::*;

/// The names of a message's fields, as the contract has them.
fn fields(message: &str) -> Vec<String> {
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let mut messages = set.file.iter().flat_map(|file| &file.message_type);
    let message = messages.find(|known| known.name() == message).unwrap();
    message.field.iter().map(|field| field.name().to_owned()).collect()
}

/// Every field of the message either can be changed or is read-only; nothing else is accepted.
fn check_mask(message: &str, mutable: &[&str], change: impl Fn(&[String]) -> Result<()>) {
    for field in fields(message) {
        match change(std::slice::from_ref(&field)) {
            Ok(()) => assert!(mutable.contains(&&*field), "{message}.{field} is changed, but not by *"),
            Err(refused) => {
                assert!(!mutable.contains(&&*field), "{message}.{field}: {refused}");
                assert_eq!(refused.param.as_deref(), Some("update_mask"), "{message}.{field}");
                assert!(refused.message.contains("cannot be changed"), "{message}.{field}: {refused}");
            }
        }
    }
    change(&all(mutable)).unwrap();
    for path in ["nonsense", "", "timeouts.idle_ms", "NAME"] {
        let refused = change(&[path.to_owned()]).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some("update_mask"));
        assert!(refused.message.contains("not a field"), "{refused}");
    }
}

#[test]
fn a_mask_names_fields_that_can_be_changed() {
    check_mask("Provider", &providers::MUTABLE, |paths| {
        providers::change(v1::Provider::default(), paths).map(|_| ())
    });
    check_mask("ProviderKey", &provider_keys::MUTABLE, |paths| {
        provider_keys::change(v1::ProviderKey::default(), paths).map(|_| ())
    });
    check_mask("Model", &models::MUTABLE, |paths| models::change(v1::Model::default(), paths).map(|_| ()));
    check_mask("ModelProvider", &model_providers::MUTABLE, |paths| {
        model_providers::change(v1::ModelProvider::default(), paths).map(|_| ())
    });
    check_mask("Price", &prices::MUTABLE, |paths| prices::change(&v1::Price::default(), paths).map(|_| ()));
    check_mask("Team", &teams::MUTABLE, |paths| teams::change(&v1::Team::default(), paths).map(|_| ()));
    check_mask("ApiKey", &api_keys::MUTABLE, |paths| {
        api_keys::change(v1::ApiKey::default(), paths).map(|_| ())
    });
}

#[test]
fn a_mask_is_required_and_a_star_means_all() {
    let mask = |named: &[&str]| Some(FieldMask { paths: all(named) });
    for missing in [None, mask(&[])] {
        assert_eq!(paths(missing, &["a"]).unwrap_err().param.as_deref(), Some("update_mask"));
    }
    assert_eq!(paths(mask(&["*"]), &["a", "b"]).unwrap(), ["a", "b"]);
    assert_eq!(paths(mask(&["b"]), &["a", "b"]).unwrap(), ["b"]);
}

#[test]
fn only_named_fields_change_and_an_unset_one_gets_its_default() {
    let message = v1::Provider { name: "n".into(), weight: Some(7), ..v1::Provider::default() };
    let change = providers::change(message, &all(&["weight", "priority", "timeout"])).unwrap();
    assert_eq!((change.weight, change.priority, change.timeout), (Some(7), Some(100), Some(None)));
    assert_eq!((change.name, change.enabled), (None, None));
}

#[test]
fn limits_are_taken_as_they_are_and_dollars_to_the_nano_dollar() {
    let message = v1::ApiKey {
        requests_per_minute: Some(60),
        tokens_per_minute: Some(1 << 40),
        max_concurrency: None,
        budget_usd: Some(12.345_678_901),
        budget_period: "month".into(),
        log_bodies: true,
        ..v1::ApiKey::default()
    };
    let change = api_keys::change(message.clone(), &all(&api_keys::MUTABLE)).unwrap();
    let limits = change.limits;
    assert_eq!(
        (limits.requests_per_minute, limits.tokens_per_minute, limits.max_concurrency),
        (Some(Some(60)), Some(Some(1 << 40)), Some(None))
    );
    assert_eq!(limits.budget_nanos, Some(Some(12_345_678_901)));
    assert_eq!((limits.budget_period.as_deref(), change.log_bodies), (Some("month"), Some(true)));
    let named = api_keys::change(message, &["budget_period".to_owned()]).unwrap().limits;
    assert_eq!((named.budget_nanos, named.requests_per_minute), (None, None), "what is not named stays");
    for bad in [-1.0, 0.000_000_000_1, f64::NAN, 1e10] {
        let key = v1::ApiKey { budget_usd: Some(bad), ..v1::ApiKey::default() };
        let refused = api_keys::change(key, &["budget_usd".to_owned()]).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some("budget_usd"), "{bad}");
        let team = v1::Team { budget_usd: Some(bad), ..v1::Team::default() };
        assert_eq!(
            teams::change(&team, &all(&teams::MUTABLE)).unwrap_err().param.as_deref(),
            Some("budget_usd")
        );
    }
    let limited = v1::Provider { rate_limit: Some(60), ..v1::Provider::default() };
    assert_eq!(providers::change(limited, &all(&providers::MUTABLE)).unwrap().rate_limit, Some(Some(60)));
}

#[test]
fn what_becomes_of_a_left_answer_is_one_of_two_words() {
    let set = |word: &str| {
        let message = v1::ApiKey { on_disconnect: word.into(), ..v1::ApiKey::default() };
        api_keys::change(message, &["on_disconnect".to_owned()]).map(|change| change.on_disconnect)
    };
    assert_eq!(set("").unwrap(), Some(OnDisconnect::Cancel));
    assert_eq!(set("cancel").unwrap(), Some(OnDisconnect::Cancel));
    assert_eq!(set("drain").unwrap(), Some(OnDisconnect::Drain));
    let refused = set("Drain").unwrap_err();
    assert_eq!((refused.status(), refused.param.as_deref()), (400, Some("on_disconnect")));
}

#[test]
fn a_secret_that_is_named_must_be_given() {
    let mask = |path: &str| Some(FieldMask { paths: vec![path.to_owned()] });
    let refused = provider_keys::update(v1::ProviderKey::default(), mask("secret")).unwrap_err();
    assert_eq!(refused.param.as_deref(), Some("secret"));
    assert!(provider_keys::update(v1::ProviderKey::default(), mask("*")).unwrap().secret.is_none());
}

#[test]
fn moments_survive_and_what_is_none_is_refused() {
    for micros in [0, 1, -1, 1_795_230_128_000_001] {
        let there = timestamp(UnixMicros(micros)).unwrap();
        assert_eq!(moment("at", there).unwrap(), UnixMicros(micros));
    }
    let broken = [
        Timestamp { seconds: i64::MAX, nanos: 0 },
        Timestamp { seconds: 0, nanos: -1 },
        Timestamp { seconds: 0, nanos: 1_000_000_000 },
    ];
    for timestamp in broken {
        assert_eq!(moment("expires_at", timestamp).unwrap_err().param.as_deref(), Some("expires_at"));
    }
}

#[test]
fn amounts_are_decimal_text_and_nothing_else() {
    let with = |amount: &str| v1::Price { output: Some(amount.into()), ..v1::Price::default() };
    let change = prices::change(&with("0.075"), &all(&["output", "input"])).unwrap();
    assert_eq!((change.output, change.input, change.cached_read), (Some(Some(75_000_000)), Some(None), None));
    for bad in ["", "-1", "1e3", "0.0000000001", "2,5", "$2"] {
        let refused = prices::change(&with(bad), &all(&["output"])).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some("output"), "{bad}");
    }
}
