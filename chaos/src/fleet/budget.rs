//! Budgets: callers who never pause spend them to the end, and not a nano-dollar more.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use orchestrator_base::task;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    ask::{Answered, Ask},
    cores::{Fleet, Key, PRICES},
    money::{self, Account, dollars},
    scene::Scene,
    upstream::QUICK,
};
use crate::AnyError;

/// A request costs some 40,000 to 100,000 nano-dollars.
const BUDGET: u64 = 15_000_000;
const QUICK_BUDGET: u64 = 5_000_000;
/// Half of them ask for streams.
const CALLERS: usize = 24;
/// After a refusal what is still outstanding is waited for this long: twice refused, nothing is left.
const SETTLED: Duration = Duration::from_millis(400);
/// Nobody is kept waiting longer for the end of a budget.
const PATIENCE: Duration = Duration::from_mins(1);

/// Plays the scene.
pub(crate) async fn play(fleet: &mut Fleet, quick: bool) -> Result<Scene, AnyError> {
    let mut scene = Scene::default();
    let budget = if quick { QUICK_BUDGET } else { BUDGET };
    let key = fleet.key("budget-key", total(budget)).await?;
    let team = fleet.team("budget-team", total(budget)).await?;
    let of_team = json!({"team": "budget-team"});
    let members =
        [fleet.key("budget-one", of_team.clone()).await?, fleet.key("budget-other", of_team).await?];
    fleet.await_known().await?;

    let spending = Spending::begin(fleet.edge, "budget-key-", vec![key.clone()], CALLERS);
    let spent = spending.until_spent().await;
    let scope = format!("key:{}", key.id);
    judge("a key", fleet, &scope, budget, &[key], &spent, &mut scene).await?;

    let spending = Spending::begin(fleet.edge, "budget-team-", members.to_vec(), CALLERS);
    let spent = spending.until_spent().await;
    let scope = format!("team:{team}");
    judge("two keys of a team", fleet, &scope, budget, &members, &spent, &mut scene).await?;
    Ok(scene)
}

/// A budget of so many nano-dollars, for good.
pub(crate) fn total(nanos: u64) -> Value {
    json!({"budget_usd": nanos as f64 / 1e9, "budget_period": "total"})
}

/// Callers who go on until they are refused.
pub(crate) struct Spending {
    edge: SocketAddr,
    prefix: &'static str,
    keys: Vec<Key>,
    numbers: Arc<AtomicU64>,
    callers: Vec<tokio::task::JoinHandle<Option<Vec<Answered>>>>,
    begun: Instant,
}

/// What they got.
pub(crate) struct Spent {
    prefix: &'static str,
    callers: usize,
    /// All answers but the refusals.
    pub(crate) answers: Vec<Answered>,
    /// The refusals.
    pub(crate) refusals: Vec<Answered>,
    /// How long it took until all were refused.
    pub(crate) took: Duration,
}

impl Spending {
    /// So many callers of these keys begin.
    pub(crate) fn begin(edge: SocketAddr, prefix: &'static str, keys: Vec<Key>, callers: usize) -> Self {
        let numbers = Arc::new(AtomicU64::new(0));
        let spend = |caller: usize| {
            let (key, numbers) = (keys[caller % keys.len()].clone(), Arc::clone(&numbers));
            task::spawn("spender", spend_on(edge, prefix, key, numbers, caller.is_multiple_of(2)))
        };
        let callers = (0..callers).map(spend).collect();
        Self { edge, prefix, keys, numbers, callers, begun: Instant::now() }
    }

    /// Whether anybody has not been refused yet.
    pub(crate) fn goes_on(&self) -> bool {
        self.callers.iter().any(|caller| !caller.is_finished())
    }

    /// How many requests were begun.
    pub(crate) fn begun(&self) -> u64 {
        self.numbers.load(Ordering::Relaxed)
    }

    /// Waits until all were refused.
    pub(crate) async fn all_refused(mut self) -> Spent {
        self.await_all().await
    }

