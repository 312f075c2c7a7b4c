//! What a dialect is: one wire format, as pure code.
//!
//! A dialect can do two things. On the **lossless path** (provider and caller both speak it) it peeks at a request, splices
//! what must be rewritten, and taps the answer's bytes as they pass. On the **hub path** it decodes into the hub's words
//! ([`crate::chat`], [`crate::embedding`]) and encodes out of them, whole and streamed. Nothing here does I/O, waits, or reads
//! a clock.
//!
//! # Adding a dialect
//!
//! 1. A folder `dialect/<name>/` with `peek, tap, types, request, reply, stream, error`, and a unit struct that implements
//!    [`Wire`].
//! 2. A variant of [`Dialect`] and its row in [`Dialect::wire`] and [`Dialect::ALL`].
//! 3. A row in `edge/router.rs` for each public path.
//! 4. Fixtures: golden files for every shape, and the recordings of `testkit`.

pub mod anthropic;
pub mod count;
pub(crate) mod events;
pub mod gemini;
pub mod gemini_embeddings;
pub(crate) mod json;
mod length;
mod openai;
pub mod openai_chat;
pub mod openai_completions;
pub mod openai_embeddings;
pub mod openai_responses;
pub(crate) mod retry_after;
pub mod scan;
pub mod seal;
pub mod splice;
pub(crate) mod told;
mod vet;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::{
    call::{Batch, Facts, ModelInfo, Outline, Signals, UsageSource},
    chat::{ChatEvent, ChatReply, ChatRequest, JsonText},
    embedding::{EmbedReply, EmbedRequest},
    error::{Error, Result},
};

/// The dialects, by their public names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI Chat Completions.
    OpenAiChat,
    /// OpenAI's legacy Completions. Spoken by every provider that speaks Chat.
    OpenAiCompletions,
    /// OpenAI Embeddings.
    OpenAiEmbeddings,
    /// Anthropic Messages.
    Anthropic,
    /// Gemini generateContent.
    Gemini,
    /// Gemini batchEmbedContents.
    GeminiEmbeddings,
    /// Gemini embedContent: one embedding, where the batch has a list.
    GeminiEmbedContent,
    /// OpenAI Responses.
    OpenAiResponses,
    /// Anthropic's count of a prompt's tokens.
    AnthropicCount,
    /// Gemini's.
    GeminiCount,
    /// That of OpenAI Responses.
    OpenAiResponsesCount,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::OpenAiChat,
        Self::OpenAiCompletions,
        Self::OpenAiEmbeddings,
        Self::Anthropic,
        Self::Gemini,
        Self::GeminiEmbeddings,
        Self::GeminiEmbedContent,
        Self::OpenAiResponses,
        Self::AnthropicCount,
        Self::GeminiCount,
        Self::OpenAiResponsesCount,
    ];

    /// The public name: in `options.dialects`, in `InvokeRequest.dialect`, in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai_chat",
            Self::OpenAiCompletions => "openai_completions",
            Self::OpenAiEmbeddings => "openai_embeddings",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::GeminiEmbeddings => "gemini_embeddings",
            Self::GeminiEmbedContent => "gemini_embed_content",
            Self::OpenAiResponses => "openai_responses",
            Self::AnthropicCount => "anthropic_count",
            Self::GeminiCount => "gemini_count",
            Self::OpenAiResponsesCount => "openai_responses_count",
        }
    }

    /// The dialect of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }

    /// What is asked in it: the operation that keys are allowed and the ledger counts.
    pub fn operation(self) -> Operation {
        match self {
            Self::OpenAiChat | Self::Anthropic | Self::Gemini | Self::OpenAiResponses => Operation::Chat,
            Self::OpenAiCompletions => Operation::Completions,
            Self::OpenAiEmbeddings | Self::GeminiEmbeddings | Self::GeminiEmbedContent => {
                Operation::Embeddings
            }
            Self::AnthropicCount | Self::GeminiCount | Self::OpenAiResponsesCount => Operation::CountTokens,
        }
    }

    /// The dialect in which a vendor counts the tokens of this one's prompts, if there is one.
    pub fn count(self) -> Option<Self> {
        match self {
            Self::Anthropic => Some(Self::AnthropicCount),
            Self::Gemini => Some(Self::GeminiCount),
            Self::OpenAiResponses => Some(Self::OpenAiResponsesCount),
            _ => None,
        }
    }

    /// The code that speaks it.
    pub fn wire(self) -> &'static dyn Wire {
        match self {
            Self::OpenAiChat => &openai_chat::OpenAiChat,
            Self::OpenAiCompletions => &openai_completions::OpenAiCompletions,
            Self::OpenAiEmbeddings => &openai_embeddings::OpenAiEmbeddings,
            Self::Anthropic => &anthropic::Anthropic,
            Self::Gemini => &gemini::Gemini,
            Self::GeminiEmbeddings => &gemini_embeddings::BATCH,
            Self::GeminiEmbedContent => &gemini_embeddings::SINGLE,
            Self::OpenAiResponses => &openai_responses::OpenAiResponses,
            Self::AnthropicCount => &count::Counter(anthropic::count::AnthropicCount),
            Self::GeminiCount => &count::Counter(gemini::count::GeminiCount),
            Self::OpenAiResponsesCount => &count::Counter(openai_responses::count::ResponsesCount),
        }
    }
}

