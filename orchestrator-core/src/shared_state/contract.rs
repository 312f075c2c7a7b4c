//! What shared state promises, wherever it is kept: one suite over one process and over cores that share a real Redis.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::join_all;
use orchestrator_base::clock::{Clock, UnixMicros};
use tokio::time::sleep;

use super::*;
use crate::{
    catalog::limits::{Budget, Limits},
    error::ErrorKind,
    policy::budget::DAY,
    registry::lock,
};

pub(super) const DOLLAR: u64 = 1_000_000_000;

/// A database: what is stored of each scope, and how often it was asked.
#[derive(Default)]
pub(super) struct Book {
    pub(super) spent: Mutex<HashMap<String, u64>>,
    pub(super) asked: AtomicU32,
    pub(super) away: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl StoredSpend for Book {
    async fn spent(&self, scopes: &[Scope], _: UnixMicros) -> crate::error::Result<Vec<[u64; 3]>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.away.load(Ordering::Relaxed) {
            return Err(crate::error::Error::new(ErrorKind::Unavailable, "away"));
        }
        let spent = lock(&self.spent);
        Ok(scopes.iter().map(|scope| [spent.get(&**scope).copied().unwrap_or(0); 3]).collect())
    }
}

impl Book {
    /// Stores what a request was charged, as the ledger's writer of one core does.
    pub(super) fn store(&self, core: &SharedState, scopes: &[&str], nanos: u64) {
        let batch: Vec<Stored> = {
            let mut spent = lock(&self.spent);
            let mut stored = |scope: &&str| {
                let sum = spent.entry((*scope).to_owned()).or_default();
                *sum += nanos;
                Stored { scope: Arc::from(*scope), day: today(), added: nanos, totals: [*sum; 3] }
            };
            scopes.iter().map(&mut stored).collect()
        };
        core.stored(&batch);
    }
}

pub(super) fn today() -> UnixMicros {
    let now = Clock::system().now();
    UnixMicros(now.0 - now.0.rem_euclid(DAY))
}

pub(super) fn ask(tokens: u64, nanos: u64) -> Ask {
    Ask { tokens, nanos, at: Clock::system().now() }
}

pub(super) fn limits(
    requests: Option<u32>,
    tokens: Option<u64>,
    running: Option<u32>,
    nanos: Option<u64>,
) -> Limits {
    let budget = nanos.map(|nanos| Budget { nanos, period: Period::Day });
    Limits { requests_per_minute: requests, tokens_per_minute: tokens, max_concurrency: running, budget }
}

pub(super) fn tenant(tag: &str, scopes: &[(&str, Limits)]) -> Arc<Tenant> {
    let scopes = scopes.iter().map(|(scope, limits)| (Arc::from(*scope), *limits)).collect();
    Arc::new(Tenant { tag: Arc::from(tag), scopes })
}

