//! The rules of a picture, one by one and under any sequence of outcomes.

use proptest::prelude::*;

use super::*;
use crate::error::{Error, ErrorKind, Upstream};

const START: UnixMicros = UnixMicros(1_795_000_000_000_000);

fn good() -> Seen {
    Seen::answer(200, Duration::from_millis(40))
}

fn fault() -> Seen {
    Seen { status: 503, error: Some("it answered 503".into()), ..Seen::default() }
}

fn after(seconds: u64) -> UnixMicros {
    START.plus(Duration::from_secs(seconds))
}

/// A picture of these outcomes, a second apart.
fn picture(outcomes: &[Seen]) -> Picture {
    let mut picture = Picture::default();
    for (second, seen) in (0..).zip(outcomes) {
        picture.saw(after(second), seen);
    }
    picture
}

fn status(outcomes: &[Seen]) -> &'static str {
    picture(outcomes).status(after(outcomes.len() as u64), &Settings::default()).name()
}

/// So many answers, of which so many are faults, never two in a row.
fn mixed(faults: usize, all: usize) -> Vec<Seen> {
    (0..all).map(|number| if number % 4 == 1 && number / 4 < faults { fault() } else { good() }).collect()
}

#[test]
fn faults_in_a_row_degrade_then_condemn_and_one_success_restores() {
    assert_eq!(status(&[]), "unknown");
    assert_eq!(status(&[good()]), "healthy");
    assert_eq!(status(&[good(), fault()]), "healthy");
    assert_eq!(status(&[fault(), fault()]), "degraded");
    assert_eq!(status(&vec![fault(); 4]), "degraded");
    assert_eq!(status(&vec![fault(); 5]), "unhealthy");
    let mut outcomes = vec![fault(); 9];
    outcomes.push(good().by_probe());
    assert_eq!(status(&outcomes), "healthy");
}

#[test]
fn nine_of_ten_are_asked_of_at_least_twenty_answers_in_five_minutes() {
    // No two faults stand in a row.
    assert_eq!(status(&mixed(4, 19)), "healthy", "too few to tell");
    assert_eq!(status(&mixed(2, 20)), "healthy", "nine of ten");
    assert_eq!(status(&mixed(3, 20)), "degraded");
    let old = picture(&mixed(3, 20));
    assert_eq!(old.status(after(330), &Settings::default()), Status::Healthy, "it was long ago");
}

#[test]
fn a_setting_holds_for_what_was_seen_before_it_changed() {
    let picture = picture(&vec![fault(); 3]);
    let strict = Settings { max_error_count: 3, ..Settings::default() };
    assert_eq!(picture.status(after(3), &strict), Status::Unhealthy);
    assert_eq!(picture.next_retry_at(after(3), &strict), Some(after(2 + 3600)));
    assert_eq!(picture.next_retry_at(after(3), &Settings::default()), None);
}

#[test]
fn who_is_not_well_may_be_tried_again_in_time_and_another_fault_begins_it_anew() {
    let fitness = |picture: &Picture, at: u64| picture.fitness(after(at), &Settings::default());
    let twice = picture(&vec![fault(); 2]);
    assert_eq!(fitness(&twice, 2), Status::Healthy, "two faults turn no traffic away");
    let poor = picture(&mixed(3, 20));
    assert_eq!((fitness(&poor, 20), fitness(&poor, 330)), (Status::Degraded, Status::Healthy));
    let mut sick = picture(&vec![fault(); 5]);
    assert_eq!((fitness(&sick, 3603), fitness(&sick, 3604)), (Status::Unhealthy, Status::Healthy));
    assert_eq!(sick.status(after(3604), &Settings::default()), Status::Unhealthy, "and is shown as it is");
    sick.saw(after(3604), &fault());
    assert_eq!(fitness(&sick, 3605), Status::Unhealthy);
    let unprobed = Settings { enabled: false, ..Settings::default() };
    assert_eq!(sick.fitness(after(3605), &unprobed), Status::Unknown, "breakers see to it");
}

