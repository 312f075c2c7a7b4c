//! The prober on a paused clock: whom it asks, when, and what becomes of the answers.

mod cores;
mod questions;

use std::{collections::HashMap, sync::Mutex};

use async_trait::async_trait;
use orchestrator_base::{
    clock::{Clock, UnixMicros},
    config, task,
};
use tokio::time::{advance, sleep};

use super::*;
use crate::{
    catalog::{CatalogRows, Provider, route::Target, samples, snapshot::Snapshot},
    health::{Settings, Status},
};

const START: UnixMicros = UnixMicros(1_795_000_000_000_000);
const MINUTE: Duration = Duration::from_mins(1);

/// Answers as it was told, and remembers who was asked when.
#[derive(Default)]
struct Scripted {
    asked: Mutex<Vec<(String, Duration)>>,
    /// Of those that fail: their status.
    failing: Mutex<HashMap<String, u16>>,
    takes: Mutex<Duration>,
    under_way: Mutex<(usize, usize)>,
    began: Mutex<Option<Instant>>,
}

#[async_trait]
impl Ask for Scripted {
    async fn ask(&self, question: &Question) -> Option<Seen> {
        let (Question::Chat(target) | Question::Embed(target) | Question::Models(target)) = question;
        let name = target.provider_name.to_string();
        let since = self.began.lock().unwrap().unwrap().elapsed();
        self.asked.lock().unwrap().push((name.clone(), since));
        let takes = *self.takes.lock().unwrap();
        {
            let mut under_way = self.under_way.lock().unwrap();
            under_way.0 += 1;
            under_way.1 = under_way.1.max(under_way.0);
        }
        sleep(takes).await;
        self.under_way.lock().unwrap().0 -= 1;
        let status = self.failing.lock().unwrap().get(&name).copied();
        Some(match status {
            Some(status) => Seen { status, ..Seen::silence("told to fail", takes) },
            None => Seen::answer(200, takes),
        })
    }

    async fn list(&self, target: &Target) -> Result<ModelList> {
        Ok(ModelList::new([format!("{}-model", target.provider_name)]))
    }

    async fn tools(&self, target: &Target) -> Result<ToolTest> {
        Ok(ToolTest { model: target.upstream_model.clone(), called: true, ..ToolTest::default() })
    }
}

/// A prober of the providers `p0`, `p1` …, whose clocks go together.
struct House {
    ask: Arc<Scripted>,
    board: Arc<HealthBoard>,
    catalog: Arc<SharedCatalog>,
    desk: ProbeDesk,
    leads: watch::Sender<bool>,
    clock: Clock,
    stop: CancellationToken,
}

impl House {
    /// Half of every spread: the first probe of a lone provider comes after 125 ms.
    fn of(providers: usize) -> Self {
        let clock = Clock::manual(START);
        let board = Arc::new(HealthBoard::new(Settings::default(), clock.clone()));
        let (catalog, ask) = (Arc::new(SharedCatalog::default()), Arc::new(Scripted::default()));
        *ask.began.lock().unwrap() = Some(Instant::now());
        let leads = watch::Sender::new(true);
        let (prober, desk) = Prober::new(
            Arc::clone(&catalog),
            Arc::clone(&board),
            ask.clone(),
            Random::seeded(3),
            leads.subscribe(),
        );
        let stop = CancellationToken::new();
        drop(task::spawn("prober", prober.run(stop.clone())));
        let house = Self { ask, board, catalog, desk, leads, clock, stop };
        house.set_providers((0..providers).map(provider));
        house
    }

    fn set_providers(&self, providers: impl Iterator<Item = Provider>) {
        let rows = CatalogRows { providers: providers.collect(), ..CatalogRows::default() };
        let unseal = |_: &_| Err(Error::internal("there are no keys"));
        self.catalog.swap(Snapshot::build(rows, &unseal, &config::Timeouts::default()));
    }

