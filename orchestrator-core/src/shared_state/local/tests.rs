//! What one core admits, gives back and counts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use orchestrator_base::clock::UnixMicros;
use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::{
    catalog::limits::{Budget, Limits},
    error::{Error, ErrorKind, Result},
    policy::budget::DAY,
    shared_state::NothingSpent,
};

const NOON: UnixMicros = UnixMicros(20_000 * DAY + DAY / 2);
const DOLLAR: u64 = 1_000_000_000;

fn tenant(scopes: &[(&str, Limits)]) -> Arc<Tenant> {
    let scopes = scopes.iter().map(|(scope, limits)| (Arc::from(*scope), *limits)).collect();
    Arc::new(Tenant { tag: Arc::from("t"), scopes })
}

fn limits(requests: Option<u32>, tokens: Option<u64>, running: Option<u32>, nanos: Option<u64>) -> Limits {
    let budget = nanos.map(|nanos| Budget { nanos, period: Period::Day });
    Limits { requests_per_minute: requests, tokens_per_minute: tokens, max_concurrency: running, budget }
}

fn ask(tokens: u64, nanos: u64) -> Ask {
    Ask { tokens, nanos, at: NOON }
}

fn local() -> Arc<Local> {
    Arc::new(Local::new(Arc::new(NothingSpent)))
}

fn why(refused: Result<LocalGrant, Box<Refused>>) -> (LimitKind, Option<Duration>) {
    let refused = refused.unwrap_err();
    (refused.limit, refused.retry_after)
}

#[tokio::test(start_paused = true)]
async fn a_minute_admits_its_requests_at_once_and_the_next_when_its_turn_comes() {
    let (local, tenant) = (local(), tenant(&[("key:k", limits(Some(100), None, None, None))]));
    for left in (0..100).rev() {
        let grant = local.admit(&tenant, ask(1, 1)).await.unwrap();
        assert_eq!(grant.standing().requests.unwrap().remaining, left);
        grant.settle(Used::default());
    }
    let wait = Duration::from_millis(600);
    assert_eq!(why(local.admit(&tenant, ask(1, 1)).await), (LimitKind::Requests, Some(wait)));
    advance(wait).await;
    let last = local.admit(&tenant, ask(1, 1)).await.unwrap();
    assert_eq!(why(local.admit(&tenant, ask(1, 1)).await).0, LimitKind::Requests);
    drop(last);
    assert!(local.admit(&tenant, ask(1, 1)).await.is_ok(), "what was never asked of anybody is given back");
}

#[tokio::test(start_paused = true)]
async fn key_and_team_are_taken_together_or_not_at_all() {
    let local = local();
    let wide = limits(Some(100), Some(1000), Some(9), Some(DOLLAR));
    let tight = limits(Some(100), Some(1000), Some(1), Some(DOLLAR));
    let both = tenant(&[("key:k", wide), ("team:t", tight)]);
    let first = local.admit(&both, ask(600, DOLLAR / 2)).await.unwrap();
    let refused = local.admit(&both, ask(100, 1)).await.unwrap_err();
    assert_eq!((&*refused.scope, refused.limit), ("team:t", LimitKind::Concurrency));
    assert_eq!(refused.standing.requests.unwrap().remaining, 99, "the key has lost nothing");
    first.settle(Used { tokens: 10, nanos: 7 });
    let standing = local.admit(&both, ask(990, DOLLAR - 7)).await.unwrap().standing();
    assert_eq!((standing.tokens.unwrap().remaining, standing.requests.unwrap().remaining), (0, 98));
}