    /// Waits until all were refused, and spends what is left on the cheapest requests there are.
    pub(crate) async fn until_spent(mut self) -> Spent {
        let begun = Instant::now();
        let mut spent = self.await_all().await;
        let mut refused = 0;
        while refused < 2 && begun.elapsed() < PATIENCE {
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let id = format!("{}{number}", self.prefix);
            let answer = Ask::new(id, &self.keys[0], QUICK).at_most(1).make(self.edge).await;
            if answer.status == 429 {
                refused += 1;
                sleep(SETTLED).await;
            }
            spent.take(vec![answer]);
        }
        spent
    }

    async fn await_all(&mut self) -> Spent {
        let mut spent = Spent {
            prefix: self.prefix,
            callers: self.callers.len(),
            answers: Vec::new(),
            refusals: Vec::new(),
            took: Duration::ZERO,
        };
        for caller in self.callers.drain(..) {
            spent.take(caller.await.ok().flatten().unwrap_or_default());
        }
        spent.took = self.begun.elapsed();
        spent
    }
}

impl Spent {
    /// With what was got after that.
    pub(crate) fn and(mut self, later: Self) -> Self {
        self.answers.extend(later.answers);
        self.refusals.extend(later.refusals);
        self.took += later.took;
        self
    }

    fn take(&mut self, answers: Vec<Answered>) {
        for answer in answers {
            let list = if answer.status == 429 { &mut self.refusals } else { &mut self.answers };
            list.push(answer);
        }
    }
}

/// One caller, until it is refused, or fails.
async fn spend_on(
    edge: SocketAddr,
    prefix: &'static str,
    key: Key,
    numbers: Arc<AtomicU64>,
    stream: bool,
) -> Vec<Answered> {
    let (mut answers, give_up) = (Vec::new(), Instant::now() + PATIENCE);
    while Instant::now() < give_up {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let answer = Ask::new(format!("{prefix}{number}"), &key, QUICK).stream(stream).make(edge).await;
        let goes_on = answer.is_complete();
        answers.push(answer);
        if !goes_on {
            break;
        }
    }
    answers
}

/// What the cheapest request is reserved with at most, in nano-dollars.
pub(crate) fn cheapest(key: &Key) -> u64 {
    Ask::new("id".to_owned(), key, QUICK).at_most(1).bytes() * PRICES.0 + PRICES.1
}

/// The budget was spent to its end and not beyond it, and all sums are one.
pub(crate) async fn judge(
    what: &str,
    fleet: &Fleet,
    scope: &str,
    budget: u64,
    keys: &[Key],
    got: &Spent,
    scene: &mut Scene,
) -> Result<(), AnyError> {
    for answer in got.answers.iter().filter(|answer| !answer.is_complete()) {
        scene.check(false, || format!("{what}: neither answered nor refused with a 429: {}", answer.shown()));
    }
    scene.check(got.refusals.iter().all(|refusal| !refusal.code().is_empty()), || {
        format!("{what}: a refusal without a code: {}", got.refusals[0].shown())
    });
    let answered = got.answers.iter().filter(|answer| answer.is_complete());
    let answered: Vec<_> = answered.map(|answer| (answer.key(keys), answer.id.as_str())).collect();
    let account = Account::with(&fleet.database, &answered).await?;
    let charged = keys.iter().map(|key| account.charged(&key.id)).sum();
    let cut = keys.iter().map(|key| account.charged_for_cut(&key.id)).sum();
    let spent = account.spent(scope);
    scene.say(format!(
        "{what}: a budget of {}, {} callers: {} answers in {:.1?}, then {} refusals ({})",
        dollars(budget),
        got.callers,
        got.answers.len(),
        got.took,
        got.refusals.len(),
        got.refusals.first().map(Answered::code).unwrap_or_default(),
    ));
    money::compare(what, (charged, cut), spent, money::cost(&fleet.upstream.asked(got.prefix)), scene);
    scene.check(spent <= budget, || {
        format!("{what}: {} more than the budget was spent", dollars(spent - budget))
    });
    let least = cheapest(&keys[0]);
    scene.check(spent + least > budget, || {
        format!(
            "{what}: {} is left, and the cheapest request takes {}",
            dollars(budget - spent),
            dollars(least)
        )
    });
    Ok(())
}