    /// Lets this time pass on both clocks, in small steps.
    async fn pass(&self, time: Duration) {
        const STEP: Duration = Duration::from_millis(100);
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(STEP);
            self.clock.advance(step);
            advance(step).await;
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            left -= step;
        }
    }

    fn asked(&self) -> usize {
        self.ask.asked.lock().unwrap().len()
    }

    fn fail(&self, name: &str, status: u16) {
        self.ask.failing.lock().unwrap().insert(name.to_owned(), status);
    }

    fn heal(&self, name: &str) {
        self.ask.failing.lock().unwrap().remove(name);
    }

    fn sees(&self, id: &str, good: bool) {
        let seen = Seen { good, status: 200, ..Seen::default() };
        self.board.saw(&Arc::from(id), &seen);
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn provider(number: usize) -> Provider {
    samples::provider(&format!("p{number}"), &format!("p{number}"))
}

#[tokio::test(start_paused = true)]
async fn a_provider_is_asked_soon_and_then_every_interval() {
    let house = House::of(1);
    house.pass(MINUTE * 21).await;
    let asked: Vec<u64> = house.ask.asked.lock().unwrap().iter().map(|(_, at)| at.as_secs()).collect();
    assert_eq!(asked, [0, 300, 600, 900, 1200]);
    assert_eq!(house.board.status("p0"), Status::Healthy);
}

#[tokio::test(start_paused = true)]
async fn live_success_within_the_interval_spends_no_probe_and_live_failure_does() {
    let house = House::of(1);
    house.pass(MINUTE).await;
    assert_eq!(house.asked(), 1);
    for _ in 0..10 {
        house.sees("p0", true);
        house.pass(MINUTE * 2).await;
    }
    assert_eq!(house.asked(), 1, "traffic speaks for it");
    house.pass(MINUTE * 3 + Duration::from_secs(1)).await;
    assert_eq!(house.asked(), 2, "an interval after the last success");
    house.sees("p0", false);
    house.pass(MINUTE * 5).await;
    assert_eq!(house.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_unhealthy_provider_is_asked_every_interval_and_one_answer_restores_it() {
    let house = House::of(1);
    house.fail("p0", 503);
    house.pass(MINUTE * 20 + Duration::from_secs(1)).await;
    assert_eq!(house.asked(), 5);
    assert_eq!(house.board.status("p0"), Status::Unhealthy);
    let report = house.board.report("p0");
    assert_eq!((report.facts.error_count, report.facts.last_status_code), (5, Some(503)));
    assert!(report.next_retry_at > Some(house.clock.now()));
    house.heal("p0");
    house.pass(MINUTE * 5).await;
    assert_eq!(house.board.status("p0"), Status::Healthy);
    assert_eq!(house.board.report("p0").total_requests_24h, 0);
}

#[tokio::test(start_paused = true)]
async fn many_providers_are_not_asked_at_once() {
    let house = House::of(200);
    *house.ask.takes.lock().unwrap() = Duration::from_secs(1);
    house.pass(Duration::from_secs(40)).await;
    let asked = house.ask.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 200);
    assert_eq!(house.ask.under_way.lock().unwrap().1, AT_ONCE);
    let first_second = asked.iter().filter(|(_, at)| at.as_secs() == 0).count();
    assert!(first_second <= 30, "{first_second} in the first second");
}

#[tokio::test(start_paused = true)]
async fn changed_settings_hold_at_once() {
    let house = House::of(1);
    house.pass(MINUTE).await;
    let every = |interval_minutes| Settings { interval_minutes, ..Settings::default() };
    house.board.set_settings(every(2));
    house.pass(MINUTE + Duration::from_secs(1)).await;
    assert_eq!(house.asked(), 2, "two minutes after the first");
    house.board.set_settings(every(60));
    house.pass(MINUTE * 59).await;
    assert_eq!(house.asked(), 2);
    house.board.set_settings(Settings { enabled: false, ..every(1) });
    house.pass(MINUTE * 10).await;
    assert_eq!(house.asked(), 2, "nobody is asked");
    house.board.set_settings(every(1));
    house.pass(Duration::from_secs(1)).await;
    assert_eq!(house.asked(), 3, "enabled again, it begins anew");
}

#[tokio::test(start_paused = true)]
async fn only_the_core_that_leads_asks_but_each_checks_when_it_is_told() {
    let house = House::of(1);
    house.leads.send_replace(false);
    house.pass(MINUTE * 11).await;
    assert_eq!(house.asked(), 0);
    house.fail("p0", 500);
    house.desk.check("p0").await.unwrap();
    assert_eq!((house.asked(), house.board.report("p0").facts.error_count), (1, 1));
    house.leads.send_replace(true);
    house.pass(Duration::from_secs(1)).await;
    assert_eq!(house.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_check_out_of_turn_takes_the_place_of_the_next_and_refuses_whom_it_cannot_ask() {
    let house = House::of(1);
    house.pass(MINUTE * 4).await;
    house.desk.check("p0").await.unwrap();
    assert_eq!(house.asked(), 2);
    house.pass(MINUTE * 4).await;
    assert_eq!(house.asked(), 2);
    house.pass(MINUTE + Duration::from_secs(1)).await;
    assert_eq!(house.asked(), 3);
    house.set_providers([Provider { enabled: false, ..provider(0) }].into_iter());
    house.pass(Duration::from_secs(1)).await;
    let refused = house.desk.check("p0").await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Conflict);
    assert_eq!(house.board.status("p0"), Status::Healthy, "what is disabled is not forgotten");
    house.set_providers(std::iter::empty());
    house.pass(Duration::from_secs(1)).await;
    assert_eq!(house.board.status("p0"), Status::Unknown, "what is gone is");
}

#[tokio::test(start_paused = true)]
async fn a_changed_provider_is_asked_again_and_the_answer_of_the_old_one_says_nothing() {
    let house = House::of(1);
    house.pass(MINUTE).await;
    assert_eq!(house.asked(), 1);
    *house.ask.takes.lock().unwrap() = Duration::from_secs(20);
    house.fail("p0", 503);
    let moved = |place: &str| Provider { base_url: format!("http://{place}.test"), ..provider(0) };
    house.set_providers([moved("elsewhere")].into_iter());
    house.pass(Duration::from_secs(10)).await;
    assert_eq!(house.asked(), 2, "although a success speaks for the old one");
    house.set_providers([moved("farther")].into_iter());
    house.pass(Duration::from_secs(15)).await;
    assert_eq!(house.board.report("p0").facts.error_count, 0);
    house.pass(Duration::from_secs(10)).await;
    assert_eq!(house.board.report("p0").facts.error_count, 1);
}

#[tokio::test(start_paused = true)]
async fn an_operator_is_told_what_a_provider_lists_and_whether_a_model_calls_tools_and_no_picture_is_drawn_of_it()
 {
    let house = House::of(1);
    let listed = house.desk.models("p0").await.unwrap();
    assert_eq!(listed.names().collect::<Vec<_>>(), ["p0-model"]);
    let test = house.desk.tools("p0", Some("large")).await.unwrap();
    assert_eq!((test.model.as_str(), test.called), ("large", true));
    let unnamed = house.desk.tools("p0", None).await.unwrap_err();
    assert_eq!((unnamed.kind, unnamed.param.as_deref()), (ErrorKind::Conflict, Some("model")));
    for refused in
        [house.desk.models("nobody").await.map(drop), house.desk.tools("nobody", None).await.map(drop)]
    {
        assert_eq!(refused.unwrap_err().kind, ErrorKind::Conflict);
    }
    assert_eq!((house.asked(), house.board.status("p0")), (0, Status::Unknown));
}
