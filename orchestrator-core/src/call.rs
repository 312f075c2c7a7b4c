//! A request and its answer as the core sees them, whichever plane they came by.

mod wishes;

use std::{collections::BTreeMap, ops::Range, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use orchestrator_base::telemetry::traces::Trace;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    chat::{ChatEvent, ChatRequest, Finish, Usage},
    dialect::Dialect,
    embedding::EmbedRequest,
    error::{Error, ErrorKind},
};

pub use wishes::Wishes;

/// One request, before anything has been decided about it.
#[derive(Clone, Debug)]
pub struct Call {
    /// Traces the call through logs and answers.
    pub request_id: String,
    /// The keys that the caller presented, in whatever place. Two that differ are refused.
    pub keys: Vec<SecretString>,
    /// What is asked.
    pub input: Input,
    /// When it arrived.
    pub received: Instant,
    /// How long the caller waits; `None`: as long as the time-outs allow.
    pub timeout: Option<Duration>,
    /// Who calls, and under which names.
    pub about: About,
    /// Headers that a provider of the same dialect is shown (`openai-beta`); the boundary has picked them.
    pub headers: HeaderMap,
}

/// What a request asks, in the words of its plane.
#[derive(Clone, Debug)]
pub enum Input {
    /// A public dialect's bytes.
    Native {
        /// Which dialect.
        dialect: Dialect,
        /// The body as it came.
        body: Bytes,
        /// What the path said.
        path: PathFacts,
    },
    /// The typed plane's chat. Its `stream` says whether it streams.
    Chat(Box<ChatRequest>),
    /// The typed plane's embeddings.
    Embed(Box<EmbedRequest>),
    /// The typed plane's chat, whose prompt's tokens are to be counted.
    Count(Box<ChatRequest>),
    /// A response that its provider stores, by its id.
    Stored {
        /// What is to be done with it.
        verb: StoredVerb,
        /// Its id.
        id: String,
        /// The query, as it came.
        query: String,
    },
    /// The list of models, or one of them, rendered in the shape of a dialect's vendor.
    Models {
        /// Whose shape.
        dialect: Dialect,
        /// Only this one.
        id: Option<String>,
    },
}

/// What can be done with a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredVerb {
    /// Hand it out.
    Get,
    /// Delete it.
    Delete,
    /// Stop working on it.
    Cancel,
    /// List what it answers.
    InputItems,
}

/// What a request's path says of it, in dialects whose bodies do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathFacts {
    /// The model asked for.
    pub model: Option<String>,
    /// The answer is to be streamed.
    pub stream: bool,
    /// A stream is one JSON array whose elements come one by one, instead of server-sent events.
    pub json_array: bool,
}

/// A model as callers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name to ask for.
    pub id: String,
    /// Unix seconds since when it is in the catalog; for a model that providers list, since when the best of them is.
    pub created: i64,
    /// The names of the providers that serve it, best first.
    pub providers: Vec<String>,
}

/// How a rate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meter {
    /// The limit.
    pub limit: u64,
    /// How much of it is left now.
    pub remaining: u64,
    /// After how long all of it is, if nothing more is asked.
    pub reset: Duration,
}

/// How a caller's rates stand after an ask: of several scopes, the one with the least left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Requests a minute; `None`: there is no limit.
    pub requests: Option<Meter>,
    /// Tokens a minute; `None`: there is no limit.
    pub tokens: Option<Meter>,
}

impl Standing {
    /// Whether any rate is limited, so that there is something to tell.
    pub fn is_news(&self) -> bool {
        self.requests.is_some() || self.tokens.is_some()
    }

    /// Of both, each rate with the least left.
    pub fn tighter(self, other: Self) -> Self {
        let less = |one: Option<Meter>, two: Option<Meter>| match (one, two) {
            (Some(one), Some(two)) => Some(if two.remaining < one.remaining { two } else { one }),
            (one, two) => one.or(two),
        };
        Self { requests: less(self.requests, other.requests), tokens: less(self.tokens, other.tokens) }
    }
}

/// How a call was served: the answer headers, and the typed plane's `Routing`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// The provider's name.
    pub provider: String,
    /// The model asked of it.
    pub upstream_model: String,
    /// How many attempts it took, the last one included.
    pub attempts: u32,
    /// What translation could not carry, as field paths.
    pub dropped: Vec<String>,
    /// Time spent in the gateway itself until the provider was asked, in microseconds.
    pub overhead_us: u64,
    /// For which request the answer was made, if not for this one.
    pub repeat: Option<Box<Repeat>>,
}

/// An answer that was made for another request, under the same idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// `joined` or `replayed`.
    pub how: &'static str,
    /// The id of the request that it was made for.
    pub original: String,
}

/// Where usage comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider reported it.
    Provider,
    /// It did not; this is our estimate.
    #[default]
    Estimated,
}

/// What a call says about itself, beside what it asks. All of it goes into the ledger.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The trace that the call belongs to, 32 hexadecimal digits; empty where there is none.
    pub trace_id: String,
    /// The same with the span of the call, for whatever is done on its behalf.
    pub trace: Trace,
    /// Calls of one session may be kept at one provider.
    pub session_id: String,
    /// Free labels.
    pub tags: BTreeMap<String, String>,
    /// What translation could not carry is an error instead of being dropped.
    pub strict: bool,
    /// Providers that the caller names, in order of preference.
    pub providers: Vec<String>,
    /// How often the request may be tried again; `None`: as its model says.
    pub retry_count: Option<u32>,
    /// Where the caller called from.
    pub client_address: String,
    /// What the caller calls itself.
    pub user_agent: String,
    /// The request is to be made once, however often it comes.
    pub idempotency: Option<Box<Idempotency>>,
}

