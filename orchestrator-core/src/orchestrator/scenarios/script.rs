//! What a provider does when it is asked, and the stage on which it does so: a way to providers without a network.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use tokio::time::{Instant, sleep};

use super::wires::{self, Word};
use crate::{
    dialect::Dialect,
    provider::http::{Answer, AnswerBody, Ask, AskFailure, BodyFailure, PieceStream, Sending, Transport},
};

/// One answer, or what stands in its place.
#[derive(Clone, Debug)]
pub(super) struct Act {
    wait: Duration,
    outcome: Outcome,
    headers: HeaderMap,
}

#[derive(Clone, Debug)]
enum Outcome {
    Refuses,
    NeverConnects,
    Breaks,
    Says(&'static str),
    Refusal(u16, Option<&'static str>),
    Plays(Option<&'static str>, Vec<Step>),
}

/// A step of a body.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Time passes.
    Pause(u64),
    /// A word of the provider's dialect.
    Say(Word),
    /// Bytes as they are.
    Raw(Bytes),
    /// The connection breaks. A body without this step just ends.
    Reset,
}

impl From<Word> for Step {
    fn from(word: Word) -> Self {
        Self::Say(word)
    }
}

impl Act {
    fn new(outcome: Outcome) -> Self {
        Self { wait: Duration::ZERO, outcome, headers: HeaderMap::new() }
    }

    /// So many milliseconds later.
    pub(super) fn after(mut self, ms: u64) -> Self {
        self.wait = Duration::from_millis(ms);
        self
    }

    /// With a header.
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }
}

/// Nobody listens.
pub(super) fn refuses() -> Act {
    Act::new(Outcome::Refuses)
}

/// The connection never stands.
pub(super) fn never_connects() -> Act {
    Act::new(Outcome::NeverConnects)
}

/// The connection breaks before an answer.
pub(super) fn breaks() -> Act {
    Act::new(Outcome::Breaks)
}

/// No answer ever comes.
pub(super) fn is_silent() -> Act {
    Act::new(Outcome::Breaks).after(u64::from(u32::MAX))
}

/// A complete answer, whole or streamed, as it was asked.
pub(super) fn says(text: &'static str) -> Act {
    Act::new(Outcome::Says(text))
}

/// An error answer with a body in the provider's dialect.
pub(super) fn status(status: u16) -> Act {
    Act::new(Outcome::Refusal(status, None))
}

/// An error answer with a body of its own.
pub(super) fn status_with(status: u16, body: &'static str) -> Act {
    Act::new(Outcome::Refusal(status, Some(body)))
}

/// A 200 with this body, as the stream or the whole that was asked for.
pub(super) fn plays(steps: impl IntoIterator<Item = impl Into<Step>>) -> Act {
    Act::new(Outcome::Plays(None, steps.into_iter().map(Into::into).collect()))
}

/// The same with a type of its own.
pub(super) fn plays_as(content_type: &'static str, body: &'static str) -> Act {
    Act::new(Outcome::Plays(Some(content_type), vec![Step::Raw(Bytes::from_static(body.as_bytes()))]))
}

/// A provider's part: what it does each time, the last of them from then on.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) dialect: Dialect,
    pub(super) acts: Vec<Act>,
}

/// A provider was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asking {
    pub(super) provider: String,
    /// Milliseconds since the world began.
    pub(super) at: u64,
    pub(super) key: String,
    pub(super) request_id: String,
    /// This request has asked it before.
    pub(super) again: bool,
    /// Requests that ask this provider again right now, this one included if it does.
    pub(super) repeating: usize,
    /// Requests under way in the world.
    pub(super) under_way: usize,
}

/// The stage.
#[derive(Debug)]
pub(super) struct Stage {
    began: Instant,
    /// By host.
    parts: HashMap<String, Part>,
    asked: Mutex<Vec<Asking>>,
    /// By host, how many ask it again right now.
    repeating: Mutex<HashMap<String, usize>>,
    /// Requests that have no answer yet.
    pub(super) under_way: AtomicUsize,
}

/// Somebody asks a provider again, until this is dropped.
struct Repeating<'a>(&'a Stage, String);