/// What a caller wants done. A request can only be translated into a dialect of the same hub type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A chat completion.
    Chat,
    /// A legacy text completion; the hub treats it as a chat.
    Completions,
    /// Embeddings.
    Embeddings,
    /// The list of models.
    Models,
    /// What is done with stored responses. Who may chat may do it.
    Responses,
    /// The tokens of a chat's prompt are counted. Who may chat may do it.
    CountTokens,
}

impl Operation {
    /// The public name: in `ApiKey.operations` and in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Models => "models",
            Self::Responses => "responses",
            Self::CountTokens => "count_tokens",
        }
    }

    /// The operation that a key must be allowed for it.
    pub fn permission(self) -> Self {
        match self {
            Self::Responses | Self::CountTokens => Self::Chat,
            own => own,
        }
    }
}

/// A request in the hub's words.
#[derive(Clone, Debug, PartialEq)]
pub enum HubRequest {
    /// Chat, legacy completions, and a prompt to be counted.
    Chat(Box<ChatRequest>),
    /// Embeddings.
    Embed(Box<EmbedRequest>),
}

/// A whole answer in the hub's words.
#[derive(Clone, Debug, PartialEq)]
pub enum HubReply {
    /// Chat, and legacy completions.
    Chat(ChatReply),
    /// Embeddings.
    Embed(EmbedReply),
    /// The tokens of a prompt.
    Count {
        /// How many.
        tokens: u64,
        /// Who counted.
        source: UsageSource,
    },
}

/// One wire format. Stateless: a stream's state lives in the [`Tap`], [`StreamDecoder`] or [`StreamEncoder`] it hands out.
pub trait Wire: Send + Sync {
    /// Which one.
    fn dialect(&self) -> Dialect;

    // --- The lossless path.

    /// Reads what the gateway must know of a request, in one scan of its top level.
    ///
    /// Errors: not JSON, not an object, deeper than `max_depth`, no `model`, or a field that is read here and has the wrong
    /// type; each names the field.
    fn peek(&self, body: &Bytes, max_depth: usize) -> Result<Facts>;

    /// Rewrites the few fields that must be, and copies the rest byte for byte.
    fn splice(&self, body: &Bytes, edits: &Edits<'_>) -> Result<Bytes>;

    /// Watches a stream of this dialect on its way through.
    fn tap(&self, drop_injected_usage: bool) -> Box<dyn Tap>;

    /// Reads a whole answer's signals: usage, model, finish, or an error under a 200.
    fn inspect(&self, body: &Bytes) -> Signals;

    // --- The hub path.

    /// Into the hub's words. Errors name the path of the wrong field (`messages[2].role`).
    fn decode_request(&self, body: &Bytes) -> Result<HubRequest>;

    /// Refuses what could not be told at all in another dialect, before anything is translated into one. Errors name the path.
    fn vet_request(&self, _body: &Bytes) -> Result<()> {
        Ok(())
    }

    /// Out of the hub's words.
    fn encode_request(&self, request: &HubRequest, target: &EncodeTarget<'_>) -> Result<Encoded>;

    /// A provider's whole answer into the hub's words.
    fn decode_reply(&self, body: &Bytes) -> Result<HubReply>;

    /// A whole answer out of the hub's words.
    fn encode_reply(&self, reply: &HubReply) -> Result<Bytes>;

    /// Reads a provider's stream.
    fn stream_decoder(&self) -> Box<dyn StreamDecoder>;

    /// Writes a stream for a caller.
    fn stream_encoder(&self, facts: &Facts) -> Box<dyn StreamEncoder>;

    // --- Errors, both ways.

    /// Reads a provider's error answer: its status, headers and body into the closed list, with what it said in
    /// [`Error::upstream`]. `now` (Unix seconds) is what a `Retry-After` date counts from.
    fn read_error(&self, answer: &ErrorAnswer<'_>) -> Error;

    /// An error for a caller of this dialect: the body. A provider's own body passes as it is when it came in this dialect.
    fn render_error(&self, error: &Error, request_id: &str) -> Bytes;

    /// An error for a caller whose stream has begun: an event of this dialect, never followed by a terminator.
    fn render_error_event(&self, error: &Error, request_id: &str) -> Bytes;

    // --- Lists of models.

    /// The list of models, in this dialect's vendor's shape.
    fn render_models(&self, models: &[ModelInfo]) -> Bytes;

    /// One model, in this dialect's vendor's shape.
    fn render_model(&self, model: &ModelInfo) -> Bytes;

    /// What keeps a silent stream's connection open, where clients of this dialect bear it.
    fn idle_bytes(&self) -> Option<Bytes>;
}

/// What is rewritten in a request on its way to a provider of the same dialect.
#[derive(Clone, Debug, Default)]
pub struct Edits<'a> {
    /// The model's name at the provider.
    pub model: &'a str,
    /// Add `stream_options.include_usage: true` to a stream's request.
    pub include_usage: bool,
    /// Top-level fields that the provider's options set: name and JSON text.
    pub overrides: &'a [(String, JsonText)],
    /// Top-level fields that are meant for the gateway alone ([`crate::call::Wishes::fields`]).
    pub taken: &'a [&'static str],
    /// Where the body's fields stand ([`Facts::outline`]), so that it is not scanned again.
    pub outline: Option<&'a Outline>,
}

/// For whom a request is written.
#[derive(Clone, Copy, Debug)]
pub struct EncodeTarget<'a> {
    /// The model's name at the provider.
    pub model: &'a str,
    /// Ask for usage at the end of a stream.
    pub include_usage: bool,
    /// Top-level fields that the provider's options set: name and JSON text.
    pub overrides: &'a [(String, JsonText)],
    /// The provider takes only the older field names (`max_tokens`), as compatible servers do.
    pub legacy_names: bool,
    /// How else the provider's Chat differs from OpenAI's.
    pub quirks: Quirks,
}