#[test]
fn a_probe_whose_keys_are_all_refused_condemns_at_once_and_a_request_does_not() {
    let refused = Seen { status: 401, ..fault() };
    assert_eq!(status(&[refused.clone().by_probe()]), "unhealthy");
    assert_eq!(status(std::slice::from_ref(&refused)), "degraded");
    assert_eq!(status(&[refused.by_probe(), good()]), "healthy");
}

#[test]
fn what_is_forgiven_is_held_against_nobody_and_still_counted() {
    let mut forgiven = picture(&vec![fault(); 30]);
    forgiven.forgive();
    let report = forgiven.report(after(31), &Settings::default(), &Hours::default());
    assert_eq!((report.status, report.success_rate_24h), (Status::Healthy, Some(0.0)));
    assert!(report.facts.error_message.is_some());
}

#[test]
fn probes_are_in_no_statistics() {
    let mut outcomes = vec![good(), fault(), good(), good()];
    outcomes.extend(vec![fault().by_probe(); 3]);
    outcomes.push(good().by_probe());
    let report = picture(&outcomes).report(after(9), &Settings::default(), &Hours::default());
    assert_eq!((report.total_requests_24h, report.success_rate_24h), (4, Some(75.0)));
    assert_eq!((report.facts.response_time_ms, report.avg_response_time_ms), (Some(40), Some(40)));
    let only_probes = picture(&[good().by_probe()]);
    let report = only_probes.report(after(1), &Settings::default(), &Hours::default());
    assert_eq!((report.total_requests_24h, report.success_rate_24h), (0, None));
}

#[test]
fn a_stream_that_breaks_is_one_request_that_failed() {
    let broken = Seen::broken_stream(Duration::from_secs(1));
    let report = picture(&[good(), good(), broken]).report(after(3), &Settings::default(), &Hours::default());
    assert_eq!((report.total_requests_24h, report.success_rate_24h), (2, Some(50.0)));
    assert_eq!((report.facts.error_count, report.facts.last_status_code), (1, Some(200)));
}

#[test]
fn a_day_later_the_statistics_are_empty_and_the_status_is_kept() {
    let mut old = picture(&vec![fault(); 5]);
    let report = old.report(after(23 * 3600), &Settings::default(), &Hours::default());
    assert_eq!((report.total_requests_24h, report.success_rate_24h), (5, Some(0.0)));
    let report = old.report(after(25 * 3600), &Settings::default(), &Hours::default());
    assert_eq!((report.total_requests_24h, report.status), (0, Status::Unhealthy));
    old.saw(after(25 * 3600), &good());
    assert_eq!(old.hours.len(), 1, "what is over is forgotten");
}

#[test]
fn other_cores_counts_are_added_and_their_news_are_taken_when_they_are_newer() {
    let mut ours = picture(&[good(), good()]);
    let theirs = picture(&vec![fault(); 5]);
    let report = ours.report(after(5), &Settings::default(), &theirs.hours);
    assert_eq!((report.total_requests_24h, report.status), (7, Status::Healthy));
    ours.adopt(&theirs.facts);
    assert_eq!(ours.status(after(5), &Settings::default()), Status::Unhealthy);
    ours.adopt(&picture(&[good()]).facts);
    assert_eq!(ours.status(after(5), &Settings::default()), Status::Unhealthy, "those news are older");
}