/// A request's own name for itself: with the same one it is the same request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// As the caller said it.
    pub key: String,
    /// On the typed plane, a digest of the message.
    pub asked: Option<[u8; 32]>,
}

/// What one scan of a body tells: all that admission, routing, rewriting and the ledger need of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The model asked for. Empty where only what its provider stores says it.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether the caller asked for usage at the end of its stream.
    pub include_usage: bool,
    /// The request defines tools.
    pub tools: bool,
    /// The request asks for an answer after a JSON schema.
    pub structured: bool,
    /// The request holds pictures.
    pub images: bool,
    /// The end user on whose behalf the call is made.
    pub end_user: Option<String>,
    /// A session id that the body itself carries (`prompt_cache_key`).
    pub session_id: Option<String>,
    /// The body holds another vendor's [sealed](crate::dialect::seal) reasoning: it cannot travel as it is.
    pub sealed: bool,
    /// The request goes on from a response that its provider keeps (`previous_response_id`): only that provider can answer it.
    pub previous_response: Option<String>,
    /// What the body says to the gateway itself; `None`, as nearly always: nothing.
    pub wishes: Option<Box<Wishes>>,
    /// The most tokens that each answer may have; `None`: as many as the model gives.
    pub max_output: Option<u64>,
    /// How many answers are asked for; `None`: one.
    pub answers: Option<u64>,
    /// The body's length: what an estimate of its tokens starts from.
    pub body_bytes: usize,
    /// Where the fields of the body stand, if it is JSON as it came.
    pub outline: Option<Outline>,
}

/// Where the members of a JSON object stand in its text: what a scan of it leaves behind, so that nobody has to scan it again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The length of the text.
    pub length: usize,
    /// Just behind the opening brace.
    pub inside: usize,
    /// Every member in its order, repeated keys included.
    pub members: Vec<Member>,
    /// Which of the words that the scan looked for begin a string somewhere, a bit each.
    pub words: u8,
}

/// One member of a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where the key stands, between its quotes.
    pub key: Range<usize>,
    /// The key itself where it is written with escapes: `"mo\u0064el"` is `model`.
    pub escaped: Option<Box<str>>,
    /// Where the value stands.
    pub value: Range<usize>,
}

/// An answer on the native plane: finished in the caller's dialect, errors included.
#[derive(Debug)]
pub struct Head {
    /// The HTTP status.
    pub status: StatusCode,
    /// `content-type`, the answer headers and those that are passed on from the provider.
    pub headers: HeaderMap,
    /// Why it failed, when `status` says so.
    pub failure: Option<ErrorKind>,
    /// How the caller's rates stand, where they are limited. They are numbers up to the edge, which writes the headers that the
    /// caller's clients know: six texts more would cost each answer more on their way than all that was counted.
    pub limits: Option<Standing>,
}

/// A stretch of a provider's stream: one or more whole events.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// For a caller of the same dialect: the bytes to pass on, cut at an event's border. Else empty.
    pub raw: Bytes,
    /// For everybody else: what the events say. Else empty.
    pub events: Vec<ChatEvent>,
    /// What the commit point, the ledger and health read.
    pub signals: Signals,
}

/// What a stretch of a stream, or a whole answer, says about itself. The commit point, the ledger and health read only this.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// Text, reasoning, a refusal or a tool call has begun. Role, metadata and empty deltas are not content.
    pub content: bool,
    /// Tokens used so far.
    pub usage: Option<Usage>,
    /// Why a choice ended.
    pub finish: Option<Finish>,
    /// The dialect's own end of stream was seen.
    pub terminator: bool,
    /// The provider reported an error inside a 200.
    pub error: Option<Error>,
    /// The model that answers, in the provider's words.
    pub model: Option<String>,
    /// The service tier that the provider says it used. Only decoders read it: on the lossless path it passes with the bytes.
    pub service_tier: Option<String>,
    /// The id of an answer that its provider keeps, for callers to come back to.
    pub stored_id: Option<String>,
    /// How many bytes of the answer's own text passed (text, reasoning, refusals, calls; no framing): what an estimate of its tokens
    /// starts from. A tap may have estimated it.
    pub output_bytes: usize,
}

impl Signals {
    /// Takes in what a later stretch says. What a provider says behind an error is no answer any more.
    pub fn merge(&mut self, later: Self) {
        self.terminator |= later.terminator;
        self.output_bytes += later.output_bytes;
        if later.usage.is_some() {
            self.usage = later.usage;
        }
        if self.error.is_none() {
            self.content |= later.content;
            if later.finish.is_some() {
                self.finish = later.finish;
            }
            self.error = later.error;
        }
        if later.stored_id.is_some() {
            self.stored_id = later.stored_id;
        }
        if later.service_tier.is_some() {
            self.service_tier = later.service_tier;
        }
        if self.model.is_none() {
            self.model = later.model;
        }
    }

    /// From here on fail-over is closed: there is content, or the answer is over without any. An error behind content in the
    /// same read changes nothing: how a provider's bytes were cut into reads must not decide what the caller sees.
    pub fn commits(&self) -> bool {
        self.content || self.finish.is_some() || (self.error.is_none() && self.terminator)
    }
}