#[tokio::test(start_paused = true)]
async fn tokens_are_settled_by_what_was_used() {
    let (local, tenant) = (local(), tenant(&[("key:k", limits(None, Some(600), None, None))]));
    let grant = local.admit(&tenant, ask(500, 0)).await.unwrap();
    assert_eq!(
        why(local.admit(&tenant, ask(200, 0)).await),
        (LimitKind::Tokens, Some(Duration::from_secs(10)))
    );
    grant.settle(Used { tokens: 900, nanos: 0 });
    assert_eq!(
        why(local.admit(&tenant, ask(1, 0)).await),
        (LimitKind::Tokens, Some(Duration::from_millis(30_100)))
    );
    assert_eq!(why(local.admit(&tenant, ask(601, 0)).await), (LimitKind::Tokens, None), "more than fits");
    advance(Duration::from_secs(90)).await;
    local.admit(&tenant, ask(600, 0)).await.unwrap().settle(Used { tokens: 100, nanos: 0 });
    assert!(local.admit(&tenant, ask(500, 0)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_spent_to_the_nano_dollar() {
    let (local, tenant) = (local(), tenant(&[("key:k", limits(None, None, None, Some(100)))]));
    let running = local.admit(&tenant, ask(0, 60)).await.unwrap();
    let budget = LimitKind::Budget(Period::Day);
    assert_eq!(why(local.admit(&tenant, ask(0, 41)).await), (budget, Some(Duration::from_secs(1))));
    running.settle(Used { tokens: 0, nanos: 50 });
    let half_a_day = Duration::from_hours(12);
    assert_eq!(why(local.admit(&tenant, ask(0, 51)).await), (budget, Some(half_a_day)));
    assert_eq!(why(local.admit(&tenant, ask(0, 101)).await), (budget, None), "more than all of it");
    local.admit(&tenant, ask(0, 50)).await.unwrap().settle(Used { tokens: 0, nanos: 50 });
    assert!(local.admit(&tenant, ask(0, 0)).await.is_ok(), "what is free needs no budget");
    assert_eq!(local.used("key:k", Period::Day, NOON), Some(100));
    let tomorrow = UnixMicros(NOON.0 + DAY);
    assert!(local.admit(&tenant, Ask { at: tomorrow, ..ask(0, 100) }).await.is_ok());
    assert_eq!(why(local.admit(&tenant, ask(0, 1)).await).0, budget, "yesterday is still spent");
}

/// A database that says what it is told to, and counts how often it is asked.
#[derive(Default)]
struct Book {
    spent: Mutex<HashMap<String, [u64; 3]>>,
    asked: Mutex<u32>,
    away: Mutex<bool>,
}

#[async_trait]
impl StoredSpend for Book {
    async fn spent(&self, scopes: &[Scope], _: UnixMicros) -> Result<Vec<[u64; 3]>> {
        *lock(&self.asked) += 1;
        if *lock(&self.away) {
            return Err(Error::new(ErrorKind::Unavailable, "away"));
        }
        let book = lock(&self.spent);
        Ok(scopes.iter().map(|scope| book.get(&**scope).copied().unwrap_or_default()).collect())
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_spent_before_is_asked_for_once_and_never_taken_for_nothing() {
    let book = Arc::new(Book::default());
    let local = Arc::new(Local::new(book.clone()));
    let tenant = tenant(&[("key:k", limits(None, None, None, Some(100)))]);
    *lock(&book.away) = true;
    let second = Duration::from_secs(1);
    for _ in 0..9 {
        assert_eq!(why(local.admit(&tenant, ask(0, 1)).await), (LimitKind::UnknownSpend, Some(second)));
    }
    assert_eq!(*lock(&book.asked), 1, "who does not answer is not hammered");
    *lock(&book.away) = false;
    lock(&book.spent).insert("key:k".into(), [90, 95, 99]);
    advance(second).await;
    assert!(local.admit(&tenant, ask(0, 10)).await.is_ok());
    assert_eq!(why(local.admit(&tenant, ask(0, 11)).await).0, LimitKind::Budget(Period::Day));
    assert_eq!(*lock(&book.asked), 2);
    assert_eq!(local.used("key:k", Period::Total, NOON), Some(99));
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_is_counted_once() {
    let (local, tenant) = (local(), tenant(&[("key:k", limits(None, None, None, Some(100)))]));
    let (one, two) =
        (local.admit(&tenant, ask(0, 40)).await.unwrap(), local.admit(&tenant, ask(0, 40)).await.unwrap());
    one.settle(Used { tokens: 0, nanos: 30 });
    let stored = |added, sum| Stored { scope: "key:k".into(), day: NOON, added, totals: [sum; 3] };
    local.stored(&[stored(30, 30)]);
    local.stored(&[stored(0, 25)]);
    assert_eq!(local.used("key:k", Period::Day, NOON), Some(70), "an older sum changes nothing");
    local.stored(&[stored(20, 50)]);
    two.settle(Used { tokens: 0, nanos: 20 });
    assert_eq!(local.used("key:k", Period::Day, NOON), Some(50));
    assert_eq!(local.outstanding("key:k"), Outstanding::default());
    local.stored(&[stored(0, 80)]);
    assert_eq!(local.used("key:k", Period::Day, NOON), Some(80), "another core has spent");
}

#[tokio::test(start_paused = true)]
async fn idle_scopes_are_forgotten_and_busy_ones_are_not() {
    let local = local();
    let limits = limits(Some(60), None, None, Some(100));
    let busy = local.admit(&tenant(&[("key:busy", limits)]), ask(0, 10)).await.unwrap();
    for number in 0..2000 {
        let grant = local.admit(&tenant(&[(&format!("key:{number}"), limits)]), ask(0, 0)).await.unwrap();
        grant.settle(Used::default());
        advance(Duration::from_secs(1)).await;
    }
    assert!(lock(&local.scopes).states.len() <= MANY + 2);
    assert_eq!(local.outstanding("key:busy").nanos, 10);
    busy.settle(Used { tokens: 0, nanos: 4 });
    assert_eq!(local.used("key:busy", Period::Day, NOON), Some(4));
}

proptest! {
    /// Requests begin, end and are dropped in any order: nothing is admitted past a limit, and in the end nothing is held.
    #[test]
    fn no_order_of_events_passes_a_limit_or_keeps_anything(
        steps in prop::collection::vec((0_u8..3, 0_u64..40, 0_u64..40, any::<prop::sample::Index>()), 1..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let local = local();
            let tenant = tenant(&[
                ("key:k", limits(Some(30), Some(400), Some(5), Some(300))),
                ("team:t", limits(Some(25), Some(500), Some(6), Some(250))),
            ]);
            let (mut running, mut spent, mut admitted) = (Vec::new(), 0, 0);
            for (step, tokens, nanos, which) in steps {
                match step {
                    0 => if let Ok(grant) = local.admit(&tenant, ask(tokens, nanos)).await {
                        running.push((grant, tokens, nanos));
                        admitted += 1;
                    },
                    _ if running.is_empty() => {}
                    1 => {
                        let (grant, tokens, nanos) = running.swap_remove(which.index(running.len()));
                        spent += nanos / 2;
                        grant.settle(Used { tokens, nanos: nanos / 2 });
                    }
                    _ => {
                        drop(running.swap_remove(which.index(running.len())));
                        admitted -= 1;
                    }
                }
                let reserved: u64 = running.iter().map(|(_, _, nanos)| nanos).sum();
                assert!(running.len() <= 5 && admitted <= 25 && spent + reserved <= 250);
                assert_eq!(i128::from(spent + reserved), local.outstanding("team:t").nanos);
            }
            drop(running);
            for scope in ["key:k", "team:t"] {
                let left = Outstanding { nanos: i128::from(spent), running: 0 };
                assert!(local.outstanding(scope) == left || local.outstanding(scope) == Outstanding::default());
            }
        });
    }
}
