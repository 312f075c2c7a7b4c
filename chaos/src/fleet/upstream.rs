//! The provider behind the fleet: honest, quick or slow as the model's name says, and it remembers what it was asked and what it has
//! counted.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use orchestrator_testkit::provider::{Answer, Provider, Script, Seen};
use tokio::time::Instant;

use crate::answer::Told;

/// The models, each named after how long an answer takes; at the provider they have the same names.
pub(crate) const MODELS: [&str; 3] = [QUICK, SLOW, LONG];
/// At once; a stream in some 60 ms.
pub(crate) const QUICK: &str = "quick";
/// [`SLOW_TAKES`].
pub(crate) const SLOW: &str = "slow";
/// Longer than a core lives that is to die in it: five seconds.
pub(crate) const LONG: &str = "long";
/// How long a slow answer takes at least.
pub(crate) const SLOW_TAKES: Duration = Duration::from_millis(800);

/// Half the time between two pieces of a slow and of a long stream.
const PACES: (Duration, Duration) = (Duration::from_millis(60), Duration::from_millis(350));
const LONG_TAKES: Duration = Duration::from_secs(5);

/// What was asked once, and what it came to.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The caller's.
    pub(crate) request_id: String,
    /// When it had come.
    pub(crate) at: Instant,
    /// Tokens read.
    pub(crate) prompt: u64,
    /// Tokens written.
    pub(crate) completion: u64,
}

/// A provider that serves on the current runtime.
#[derive(Debug)]
pub(crate) struct Upstream {
    provider: Provider,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let (provider, asked) = (Provider::start().await, Arc::new(Mutex::new(Vec::new())));
        let (numbers, book) = (AtomicU64::new(1), Arc::clone(&asked));
        provider.route(
            "chat/completions",
            Script::choose(move |_, seen| answer(numbers.fetch_add(1, Ordering::Relaxed), seen, &book)),
        );
        Self { provider, asked }
    }

    pub(crate) fn base_url(&self) -> String {
        self.provider.base_url()
    }

    /// What was asked by requests whose id begins so.
    pub(crate) fn asked(&self, prefix: &str) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter(|asked| asked.request_id.starts_with(prefix)).cloned().collect()
    }

    /// What was wrong with what it was asked.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.provider.complaints()
    }
}

fn answer(number: u64, seen: &Seen, book: &Mutex<Vec<Asked>>) -> Answer {
    let body = seen.json();
    let limit = body["max_tokens"].as_u64().or(body["max_completion_tokens"].as_u64()).unwrap_or(u64::MAX);
    let told = Told {
        number,
        stream: body["stream"] == true,
        with_usage: body["stream_options"]["include_usage"] == true,
        // Fewer than the words that callers use here are estimated at, and never more than they have allowed: a provider that
        // counts more than it was asked for would spend what nobody could reserve.
        prompt: 20 + number % 8,
        completion: limit.min(20 + number % 31),
    };
    book.lock().unwrap_or_else(PoisonError::into_inner).push(Asked {
        request_id: seen.header("x-request-id").unwrap_or_default().to_owned(),
        at: Instant::now(),
        prompt: told.prompt,
        completion: told.completion,
    });
    let answer = told.in_order();
    match (body["model"].as_str(), told.stream) {
        (Some(SLOW), true) => answer.pace(PACES.0),
        (Some(SLOW), false) => answer.after(SLOW_TAKES),
        (Some(LONG), true) => answer.pace(PACES.1),
        (Some(LONG), false) => answer.after(LONG_TAKES),
        _ => answer,
    }
}
