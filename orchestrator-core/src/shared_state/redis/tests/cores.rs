//! Cores that share one Redis, and what becomes of their limits when it fails.

use std::sync::Arc;

use futures_util::future::join_all;
use orchestrator_base::{clock::Clock, config::WithoutRedis};
use proptest::prelude::*;

use super::*;
use crate::{
    catalog::limits::Period,
    registry::lock,
    shared_state::{
        Grant, LimitKind, SharedState, Tenant, Used,
        contract::{self, Book, DOLLAR, ask, full, limits, soon, tenant},
        redis::{Remote, news::News},
    },
};

/// A core without the rest of it.
pub(crate) struct Core {
    pub(crate) state: SharedState,
    pub(crate) remote: Arc<Remote>,
    pub(crate) redis: Redis,
    stop: CancellationToken,
}

impl Core {
    pub(crate) async fn start(server: &RedisServer, book: &Arc<Book>, name: &str) -> Self {
        Self::with(settings(server, "t:"), config::Budget::default(), book, name).await
    }

    async fn with(settings: config::Redis, budget: config::Budget, book: &Arc<Book>, name: &str) -> Self {
        let redis = Redis::new(&settings).unwrap();
        redis.try_now().await;
        let (stop, news) = (CancellationToken::new(), News::new(redis.clone(), name));
        let remote = Arc::new(Remote::new(
            redis.clone(),
            book.clone(),
            (&settings, &budget),
            news.clone(),
            Clock::system(),
            name.to_owned(),
        ));
        drop(task::spawn("redis", redis.clone().keep(stop.clone())));
        drop(task::spawn("news", news.run(stop.clone())));
        drop(task::spawn("limits", Arc::clone(&remote).keep(stop.clone())));
        Self { state: SharedState::Redis(Arc::clone(&remote)), remote, redis, stop }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn two(server: &RedisServer, book: &Arc<Book>) -> [Core; 2] {
    let cores = [Core::start(server, book, "a").await, Core::start(server, book, "b").await];
    for core in &cores {
        until("both are counted", async || core.remote.cores() == 2).await;
    }
    cores
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(10), "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn money(tag: &str, nanos: u64) -> Arc<Tenant> {
    tenant(tag, &[(&format!("key:{tag}"), limits(None, None, None, Some(nanos)))])
}

#[tokio::test]
async fn cores_on_one_redis_keep_the_contract() {
    let (server, book) = (RedisServer::start(), Arc::new(Book::default()));
    let cores = two(&server, &book).await;
    let states: Vec<SharedState> = cores.iter().map(|core| core.state.clone()).collect();
    contract::all(&states[..1], &book, "one").await;
    contract::all(&states, &book, "two").await;
    // Nothing stays for ever.
    for key in server.command(&["KEYS", "*"]).lines() {
        assert_ne!(server.command(&["PTTL", key]), "-1", "{key}");
    }
}

/// A future that runs on any thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_are_as_exact() {
    let (server, book) = (RedisServer::start(), Arc::new(Book::default()));
    let cores = two(&server, &book).await;
    let tenant = money("threads", 100 * DOLLAR);
    let tasks = (0..400).map(|number| {
        let (state, tenant) = (cores[number % 2].state.clone(), Arc::clone(&tenant));
        task::spawn("caller", async move {
            let Ok(grant) = state.admit(&tenant, ask(1, DOLLAR)).await else { return 0 };
            tokio::task::yield_now().await;
            grant.settle(Used { tokens: 1, nanos: DOLLAR });
            1
        })
    });
    let admitted: u32 = join_all(tasks).await.into_iter().map(|done| done.unwrap().unwrap()).sum();
    assert_eq!(admitted, 100);
    assert!(cores.iter().all(|core| core.redis.is_up()));
}

#[tokio::test]
async fn what_a_dead_core_held_comes_back_when_it_expires() {
    let (server, book) = (RedisServer::start(), Arc::new(Book::default()));
    let short = config::Redis { core_expiry_ms: 1000, ..settings(&server, "t:") };
    let dying = Core::with(short.clone(), config::Budget::default(), &book, "a").await;
    let living = Core::with(short, config::Budget::default(), &book, "b").await;
    let limits = limits(None, None, Some(1), Some(100));
    let tenant = tenant("dead", &[("key:dead", limits)]);
    let held = dying.state.admit(&tenant, ask(0, 80)).await.unwrap();
    // While it lives, however long it takes.
    sleep(Duration::from_millis(1500)).await;
    assert!(living.state.admit(&tenant, ask(0, 10)).await.is_err());
    std::mem::forget(held);
    drop(dying);
    let begun = Instant::now();
    soon(&living.state, &tenant, ask(0, 100)).await.settle(Used { tokens: 0, nanos: 1 });
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_flushed_redis_is_told_what_was_spent_and_what_every_core_holds() {
    let (server, book) = (RedisServer::start(), Arc::new(Book::default()));
    let cores = two(&server, &book).await;
    let tenant = money("flush", 1000);
    let on_a = cores[0].state.admit(&tenant, ask(0, 300)).await.unwrap();
    let on_b = cores[1].state.admit(&tenant, ask(0, 300)).await.unwrap();
    let done = cores[1].state.admit(&tenant, ask(0, 100)).await.unwrap();
    done.settle(Used { tokens: 0, nanos: 100 });
    book.store(&cores[1].state, &["key:flush"], 100);
    server.command(&["FLUSHALL"]);
    // Never from zero: 100 are stored, and A holds 300 itself.
    assert_eq!(full(&cores[0].state, &tenant, ask(0, 601)).await.limit, LimitKind::Budget(Period::Day));
    until("B has said again what it holds", async || {
        cores[0].state.admit(&tenant, ask(0, 301)).await.is_err()
    })
    .await;
    drop(soon(&cores[0].state, &tenant, ask(0, 300)).await);
    on_a.settle(Used { tokens: 0, nanos: 0 });
    on_b.settle(Used { tokens: 0, nanos: 0 });
    drop(soon(&cores[1].state, &tenant, ask(0, 900)).await);
    assert!(cores[1].state.admit(&tenant, ask(0, 901)).await.is_err());
}

#[tokio::test]
async fn what_the_database_does_not_say_is_not_taken_for_nothing() {
    let (server, book) = (RedisServer::start(), Arc::new(Book::default()));
    let core = Core::start(&server, &book, "a").await;
    book.away.store(true, Ordering::Relaxed);
    let tenant = money("unknown", 1000);
    assert_eq!(full(&core.state, &tenant, ask(0, 1)).await.limit, LimitKind::UnknownSpend);
    book.away.store(false, Ordering::Relaxed);
    lock(&book.spent).insert("key:unknown".into(), 999);
    drop(soon(&core.state, &tenant, ask(0, 1)).await);
    assert_eq!(full(&core.state, &tenant, ask(0, 2)).await.limit, LimitKind::Budget(Period::Day));
}

/// While Redis is away a core admits its share, refuses what is more, and nobody waits.
#[tokio::test]
async fn a_redis_that_dies_leaves_each_core_its_share() {
    let (server, book) = (RedisServer::start(), Arc::new(Book::default()));
    let cores = two(&server, &book).await;
    let state = &cores[0].state;
    let rate = tenant("share", &[("key:share", limits(Some(10), None, Some(4), Some(1000)))]);
    let grant = state.admit(&rate, ask(0, 200)).await.unwrap();
    server.stop();
    let mut alone: Vec<Grant> = Vec::new();
    // 800 were left: 80 for all cores, 40 for this one.
    alone.push(state.admit(&rate, ask(0, 40)).await.unwrap());
    assert!(!state.is_well());
    let refused = full(state, &rate, ask(0, 0)).await;
    assert_eq!(refused.limit, LimitKind::Concurrency, "a half of 4 run");
    drop(grant);
    assert_eq!(full(state, &rate, ask(0, 1)).await.limit, LimitKind::Budget(Period::Day));
    let begun = Instant::now();
    let free = state.admit(&rate, ask(0, 0)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(20), "{:?}", begun.elapsed());
    alone.push(free);

    server.resume();
    let found = found_after(&cores[0].redis).await;
    assert!(found < Duration::from_secs(2), "{found:?}");
    // What is held alone is told: 40 of 1000, and 2 of 4.
    until("B hears what A holds", async || {
        let asked = cores[1].state.admit(&rate, ask(0, 961)).await;
        asked.is_err_and(|refused| refused.limit == LimitKind::Budget(Period::Day))
    })
    .await;
    for grant in alone {
        grant.settle(Used::default());
    }
    drop(soon(&cores[1].state, &rate, ask(0, 1000)).await);
}

#[tokio::test]
async fn without_redis_budgets_may_be_open_or_closed() {
    let (server, book) = (RedisServer::start(), Arc::new(Book::default()));
    server.stop();
    let tenant = money("rule", 100);
    for (without_redis, admitted) in [(WithoutRedis::Open, true), (WithoutRedis::Closed, false)] {
        let rules = config::Budget { without_redis, ..config::Budget::default() };
        let core = Core::with(settings(&server, "t:"), rules, &book, "a").await;
        assert_eq!(core.state.admit(&tenant, ask(0, 90)).await.is_ok(), admitted, "{without_redis:?}");
        assert!(core.state.admit(&tenant, ask(0, 0)).await.is_ok());
    }
    let rules = config::Budget { allowance_percent: 50, ..config::Budget::default() };
    let core = Core::with(settings(&server, "t:"), rules, &book, "a").await;
    lock(&book.spent).insert("key:rule".into(), 20);
    assert!(core.state.admit(&tenant, ask(0, 41)).await.is_err());
    assert!(core.state.admit(&tenant, ask(0, 40)).await.is_ok(), "a half of what was left");
}

/// Its name, how it comes, and how it ends.
type Fault = (&'static str, fn(&RedisServer), fn(&RedisServer));

/// Whatever befalls Redis: no request fails for it, none waits long, and it is found again.
#[tokio::test]
async fn no_fault_of_redis_holds_up_a_request() {
    let (server, book) = (RedisServer::start(), Arc::new(Book::default()));
    let settings = config::Redis { command_ms: 20, checkout_ms: 20, ..settings(&server, "t:") };
    let core = Core::with(settings, config::Budget::default(), &book, "a").await;
    let wide = limits(Some(1_000_000), Some(1_000_000_000), Some(100_000), Some(1_000_000 * DOLLAR));
    let tenant = tenant("faults", &[("key:faults", wide), ("team:faults", wide)]);
    let faults: [Fault; 6] = [
        ("killed", RedisServer::stop, RedisServer::resume),
        ("frozen", RedisServer::freeze, RedisServer::thaw),
        ("paused", |s| _ = s.command(&["CLIENT", "PAUSE", "700"]), |_| ()),
        ("flushed", |s| _ = s.command(&["FLUSHALL"]), |_| ()),
        (
            "read-only",
            |s| _ = s.command(&["REPLICAOF", "127.0.0.1", "1"]),
            |s| _ = s.command(&["REPLICAOF", "NO", "ONE"]),
        ),
        (
            "evicting",
            |s| {
                s.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
                s.command(&["CONFIG", "SET", "maxmemory", "1"]);
            },
            |s| _ = s.command(&["CONFIG", "SET", "maxmemory", "0"]),
        ),
    ];
    for (name, breaks, mends) in faults {
        soon(&core.state, &tenant, ask(10, 10)).await.settle(Used { tokens: 5, nanos: 5 });
        until(name, async || core.state.is_well()).await;
        breaks(&server);
        let mut waits = Vec::new();
        for _ in 0..200 {
            let begun = Instant::now();
            let grant = core.state.admit(&tenant, ask(10, 10)).await;
            waits.push(begun.elapsed());
            grant
                .unwrap_or_else(|refused| panic!("{name}: {refused:?}"))
                .settle(Used { tokens: 5, nanos: 5 });
            sleep(Duration::from_millis(1)).await;
        }
        waits.sort();
        let (p95, worst) = (waits[190], waits[199]);
        println!("{name}: p50 {:?}, p95 {p95:?}, worst {worst:?}", waits[100]);
        assert!(worst < Duration::from_millis(500), "{name}: {worst:?}");
        mends(&server);
        let begun = Instant::now();
        until(name, async || core.state.is_well()).await;
        println!("{name}: found again after {:?}", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(2), "{name}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_caller_who_leaves_while_redis_is_asked_holds_nothing() {
    let (server, book) = (RedisServer::start(), Arc::new(Book::default()));
    let core = Core::start(&server, &book, "a").await;
    let tenant = tenant("leaves", &[("key:leaves", limits(None, None, Some(1), Some(100)))]);
    drop(soon(&core.state, &tenant, ask(0, 100)).await);
    for _ in 0..20 {
        let asked = core.state.admit(&tenant, ask(0, 100));
        // Polled once: it is sent, and nobody waits for the answer.
        let _ = tokio::time::timeout(Duration::ZERO, asked).await;
    }
    drop(soon(&core.state, &tenant, ask(0, 100)).await);
}

#[tokio::test]
async fn a_providers_rate_is_that_of_all_cores_together() {
    let (server, book) = (RedisServer::start(), Arc::new(Book::default()));
    let cores = two(&server, &book).await;
    let mut passed = 0;
    for number in 0..40 {
        match cores[number % 2].state.pace("p", 60).await {
            Ok(()) => passed += 1,
            Err(wait) => assert!(wait <= Duration::from_secs(1), "{wait:?}"),
        }
    }
    assert!((10..=11).contains(&passed), "ten seconds' worth: {passed}");
    server.stop();
    let mut alone = 0;
    for _ in 0..20 {
        alone += u32::from(cores[0].state.pace("p", 60).await.is_ok());
    }
    assert!((5..=6).contains(&alone), "this core's share: {alone}");
}

/// How many scripts of a mode the server has run since it began to write down what it is told.
fn scripts(server: &RedisServer, mode: &str) -> usize {
    server.command(&["SLOWLOG", "GET", "-1"]).lines().filter(|line| line.trim() == mode).count()
}

#[tokio::test]
async fn a_request_waits_for_one_round_trip_and_one_more_where_its_provider_is_limited() {
    let (server, book) = (RedisServer::start(), Arc::new(Book::default()));
    let core = Core::start(&server, &book, "a").await;
    let all = limits(Some(100_000), Some(100_000), Some(1000), Some(DOLLAR));
    let tenant = tenant("trips", &[("key:trips", all), ("team:trips", all)]);
    soon(&core.state, &tenant, ask(1, 1)).await.settle(Used { tokens: 1, nanos: 1 });
    server.command(&["CONFIG", "SET", "slowlog-max-len", "100000"]);
    server.command(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    server.command(&["SLOWLOG", "RESET"]);
    let mut grants = Vec::new();
    for _ in 0..50 {
        grants.push(core.state.admit(&tenant, ask(1, 1)).await.unwrap());
    }
    assert_eq!(scripts(&server, "admit"), 50, "a key and its team, with limits of every kind, at once");
    for grant in grants {
        grant.settle(Used { tokens: 1, nanos: 1 });
    }
    until("they are settled", async || scripts(&server, "settle") > 0).await;
    sleep(Duration::from_millis(50)).await;
    assert!(scripts(&server, "settle") < 10, "what ends together is said together");
    for _ in 0..10 {
        core.state.pace("limited", 6000).await.unwrap();
    }
    assert_eq!(scripts(&server, "admit"), 60);
}

/// A catalog that is only a revision.
#[derive(Default)]
struct Revision(std::sync::atomic::AtomicI64);

#[async_trait::async_trait]
impl crate::store::CatalogReader for Revision {
    async fn revision(&self) -> Result<i64, crate::store::StoreError> {
        Ok(self.0.load(Ordering::Relaxed))
    }

    async fn load(&self) -> Result<crate::catalog::CatalogRows, crate::store::StoreError> {
        let revision = self.0.load(Ordering::Relaxed);
        Ok(crate::catalog::CatalogRows { revision, ..Default::default() })
    }
}

#[tokio::test]
async fn a_change_on_one_core_is_live_on_the_other_before_its_next_poll() {
    let (server, stop) = (RedisServer::start(), CancellationToken::new());
    let database = Arc::new(Revision::default());
    let mut cores = Vec::new();
    for name in ["a", "b"] {
        let redis = Redis::new(&settings(&server, "t:")).unwrap();
        assert!(redis.try_now().await);
        let news = News::new(redis.clone(), name);
        let shared = Arc::new(crate::catalog::snapshot::SharedCatalog::default());
        let vault = Arc::new(crate::admin::secrets::Vault::new(&"a master key".into()));
        let reader: Arc<dyn crate::store::CatalogReader> = database.clone();
        let reloader =
            crate::refresher::Reloader::new(reader, vault, Arc::clone(&shared), config::Timeouts::default());
        let reloader = Arc::new(reloader.with_news(Some(news.clone())));
        let (running, stopped) = (Arc::clone(&reloader), stop.clone());
        drop(task::spawn("refresher", async move { running.run(stopped).await }));
        drop(task::spawn("news", news.run(stop.clone())));
        cores.push((reloader, shared));
    }
    until("both listen", async || server.command(&["PUBSUB", "NUMSUB", "t:news"]).ends_with('2')).await;
    let mut quickest = Duration::MAX;
    for revision in 1..=4 {
        until("it is quiet", async || cores[1].1.peek().revision == revision - 1).await;
        database.0.store(revision, Ordering::Relaxed);
        let begun = Instant::now();
        cores[0].0.reload().await.unwrap();
        until("B has it", async || cores[1].1.peek().revision == revision).await;
        quickest = quickest.min(begun.elapsed());
    }
    assert!(quickest < Duration::from_millis(100), "{quickest:?}");
    stop.cancel();
}

#[derive(Clone, Debug)]
enum Event {
    Admit(usize, u64),
    Settle(usize, u64),
    Drop(usize),
    Store(usize),
    Flush,
    Leave(usize, u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..2_usize, 0..60_u64).prop_map(|(core, nanos)| Event::Admit(core, nanos)),
        4 => (any::<usize>(), 0..60_u64).prop_map(|(grant, nanos)| Event::Settle(grant, nanos)),
        2 => any::<usize>().prop_map(Event::Drop),
        4 => any::<usize>().prop_map(Event::Store),
        1 => Just(Event::Flush),
        1 => (0..2_usize, 0..60_u64).prop_map(|(core, nanos)| Event::Leave(core, nanos)),
    ]
}

/// In the end all that was charged is counted, and nothing else: whatever the order, and whatever Redis forgets.
#[test]
fn money_is_conserved_under_any_interleaving() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = RedisServer::start();
    let book = Arc::new(Book::default());
    let cores = runtime.block_on(two(&server, &book));
    let number = std::cell::Cell::new(0);
    let events = prop::collection::vec(event(), 1..60);
    proptest!(ProptestConfig::with_cases(24), |(events in events)| {
        number.set(number.get() + 1);
        runtime.block_on(conserves(&server, &book, &cores, &format!("case-{}", number.get()), events));
    });
}

async fn conserves(server: &RedisServer, book: &Arc<Book>, cores: &[Core; 2], tag: &str, events: Vec<Event>) {
    let (scope, limit) = (format!("key:{tag}"), 300);
    let tenant = money(tag, limit);
    let (mut running, mut ended, mut charged) = (Vec::new(), Vec::new(), 0);
    for event in events {
        match event {
            Event::Admit(core, nanos) => {
                if let Ok(grant) = cores[core].state.admit(&tenant, ask(0, nanos)).await {
                    running.push((core, nanos, grant));
                }
            }
            Event::Settle(which, nanos) if !running.is_empty() => {
                let (core, asked, grant) = running.swap_remove(which % running.len());
                let came_to = nanos.min(asked);
                grant.settle(Used { tokens: 0, nanos: came_to });
                ended.push((core, came_to));
                charged += came_to;
            }
            Event::Drop(which) if !running.is_empty() => {
                drop(running.swap_remove(which % running.len()));
            }
            Event::Store(which) if !ended.is_empty() => {
                let (core, nanos) = ended.swap_remove(which % ended.len());
                book.store(&cores[core].state, &[&scope], nanos);
            }
            Event::Flush => _ = server.command(&["FLUSHALL"]),
            Event::Leave(core, nanos) => {
                let asked = cores[core].state.admit(&tenant, ask(0, nanos));
                let _ = tokio::time::timeout(Duration::ZERO, asked).await;
            }
            Event::Settle(..) | Event::Drop(_) | Event::Store(_) => {}
        }
    }
    drop(running);
    for (core, nanos) in ended {
        book.store(&cores[core].state, &[&scope], nanos);
    }
    assert_eq!(lock(&book.spent).get(&scope).copied().unwrap_or(0), charged);
    assert!(charged <= limit, "{charged}");
    let left = limit - charged;
    for core in cores {
        if left > 0 {
            drop(soon(&core.state, &tenant, ask(0, left)).await);
        }
        assert!(core.state.admit(&tenant, ask(0, left + 1)).await.is_err(), "more than {left} is left");
    }
}
