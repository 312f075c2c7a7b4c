//! When a provider is asked, and what its answers do.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;

use super::*;
use crate::catalog::{CatalogRows, samples, snapshot::Catalog};

const MS: Duration = Duration::from_millis(1);

/// Each provider `id`, with these keys, as a target.
fn target(id: &str, keys: &[&str]) -> Target {
    let rows = CatalogRows {
        providers: vec![samples::provider(id, id)],
        provider_keys: keys.iter().map(|key| samples::provider_key(key, id, key)).collect(),
        ..CatalogRows::default()
    };
    let defaults = orchestrator_base::config::Timeouts::default();
    let catalog = Catalog::build(&rows, &|key| Ok(key.sealed.clone().into()), &defaults);
    catalog.enabled_providers().next().unwrap().clone()
}

fn list() -> ModelList {
    ModelList::new(["m".to_owned()])
}

fn failure() -> Result<ModelList, String> {
    Err("refused".into())
}

fn ids(tickets: &[Ticket]) -> Vec<&str> {
    let mut ids: Vec<&str> = tickets.iter().map(|ticket| &*ticket.target.provider_id).collect();
    ids.sort_unstable();
    ids
}

/// Sees one provider and takes the leave to ask it.
fn asked(watch: &mut Watch, target: &Target, now: Instant) -> Ticket {
    watch.see([target.clone()].into_iter(), now);
    watch.due(now, 9).pop().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_new_provider_is_asked_at_once_and_then_at_each_interval() {
    let (mut watch, now) = (Watch::default(), Instant::now());
    assert_eq!(watch.next_due(), None);
    let ticket = asked(&mut watch, &target("p", &[]), now);
    assert!(watch.due(now + 2 * EVERY, 9).is_empty(), "it is being asked");
    assert_eq!(watch.answered(&ticket, Ok(list()), now), Answered::List { list: list(), back: false });
    assert_eq!(watch.next_due(), Some(now + EVERY));
    assert!(watch.due(now + EVERY - MS, 9).is_empty());
    assert_eq!(ids(&watch.due(now + EVERY, 9)), ["p"]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_told_once_and_asked_about_sooner() {
    let (mut watch, now) = (Watch::default(), Instant::now());
    let ticket = asked(&mut watch, &target("p", &[]), now);
    assert_eq!(watch.answered(&ticket, failure(), now), Answered::WentAway("refused".into()));
    let ticket = watch.due(now + RETRY, 9).pop().unwrap();
    assert_eq!(watch.answered(&ticket, failure(), now), Answered::StillAway);
    let ticket = watch.due(now + RETRY, 9).pop().unwrap();
    assert_eq!(watch.answered(&ticket, Ok(list()), now), Answered::List { list: list(), back: true });
    assert_eq!(watch.next_due(), Some(now + EVERY));
}

#[tokio::test(start_paused = true)]
async fn each_try_takes_the_next_key() {
    let (mut watch, now) = (Watch::default(), Instant::now());
    let mut ticket = asked(&mut watch, &target("p", &["k1", "k2"]), now);
    let mut used = Vec::new();
    for _ in 0..3 {
        used.push(ticket.key().unwrap().id.clone());
        let _ = watch.answered(&ticket, failure(), now);
        ticket = watch.due(now + RETRY, 9).pop().unwrap();
    }
    assert_eq!(used, ["k1", "k2", "k1"]);
    assert!(asked(&mut Watch::default(), &target("p", &[]), now).key().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_asked_in_another_way_is_due_and_its_old_answer_counts_for_nothing() {
    let now = Instant::now();
    let before = target("p", &["k1"]);
    let elsewhere = Target { base_url: "http://elsewhere.test".into(), ..before.clone() };
    let mut headers = HeaderMap::new();
    headers.insert("x-team", "blue".parse().unwrap());
    let other_headers = Target { headers: Arc::new(headers), ..before.clone() };
    for (after, void) in [(elsewhere, vec!["p"]), (other_headers, vec![]), (target("p", &["k2"]), vec![])] {
        let mut watch = Watch::default();
        let ticket = asked(&mut watch, &before, now);
        assert_eq!(watch.see([after].into_iter(), now), void);
        assert_eq!(watch.answered(&ticket, Ok(list()), now), Answered::Stale);
        assert_eq!(ids(&watch.due(now, 9)), ["p"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_does_not_matter_asks_nobody_and_one_that_is_gone_has_no_list() {
    let (mut watch, now) = (Watch::default(), Instant::now());
    let before = target("p", &["k1"]);
    let ticket = asked(&mut watch, &before, now);
    let renamed = Target { provider_name: "new".into(), priority: 7, ..before };
    assert!(watch.see([renamed].into_iter(), now).is_empty());
    assert!(watch.due(now, 9).is_empty());
    assert_eq!(watch.see([].into_iter(), now), ["p"]);
    assert_eq!(watch.answered(&ticket, Ok(list()), now), Answered::Stale);
    assert_eq!(watch.next_due(), None);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_asked_than_there_is_room_for() {
    let (mut watch, now) = (Watch::default(), Instant::now());
    watch.see(["a", "b", "c"].into_iter().map(|id| target(id, &[])), now);
    assert!(watch.due(now, 0).is_empty());
    let (some, rest) = (watch.due(now, 2), watch.due(now, 9));
    assert_eq!((some.len(), rest.len()), (2, 1));
}
