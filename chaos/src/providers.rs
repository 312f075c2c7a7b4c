//! The three scripted providers, in a process of their own.
//!
//! It prints their addresses on a line, begins with the schedule when a line comes, and when its standard input ends prints what it
//! was asked, an [`Ask`] a line. So it never outlives whoever started it.

use std::{
    io::{self, BufRead as _, Read as _},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use orchestrator_base::{clock::Clock, process};
use orchestrator_testkit::provider::{Answer, Provider, Script, Seen};
use tokio::time::Instant;

use crate::{
    AnyError,
    answer::Told,
    kind::{KEYS, Kind, OF_KEYS},
    report::Ask,
    schedule::{self, Stretch},
};

/// How long a whole answer takes where nothing is faulty.
const THINKS: Duration = Duration::from_millis(30);

/// The secret of a provider's key.
pub(crate) fn secret(provider: usize, key: usize) -> String {
    format!("sk-chaos-{provider}-{key}-0123456789")
}

/// What the providers share.
struct World {
    start: OnceLock<Instant>,
    answers: AtomicU64,
    asks: Mutex<Vec<Ask>>,
    clock: Clock,
    /// Without faults whole answers take a while, so that many are under way at once.
    calm: bool,
}

/// Serves the schedule of that seed for that many milliseconds; for none at all: without any faults.
pub(crate) fn run(seed: u64, length: u64) -> Result<(), AnyError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(seed, length))
}

async fn serve(seed: u64, length: u64) -> Result<(), AnyError> {
    let world = Arc::new(World {
        start: OnceLock::new(),
        answers: AtomicU64::new(1),
        asks: Mutex::default(),
        clock: Clock::system(),
        calm: length == 0,
    });
    let mut providers = Vec::new();
    for (number, stretches) in schedule::draw(seed, length).into_iter().enumerate() {
        let provider = Provider::start().await;
        let world = Arc::clone(&world);
        provider.route(
            "chat/completions",
            Script::choose(move |_, seen| answer(&world, number, &stretches, seen)),
        );
        providers.push(provider);
    }
    let addresses: Vec<String> = providers.iter().map(|provider| provider.address().to_string()).collect();
    process::print(format!("{}\n", addresses.join(" ")));

    let begin = || io::stdin().lock().read_line(&mut String::new());
    tokio::task::spawn_blocking(begin).await??;
    world.start.get_or_init(Instant::now);
    tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new())).await??;

    let complaints: Vec<String> = providers.iter().flat_map(Provider::complaints).collect();
    if !complaints.is_empty() {
        return Err(format!("the providers complain: {}", complaints.join("; ")).into());
    }
    let asks = world.asks.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lines = String::new();
    for ask in asks.iter() {
        lines.push_str(&serde_json::to_string(ask)?);
        lines.push('\n');
    }
    process::print(lines);
    Ok(())
}

fn answer(world: &World, provider: usize, stretches: &[Stretch], seen: &Seen) -> Answer {
    let at_ms = world.start.get().map_or(0, |start| start.elapsed().as_millis() as u64);
    let key = (0..KEYS).find(|key| {
        seen.header("authorization").is_some_and(|value| value.ends_with(&secret(provider, *key)))
    });
    let Some(key) = key else { return Answer::error(401) };
    let body = seen.json();
    let told = Told::numbered(
        world.answers.fetch_add(1, Ordering::Relaxed),
        body["stream"] == true,
        body["stream_options"]["include_usage"] == true,
    );
    let kind = wrong(stretches, at_ms, key);
    let (answer, whole) = match kind {
        Some(kind) => told.spoiled(kind, &world.clock),
        None if world.calm && !told.stream => (told.in_order().after(THINKS), true),
        None => (told.in_order(), true),
    };
    world.asks.lock().unwrap_or_else(PoisonError::into_inner).push(Ask {
        request_id: seen.header("x-request-id").unwrap_or_default().to_owned(),
        provider,
        key,
        at_ms,
        kind,
        answer: told.number,
        whole,
        prompt: told.prompt,
        completion: told.completion,
    });
    answer
}

/// What is wrong with a provider for whoever comes with that key. A key once spoiled stays so, but where nobody is at home nobody
/// looks at keys.
fn wrong(stretches: &[Stretch], at_ms: u64, key: usize) -> Option<Kind> {
    let now = schedule::at(stretches, at_ms).filter(|kind| !OF_KEYS.contains(kind));
    let spoils = |stretch: &&Stretch| OF_KEYS.get(key) == Some(&stretch.kind) && stretch.from <= at_ms;
    let of_key = stretches.iter().find(spoils).map(|stretch| stretch.kind);
    now.filter(|kind| matches!(kind, Kind::DownReset | Kind::DownSilent)).or(of_key).or(now)
}
