//! What is written down of a request. The journal holds it as one line of JSON, which leaves out what is mostly empty; the database
//! as one row of `request_logs`.

use std::collections::BTreeMap;

use orchestrator_base::clock::UnixMicros;
use serde::{Deserialize, Serialize, Serializer, de::IgnoredAny};

use crate::{call::UsageSource, chat::Usage};

/// One request, from arrival to end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestRecord {
    /// UUID v7, made by the core.
    pub id: String,
    /// As the caller or the edge gave it: it only traces.
    pub request_id: String,
    /// The trace that it belongs to, 32 hexadecimal digits; empty where there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trace_id: String,
    /// The caller's session, if it named one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub session_id: String,
    /// The id of the caller's key; empty when none was accepted.
    pub api_key_id: String,
    /// That key's name at that time.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_key_name: String,
    /// That key's team.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub team: String,
    /// That team's id; empty where there is none of that name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub team_id: String,
    /// When it arrived.
    pub started_at: UnixMicros,
    /// The caller's dialect: `openai_chat`, or `typed`.
    pub dialect: String,
    /// `chat`, `completions`, `embeddings`.
    pub operation: String,
    /// Whether the answer was streamed.
    pub stream: bool,
    /// The model asked for.
    pub model: String,
    /// The model that answered, in the provider's words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub answered_model: String,
    /// The provider's id; empty when none was asked.
    pub provider_id: String,
    /// The provider's name at that time.
    pub provider: String,
    /// The label of the provider's key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider_key: String,
    /// The model's name at the provider.
    pub upstream_model: String,
    /// How often a provider was asked.
    pub attempts: u32,
    /// Each time that one was, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<AttemptRecord>,
    /// The HTTP status that the caller got; 499 when it left.
    pub status: u16,
    /// `ok`, `truncated`, or the error kind's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub outcome: String,
    /// The error's kind, for a truncated answer too; empty where there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error_kind: String,
    /// The error's message, if any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// The provider's own word for why it ended.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub finish_reason: String,
    /// From arrival to the last byte, in microseconds.
    pub latency_us: u64,
    /// From arrival to the first content, in microseconds; `None` for whole answers and failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_us: Option<u64>,
    /// Spent in the gateway itself until the provider was asked, in microseconds.
    pub overhead_us: u64,
    /// Tokens.
    pub usage: UsageRecord,
    /// What it cost, in nano-dollars; `None` where no price is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_nanos: Option<u64>,
    /// What the budgets of its key and its team are charged, in nano-dollars: its cost, or what the ceiling for unknown prices makes
    /// of its tokens. `None`: nobody was asked, and nothing is charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charged_nanos: Option<u64>,
    /// Whose budgets the core that wrote it counts that to until it is stored. It is no column.
    #[serde(skip_serializing_if = "Held::is_nothing")]
    pub held: Held,
    /// The price that the cost was computed from; empty where none is known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub price_version: String,
    /// Where the caller called from.
    pub client_address: String,
    /// What the caller calls itself.
    pub user_agent: String,
    /// The end user on whose behalf the call was made.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub end_user: String,
    /// The request's and the key's labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// What was said, where the caller's key or a setting wants it kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bodies: Option<BodiesRecord>,
    /// Who made the request: a caller, or the prober, whose requests count in no statistics.
    #[serde(skip_serializing_if = "Origin::is_caller")]
    pub origin: Origin,
}

/// Who made a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A caller.
    #[default]
    Caller,
    /// The prober.
    Probe,
}

impl Origin {
    /// Its word in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Probe => "probe",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_caller(&self) -> bool {
        *self == Self::Caller
    }
}

/// Whose budgets a request took from while it ran: those count what it came to as outstanding until it is stored. One number in the
/// journal, for it stands in each record of a caller with a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "HeldAsWritten")]
pub struct Held {
    /// The key's.
    pub key: bool,
    /// The team's.
    pub team: bool,
}

impl Held {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Serialize for Held {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(u8::from(self.key) | u8::from(self.team) << 1)
    }
}

/// An earlier version wrote more, of a core that is gone: nobody counts what it held.
#[derive(Deserialize)]
#[serde(untagged)]
enum HeldAsWritten {
    Number(u8),
    Otherwise(IgnoredAny),
}

impl From<HeldAsWritten> for Held {
    fn from(written: HeldAsWritten) -> Self {
        let HeldAsWritten::Number(number) = written else { return Self::default() };
        Self { key: number & 1 != 0, team: number & 2 != 0 }
    }
}

/// One time that a provider was asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttemptRecord {
    /// When.
    pub started_at: UnixMicros,
    /// The provider's id.
    pub provider_id: String,
    /// The provider's name at that time.
    pub provider: String,
    /// The label of the provider's key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider_key: String,
    /// The model's name at the provider.
    pub upstream_model: String,
    /// The provider's HTTP status; 0 where none came.
    pub status: u16,
    /// `ok`, `truncated`, or the error kind's name.
    pub outcome: String,
    /// The error's message, if any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// From asking to the end, in microseconds.
    pub latency_us: u64,
    /// From asking to the first content, in microseconds; streams only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_us: Option<u64>,
}

/// A request's body and its answer's, each as far as the size cap lets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BodiesRecord {
    /// What was asked.
    pub request: BodyRecord,
    /// What was answered, as the caller got it.
    pub response: BodyRecord,
}

/// A body, or its beginning.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BodyRecord {
    /// Its text; base64 where it is not UTF-8.
    pub text: String,
    /// Whether `text` is base64.
    pub base64: bool,
    /// How long the body was, in bytes; what is kept may be less.
    pub bytes: u64,
}

/// Tokens as they are written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageRecord {
    /// All tokens read.
    pub prompt: u64,
    /// All tokens written.
    pub completion: u64,
    /// Of the prompt: read from the provider's cache.
    pub cached_read: u64,
    /// Of the prompt: written to the provider's cache.
    pub cache_write: u64,
    /// Of the completion: reasoning.
    pub reasoning: u64,
    /// Who counted.
    pub source: UsageSource,
}

impl UsageRecord {
    /// Usage with its source.
    pub fn new(usage: Usage, source: UsageSource) -> Self {
        Self {
            prompt: usage.prompt,
            completion: usage.completion,
            cached_read: usage.cached_read,
            cache_write: usage.cache_write,
            reasoning: usage.reasoning,
            source,
        }
    }
}