#[test]
fn what_an_error_says_of_the_provider() {
    let said = |kind: ErrorKind, status: u16, body: &'static str| {
        let upstream = Upstream { status, body: body.into(), ..Upstream::default() };
        let error = Error::new(kind, "its words").with_upstream(upstream);
        Seen::failure(&error, Duration::ZERO).map(|seen| (seen.good, seen.status))
    };
    let body = r#"{"error":{}}"#;
    assert_eq!(said(ErrorKind::ProviderFailed, 503, body), Some((false, 503)));
    assert_eq!(said(ErrorKind::ProviderFailed, 0, ""), Some((false, 0)));
    assert_eq!(said(ErrorKind::Timeout, 0, ""), Some((false, 0)));
    assert_eq!(said(ErrorKind::ProviderFailed, 401, body), Some((false, 401)));
    assert_eq!(said(ErrorKind::RateLimited, 429, body), Some((true, 429)));
    assert_eq!(said(ErrorKind::InvalidRequest, 400, body), Some((true, 400)));
    assert_eq!(said(ErrorKind::TooLarge, 413, body), Some((true, 413)));
    assert_eq!(said(ErrorKind::NotFound, 404, body), Some((true, 404)));
    assert_eq!(said(ErrorKind::NotFound, 404, ""), Some((false, 404)), "a page at a wrong address");
    for kind in [ErrorKind::Cancelled, ErrorKind::Internal, ErrorKind::Timeout, ErrorKind::InvalidRequest] {
        assert_eq!(Seen::failure(&Error::new(kind, "ours"), Duration::ZERO), None, "{kind:?}");
    }
}

#[test]
fn what_a_provider_says_of_a_key_is_not_kept() {
    let upstream = Upstream { status: 401, body: "{}".into(), ..Upstream::default() };
    let error = Error::new(ErrorKind::ProviderFailed, "Incorrect key sk-l***9").with_upstream(upstream);
    let seen = Seen::failure(&error, Duration::ZERO).unwrap();
    assert_eq!(picture(&[seen]).facts.error_message.unwrap(), "the provider does not take the key");
}

#[test]
fn a_setting_out_of_range_is_named() {
    let refused = |settings: Settings| settings.check().unwrap_err().param.unwrap();
    Settings::default().check().unwrap();
    assert_eq!(refused(Settings { interval_minutes: 0, ..Settings::default() }), "interval_minutes");
    assert_eq!(refused(Settings { max_error_count: 1001, ..Settings::default() }), "max_error_count");
    assert_eq!(refused(Settings { retry_after_hours: 721, ..Settings::default() }), "retry_after_hours");
}

fn outcomes() -> impl Strategy<Value = Vec<(i64, Seen)>> {
    let seen = (any::<bool>(), 0_u16..600, 0_u64..100_000, any::<Option<String>>(), any::<bool>());
    let seen = seen.prop_map(|(good, status, latency_ms, error, probe)| {
        let revoked = !good && !probe && status == 200;
        Seen { good, status, latency_ms, error, probe, revoked }
    });
    // Clocks jump, backwards too.
    let step = prop_oneof![8 => 0_i64..60_000_000, 1 => -100_000_000_000_i64..100_000_000_000];
    proptest::collection::vec((step, seen), 0..120)
}

proptest! {
    #[test]
    fn whatever_is_seen_a_picture_is_bounded_and_says_what_the_rules_say(
        outcomes in outcomes(),
        max_error_count in 1_u32..10,
    ) {
        let settings = Settings { max_error_count, ..Settings::default() };
        let (mut picture, mut now) = (Picture::default(), START);
        let (mut in_a_row, mut live) = (0_u32, 0);
        for (step, seen) in &outcomes {
            now = UnixMicros(now.0 + step);
            picture.saw(now, seen);
            in_a_row = if seen.good { 0 } else { in_a_row + 1 };
            let refused = seen.probe && seen.is_refusal();
            live += u64::from(!seen.probe);

            let report = picture.report(now, &settings, &Hours::default());
            prop_assert_eq!(report.status == Status::Unhealthy, refused || in_a_row >= max_error_count);
            prop_assert_eq!(report.next_retry_at.is_some(), report.status == Status::Unhealthy);
            prop_assert!(report.status != Status::Healthy || in_a_row < 2);
            prop_assert!(picture.hours.len() <= 24);
            prop_assert!(report.total_requests_24h <= live);
            prop_assert!(report.success_rate_24h.is_none_or(|rate| (0.0..=100.0).contains(&rate)));
            prop_assert_eq!(report.success_rate_24h.is_none(), report.total_requests_24h == 0);
            let message = report.facts.error_message.unwrap_or_default();
            prop_assert!(message.len() <= 500 && !message.contains('\n'));
        }
        prop_assert_eq!(picture.status(now, &settings) == Status::Unknown, outcomes.is_empty());
    }
}