/// How a server's Chat differs from what OpenAI publishes. The default is what most servers that imitate it take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// Where the reasoning of a history goes.
    pub thinking: Thinking,
    /// `tool_choice` says `any` for what OpenAI calls `required`.
    pub any_tool: bool,
    /// The seed is called `random_seed`.
    pub random_seed: bool,
    /// Ids of tool calls are nine letters and digits.
    pub short_ids: bool,
    /// `top_k` is taken.
    pub top_k: bool,
    /// Marks of a prompt cache (`cache_control`) are refused.
    pub no_cache_marks: bool,
}

impl Quirks {
    /// As most servers are.
    pub const NONE: Self = Self {
        thinking: Thinking::Content,
        any_tool: false,
        random_seed: false,
        short_ids: false,
        top_k: false,
        no_cache_marks: false,
    };
}

/// Where a server wants the reasoning of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Thinking {
    /// In `reasoning_content`.
    #[default]
    Content,
    /// In `reasoning`.
    Reasoning,
    /// In the content, as parts of type `thinking`.
    Parts,
    /// Nowhere: it refuses or ignores it.
    Nowhere,
}

/// A request ready for a provider.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The body.
    pub body: Bytes,
    /// What this dialect cannot carry, as field paths of the hub: `top_k`, `messages[1].parts[0].audio`.
    pub dropped: Vec<String>,
}

/// A provider's answer with a status of 400 or more, or an error it sent under a 200.
#[derive(Clone, Copy, Debug)]
pub struct ErrorAnswer<'a> {
    /// The provider's name, for messages.
    pub provider: &'a str,
    /// Its status.
    pub status: StatusCode,
    /// Its headers: `retry-after`, `retry-after-ms`, `content-type`.
    pub headers: &'a HeaderMap,
    /// Its body, whatever that is: JSON, HTML, nothing.
    pub body: &'a Bytes,
    /// Unix seconds.
    pub now: i64,
}

/// Watches one stream of its dialect pass by. Until the first content every event is parsed; afterwards only what may carry a
/// signal.
pub trait Tap: Send {
    /// Takes a stretch of whole events and gives back what is passed on, with its signals.
    fn pass(&mut self, events: Bytes) -> Batch;
}

/// Reads one stream of its dialect. The same events, however the bytes were cut into stretches.
pub trait StreamDecoder: Send {
    /// Takes a stretch of whole events.
    fn decode(&mut self, events: &Bytes) -> Batch;

    /// What was held back until the connection ended as it should: in a dialect without a terminator only that says that a
    /// finish was the last one.
    fn end(&mut self) -> Vec<ChatEvent> {
        Vec::new()
    }
}

/// Writes one stream of its dialect.
pub trait StreamEncoder: Send {
    /// The next events' bytes; empty when nothing is to be said yet.
    fn encode(&mut self, events: &[ChatEvent]) -> Bytes;

    /// The last bytes of a stream that ended well: what is held back, usage if asked for, the terminator.
    fn finish(&mut self) -> Bytes;
}

/// How property tests run here: the same cases every time, so that a failure is one for everybody.
#[cfg(test)]
fn fixed_cases() -> proptest::test_runner::Config {
    proptest::test_runner::Config {
        rng_seed: proptest::test_runner::RngSeed::Fixed(7),
        failure_persistence: None,
        ..proptest::test_runner::Config::default()
    }
}
