//! One request of a key, and what became of it; and many at once.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use super::cores::Key;
use crate::{
    caller::{self, Dialect, Wish},
    outcome::{self, Outcome},
};

/// A caller that has no answer by then has none.
const PATIENCE: Duration = Duration::from_secs(30);
/// What every caller says: the gateway estimates it at more tokens than the provider counts.
const WORDS: &str = "Tell me about the first four of the seven seas, and about those who have sailed on them in the years before \
                     there were any maps of them, and after.";

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// The id under which ledger and provider know it. A scene's ids begin alike.
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) wish: Wish,
    /// `Idempotency-Key`.
    pub(crate) idempotency: Option<String>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) id: String,
    secret: String,
    pub(crate) stream: bool,
    pub(crate) sent: Instant,
    pub(crate) took: Duration,
    /// 0: there was no answer.
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) outcome: Outcome,
}

impl Ask {
    /// In OpenAI's words.
    pub(crate) fn new(id: String, key: &Key, model: &'static str) -> Self {
        let words = WORDS.to_owned();
        let wish = Wish { dialect: Dialect::OpenAi, model, stream: false, words, max_tokens: Some(50) };
        Self { id, secret: key.secret.clone(), wish, idempotency: None }
    }

    pub(crate) fn stream(mut self, stream: bool) -> Self {
        self.wish.stream = stream;
        self
    }

    /// The longest answer.
    pub(crate) fn at_most(mut self, tokens: u64) -> Self {
        self.wish.max_tokens = Some(tokens);
        self
    }

    /// How many bytes are sent: no estimate of the tokens in it is larger.
    pub(crate) fn bytes(&self) -> u64 {
        self.wish.body().to_string().len() as u64
    }

    /// Asks, and reads the answer to its end.
    pub(crate) async fn make(self, edge: SocketAddr) -> Answered {
        let sent = Instant::now();
        let bearer = format!("Bearer {}", self.secret);
        let mut headers = vec![
            ("authorization", bearer.as_str()),
            ("x-request-id", &self.id),
            ("anthropic-version", "2023-06-01"),
        ];
        if let Some(key) = &self.idempotency {
            headers.push(("idempotency-key", key));
        }
        let wish = &self.wish;
        let (path, body) = (wish.path(), wish.body().to_string());
        let got = caller::call(edge, Method::POST, &path, &headers, body);
        let (status, headers, body, outcome) = match timeout(PATIENCE, got).await {
            Ok(Ok(got)) => {
                let outcome = outcome::read(wish.dialect, wish.stream, &got);
                (got.status, got.headers, got.body, outcome)
            }
            Ok(Err(error)) => nothing(format!("the gateway cannot be asked: {error}")),
            Err(_) => nothing(format!("no end after {} s", PATIENCE.as_secs())),
        };
        Answered {
            id: self.id,
            secret: self.secret,
            stream: self.wish.stream,
            sent,
            took: sent.elapsed(),
            status,
            headers,
            body,
            outcome,
        }
    }
}

fn nothing(why: String) -> (u16, HeaderMap, Bytes, Outcome) {
    (0, HeaderMap::new(), Bytes::new(), Outcome::Failed(why))
}

impl Answered {
    /// Whether there was an answer, to its end.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.outcome, Outcome::Complete(_))
    }

    /// Which of these keys it was asked with; if none, the first.
    pub(crate) fn key<'a>(&self, keys: &'a [Key]) -> &'a Key {
        keys.iter().find(|key| key.secret == self.secret).unwrap_or(&keys[0])
    }

    /// `error.code` of a refusal in OpenAI's words.
    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// What there was, in short.
    pub(crate) fn shown(&self) -> String {
        let body: String = String::from_utf8_lossy(&self.body).chars().take(300).collect();
        let outcome = match &self.outcome {
            Outcome::Failed(why) if self.status == 0 => why.clone(),
            Outcome::Failed(_) | Outcome::Complete(_) => body,
            Outcome::Cut(_) | Outcome::Unended(_) => format!("cut: {body}"),
            Outcome::Dishonest(_) => format!("without an honest end: {body}"),
        };
        format!("{} after {:.0?}: {} {outcome}", self.id, self.took, self.status)
    }
}

/// Asks all of them at once, each of the edge beside it.
pub(crate) async fn at_once(asks: impl IntoIterator<Item = (SocketAddr, Ask)>) -> Vec<Answered> {
    let under_way: JoinSet<Answered> = asks.into_iter().map(|(edge, ask)| ask.make(edge)).collect();
    under_way.join_all().await
}

/// From the first request to the last answer.
pub(crate) fn span(answers: &[Answered]) -> Duration {
    let first = answers.iter().map(|answer| answer.sent).min();
    let last = answers.iter().map(|answer| answer.sent + answer.took).max();
    first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first)
}