impl Drop for Repeating<'_> {
    fn drop(&mut self) {
        *self.0.repeating.lock().unwrap().get_mut(&self.1).unwrap() -= 1;
    }
}

impl Stage {
    pub(super) fn new(parts: HashMap<String, Part>) -> Self {
        Self {
            began: Instant::now(),
            parts,
            asked: Mutex::default(),
            repeating: Mutex::default(),
            under_way: AtomicUsize::new(0),
        }
    }

    pub(super) fn asked(&self) -> MutexGuard<'_, Vec<Asking>> {
        self.asked.lock().unwrap()
    }

    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap()
    }

    /// Notes that a provider is asked; answers what it does.
    fn cue(&self, ask: &Ask) -> (Dialect, Act, Option<Repeating<'_>>) {
        let host = ask.uri.host().unwrap();
        let text = |name: &HeaderName| {
            ask.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        let mut asked = self.asked();
        let before = asked.iter().filter(|asking| asking.provider == host).count();
        let request_id = text(&HeaderName::from_static("x-request-id"));
        let again = asked.iter().any(|asking| asking.provider == host && asking.request_id == request_id);
        let repeating = again.then(|| Repeating(self, host.to_owned()));
        let mut all_repeating = self.repeating.lock().unwrap();
        let count = all_repeating.entry(host.to_owned()).or_default();
        *count += usize::from(again);
        asked.push(Asking {
            provider: host.to_owned(),
            at: self.now(),
            key: text(&AUTHORIZATION).trim_start_matches("Bearer ").to_owned(),
            request_id,
            again,
            repeating: *count,
            under_way: self.under_way.load(Ordering::Relaxed),
        });
        let part = &self.parts[host];
        (part.dialect, part.acts[before.min(part.acts.len() - 1)].clone(), repeating)
    }
}

impl Stage {
    async fn play(&self, ask: Ask) -> Result<Answer, AskFailure> {
        let (dialect, act, _repeating) = self.cue(&ask);
        sleep(act.wait).await;
        let streams = ask.headers[ACCEPT] == "text/event-stream";
        let usual = if streams { "text/event-stream" } else { "application/json" };
        let (status, content_type, steps) = match act.outcome {
            Outcome::Refuses => return Err(AskFailure::Connect("connection refused".into())),
            Outcome::NeverConnects => {
                sleep(ask.connect_timeout).await;
                return Err(AskFailure::Connect("deadline has elapsed".into()));
            }
            Outcome::Breaks => return Err(AskFailure::Broken("connection reset by peer".into())),
            Outcome::Says(text) if streams => {
                let words = [Word::Head, Word::Text(text), Word::Stop, Word::Done];
                (200, usual, words.map(Step::Say).to_vec())
            }
            Outcome::Says(text) => (200, usual, vec![Step::Raw(wires::whole(dialect, text).into())]),
            Outcome::Refusal(status, body) => {
                let body = body.map_or_else(|| wires::failure(dialect, status), str::to_owned);
                (status, "application/json", vec![Step::Raw(body.into())])
            }
            Outcome::Plays(content_type, steps) => (200, content_type.unwrap_or(usual), steps),
        };
        let mut headers = act.headers;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let status = StatusCode::from_u16(status).unwrap();
        Ok(Answer { status, headers, body: AnswerBody::Other(played(dialect, steps)) })
    }
}

impl Transport for Stage {
    fn send(&self, ask: Ask) -> Sending<'_> {
        Box::pin(self.play(ask))
    }
}

fn played(dialect: Dialect, steps: Vec<Step>) -> PieceStream {
    let steps = steps.into_iter();
    PieceStream::new(Box::pin(stream::unfold(steps, move |mut steps| async move {
        loop {
            let piece = match steps.next()? {
                Step::Pause(ms) => {
                    sleep(Duration::from_millis(ms)).await;
                    continue;
                }
                Step::Say(word) => Ok(Bytes::from(wires::events(dialect, word))),
                Step::Raw(bytes) => Ok(bytes),
                Step::Reset => Err(BodyFailure::Broken("connection reset by peer".into())),
            };
            return Some((piece, steps));
        }
    })))
}