/// Tries until it is admitted, for what is given back may be heard of a little later.
pub(super) async fn soon(core: &SharedState, tenant: &Arc<Tenant>, ask: Ask) -> Grant {
    for _ in 0..400 {
        if let Ok(grant) = core.admit(tenant, ask).await {
            return grant;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("it is never admitted: {:?}", core.admit(tenant, ask).await.map(|_| ()))
}

/// Tries until it is refused for good.
pub(super) async fn full(core: &SharedState, tenant: &Arc<Tenant>, ask: Ask) -> Box<Refused> {
    core.admit(tenant, ask).await.map(drop).expect_err("there is no room")
}

/// All of the suite. `tag`: one that nothing else uses.
pub(super) async fn all(cores: &[SharedState], book: &Arc<Book>, tag: &str) {
    exact_rate(cores, tag).await;
    together_or_not_at_all(cores, tag).await;
    tokens_are_settled(cores, tag).await;
    exact_budget(cores, book, tag).await;
    exact_concurrency(cores, tag).await;
}

/// Of many at once on all cores exactly as many are admitted as the limit says.
async fn exact_rate(cores: &[SharedState], tag: &str) {
    let scope = format!("key:rate-{tag}");
    let tenant = tenant(&format!("rate-{tag}"), &[(&scope, limits(Some(100), None, None, None))]);
    let asked = (0..200).map(|number| {
        let (core, tenant) = (cores[number % cores.len()].clone(), Arc::clone(&tenant));
        async move { core.admit(&tenant, ask(1, 1)).await }
    });
    let answers = join_all(asked).await;
    let (granted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    let within = 100..=100 + 2; // The minute goes on while they ask: 0.6 s each.
    assert!(within.contains(&granted.len()), "{}", granted.len());
    for refused in refused {
        let refused = refused.unwrap_err();
        assert_eq!((&*refused.scope, refused.limit), (&*scope, LimitKind::Requests));
        assert!(refused.retry_after.is_some_and(|wait| wait < Duration::from_secs(2)));
        assert_eq!(refused.standing.requests.map(|meter| meter.limit), Some(100));
    }
    for granted in granted {
        granted.unwrap().settle(Used::default());
    }
    assert_eq!(full(&cores[0], &tenant, ask(1, 1)).await.limit, LimitKind::Requests);
}

/// The team has no room for a second one, so the key loses nothing.
async fn together_or_not_at_all(cores: &[SharedState], tag: &str) {
    let (key, team) = (format!("key:all-{tag}"), format!("team:all-{tag}"));
    let (first, last) = (&cores[0], &cores[cores.len() - 1]);
    let wide = limits(Some(100), Some(1000), Some(9), Some(DOLLAR));
    let tight = limits(Some(100), Some(1000), Some(1), Some(DOLLAR));
    let both = tenant(&format!("all-{tag}"), &[(&key, wide), (&team, tight)]);
    let running = first.admit(&both, ask(600, DOLLAR / 2)).await.unwrap();
    let standing = running.standing();
    assert_eq!((standing.requests.unwrap().remaining, standing.tokens.unwrap().remaining), (99, 400));
    let refused = full(last, &both, ask(100, 1)).await;
    assert_eq!((&*refused.scope, refused.limit), (&*team, LimitKind::Concurrency));
    let key_alone = tenant(&format!("all-{tag}"), &[(&key, limits(Some(100), None, None, None))]);
    let standing = last.admit(&key_alone, ask(0, 0)).await.unwrap().standing();
    assert_eq!(standing.requests.unwrap().remaining, 98, "the refused one was not counted");
    running.settle(Used { tokens: 10, nanos: 7 });
    let again = soon(last, &both, ask(900, DOLLAR - 7)).await;
    assert_eq!(full(first, &both, ask(0, 0)).await.limit, LimitKind::Concurrency);
    drop(again);
    drop(soon(first, &both, ask(0, 1)).await);
}

async fn tokens_are_settled(cores: &[SharedState], tag: &str) {
    let scope = format!("key:tokens-{tag}");
    let (first, last) = (&cores[0], &cores[cores.len() - 1]);
    let tenant = tenant(&format!("tokens-{tag}"), &[(&scope, limits(None, Some(6000), None, None))]);
    let grant = first.admit(&tenant, ask(5000, 0)).await.unwrap();
    let refused = full(last, &tenant, ask(2000, 0)).await;
    let wait = refused.retry_after.unwrap();
    assert!(wait > Duration::from_secs(9) && wait <= Duration::from_secs(10), "{wait:?}");
    assert_eq!(full(last, &tenant, ask(6001, 0)).await.retry_after, None, "more than fits at once");
    grant.settle(Used { tokens: 100, nanos: 0 });
    let grant = soon(last, &tenant, ask(5800, 0)).await;
    drop(grant);
    soon(first, &tenant, ask(5800, 0)).await.settle(Used { tokens: 9000, nanos: 0 });
    sleep(Duration::from_millis(100)).await;
    let wait = full(last, &tenant, ask(1, 0)).await.retry_after.unwrap();
    assert!(wait > Duration::from_secs(25), "more than was thought is a debt: {wait:?}");
}

/// A budget is spent to the nano-dollar on all cores together, and what is stored is counted once.
async fn exact_budget(cores: &[SharedState], book: &Arc<Book>, tag: &str) {
    let (key, team) = (format!("key:money-{tag}"), format!("team:money-{tag}"));
    lock(&book.spent).insert(key.clone(), 400);
    let tenant = tenant(
        &format!("money-{tag}"),
        &[(&key, limits(None, None, None, Some(1000))), (&team, limits(None, None, None, Some(5000)))],
    );
    let asked = (0..50).map(|number| {
        let (core, tenant) = (cores[number % cores.len()].clone(), Arc::clone(&tenant));
        async move { (number, core.admit(&tenant, ask(0, 30)).await) }
    });
    let mut granted = Vec::new();
    for (number, answer) in join_all(asked).await {
        match answer {
            Ok(grant) => granted.push((number % cores.len(), grant)),
            Err(refused) => {
                assert_eq!((&*refused.scope, refused.limit), (&*key, LimitKind::Budget(Period::Day)));
                assert_eq!(refused.retry_after, Some(Duration::from_secs(1)), "what runs may give back");
            }
        }
    }
    assert_eq!(granted.len(), 20, "600 of 1000 were left");
    for (core, grant) in granted {
        grant.settle(Used { tokens: 0, nanos: 25 });
        book.store(&cores[core], &[&key, &team], 25);
    }
    let (first, last) = (&cores[0], &cores[cores.len() - 1]);
    let rest = soon(last, &tenant, ask(0, 100)).await;
    assert_eq!(full(first, &tenant, ask(0, 1)).await.limit, LimitKind::Budget(Period::Day));
    assert!(first.admit(&tenant, ask(0, 0)).await.is_ok(), "what is free needs no budget");
    rest.settle(Used { tokens: 0, nanos: 100 });
    book.store(last, &[&key, &team], 100);
    assert_eq!(lock(&book.spent)[&key], 1000);
    for _ in 0..200 {
        let refused = full(first, &tenant, ask(0, 1)).await;
        if refused.retry_after.is_some_and(|wait| wait > Duration::from_secs(1)) {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("all is stored, and yet it may be given back: {:?}", full(first, &tenant, ask(0, 1)).await);
}

async fn exact_concurrency(cores: &[SharedState], tag: &str) {
    let scope = format!("key:running-{tag}");
    let tenant = tenant(&format!("running-{tag}"), &[(&scope, limits(None, None, Some(7), None))]);
    let asked = (0..60).map(|number| {
        let (core, tenant) = (cores[number % cores.len()].clone(), Arc::clone(&tenant));
        async move { core.admit(&tenant, ask(1, 1)).await }
    });
    let granted: Vec<Grant> = join_all(asked).await.into_iter().filter_map(Result::ok).collect();
    assert_eq!(granted.len(), 7);
    for grant in granted {
        grant.settle(Used::default());
    }
    let mut again = Vec::new();
    for _ in 0..7 {
        again.push(soon(&cores[0], &tenant, ask(1, 1)).await);
    }
    assert_eq!(full(&cores[cores.len() - 1], &tenant, ask(1, 1)).await.limit, LimitKind::Concurrency);
}

#[tokio::test]
async fn one_process_keeps_it() {
    let book = Arc::new(Book::default());
    all(&[SharedState::local(book.clone())], &book, "local").await;
}
