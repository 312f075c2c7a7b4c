//! Several cores before one database.

use super::*;
use crate::{
    audit::Stamp,
    prober::sync::{COUNTS_EVERY, POLL_INTERVAL},
    store::{CatalogChange, CatalogWriter as _, Database, HealthCheckStore as _},
};

/// A core's part in it.
struct Core {
    board: Arc<HealthBoard>,
    keeper: Arc<SettingsKeeper>,
    leads: watch::Receiver<bool>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Option<()>>,
}

async fn core(database: &Database, id: &str, first: Settings) -> Core {
    let clock = Clock::system();
    let board = Arc::new(HealthBoard::new(Settings::default(), clock.clone()));
    let keeper = SettingsKeeper::new(Arc::new(database.clone()), Arc::clone(&board), first);
    let keeper = Arc::new(keeper);
    let sync = HealthSync::start(Arc::clone(&keeper), id.to_owned(), clock).await.unwrap();
    let (leads, stop) = (sync.leads(), CancellationToken::new());
    let task = task::spawn("health sync", sync.run(stop.clone()));
    Core { board, keeper, leads, stop, task }
}

impl Core {
    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// Waits for what takes a poll or two.
async fn until(what: impl Fn() -> bool) {
    for _ in 0..1000 {
        if what() {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("it did not come to that in time");
}

#[tokio::test]
async fn one_core_leads_all_see_and_a_successor_knows_what_was() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("x.db")).await.unwrap();
    let provider = CatalogChange::InsertProvider(Box::new(provider(0)), None);
    database.apply(vec![provider], &Stamp::for_tests()).await.unwrap();
    let first = Settings { max_error_count: 2, ..Settings::default() };
    let one = core(&database, "one", first).await;
    let mut led = one.leads.clone();
    led.wait_for(|leads| *leads).await.unwrap();
    let two = core(&database, "two", Settings::default()).await;
    assert_eq!(two.board.settings(), first, "the first start's settings stand");

    let fault = Seen::silence("it cannot be reached", Duration::ZERO);
    one.board.saw(&Arc::from("p0"), &fault);
    one.board.saw(&Arc::from("p0"), &fault);
    until(|| two.board.status("p0") == Status::Unhealthy).await;
    assert_eq!(two.board.report("p0").total_requests_24h, 2);
    two.board.saw(&Arc::from("p0"), &Seen::answer(200, Duration::ZERO));
    until(|| one.board.status("p0") == Status::Healthy).await;
    assert_eq!(one.board.report("p0").total_requests_24h, 3);

    two.keeper.change(|settings| settings.max_error_count = 9, &Stamp::for_tests()).await.unwrap();
    assert_eq!(two.board.settings().max_error_count, 9);
    until(|| one.board.settings().max_error_count == 9).await;
    let refused =
        two.keeper.change(|settings| settings.interval_minutes = 0, &Stamp::for_tests()).await.unwrap_err();
    assert_eq!(refused.param.as_deref(), Some("interval_minutes"));

    assert!(!*two.leads.borrow(), "one core at a time");
    one.board.saw(&Arc::from("p0"), &Seen::answer(200, Duration::ZERO));
    one.end().await;
    two.end().await;
    let three = core(&database, "three", Settings::default()).await;
    let report = three.board.report("p0");
    assert_eq!((report.status, report.total_requests_24h), (Status::Healthy, 4));
    let mut leads = three.leads.clone();
    leads.wait_for(|leads| *leads).await.unwrap();
    three.end().await;
    assert_eq!(database.health_checks(&first).await.unwrap().settings.max_error_count, 9);
    assert!(POLL_INTERVAL < COUNTS_EVERY);
}
