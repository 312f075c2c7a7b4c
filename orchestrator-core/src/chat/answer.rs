//! What a model answers, whole and streamed, in the hub's words.

use std::collections::BTreeMap;

use super::{JsonText, Message};

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatReply {
    /// The provider's id.
    pub id: String,
    /// The model that answered, in the provider's words.
    pub model: String,
    /// Unix seconds; 0 when unknown.
    pub created: i64,
    /// One unless more were asked for.
    pub choices: Vec<Choice>,
    /// Tokens used, if the provider said.
    pub usage: Option<Usage>,
    /// The provider's service tier.
    pub service_tier: Option<String>,
    /// `DIALECT.FIELD` to JSON.
    pub extras: BTreeMap<String, JsonText>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Its place, from 0.
    pub index: u32,
    /// What the model said.
    pub message: Message,
    /// Why it ended.
    pub finish: Finish,
    /// JSON of the answering dialect.
    pub logprobs: Option<JsonText>,
}

/// Why an answer ended, with the provider's own word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finish {
    /// In the hub's words; `None` when the provider did not say.
    pub reason: Option<FinishReason>,
    /// In the provider's.
    pub native: String,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// Done, or met a stop sequence.
    Stop,
    /// The token limit.
    Length,
    /// Waits for results of tools.
    ToolCalls,
    /// Withheld by a filter, or refused.
    ContentFilter,
    /// Anything else.
    Other,
}

impl FinishReason {
    /// The hub's name of it, which is OpenAI's where OpenAI has one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Other => "other",
        }
    }
}

/// Tokens used. `prompt` includes what was cached, `completion` includes reasoning, whatever the dialect's own habit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
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
    /// Of the prompt: audio.
    pub prompt_audio: u64,
    /// Of the completion: audio.
    pub completion_audio: u64,
}

/// The usual rule of thumb for English text (OpenAI's help pages).
const BYTES_PER_TOKEN: u64 = 4;

impl Usage {
    /// What a request and an answer of so many bytes come to where nobody counted. Callers and the ledger are told the same.
    pub fn estimated(request_bytes: usize, answer_bytes: usize) -> Self {
        let tokens = |bytes: usize| (bytes as u64).div_ceil(BYTES_PER_TOKEN);
        Self { prompt: tokens(request_bytes).max(1), completion: tokens(answer_bytes), ..Self::default() }
    }
}

/// One piece of a streamed answer.
#[derive(Clone, Debug, PartialEq)]
pub enum ChatEvent {
    /// The answer has begun.
    Started {
        /// The provider's id.
        id: String,
        /// The model that answers.
        model: String,
        /// Unix seconds; 0 when unknown.
        created: i64,
    },
    /// Text.
    Text {
        /// From 0.
        choice: u32,
        /// The piece.
        text: String,
    },
    /// Reasoning text.
    Reasoning {
        /// From 0.
        choice: u32,
        /// The piece.
        text: String,
    },
    /// A refusal's text.
    Refusal {
        /// From 0.
        choice: u32,
        /// The piece.
        text: String,
    },
    /// A signature or encrypted block of reasoning, whole.
    ReasoningBlock {
        /// From 0.
        choice: u32,
        /// The signature over the reasoning before it, [sealed](crate::dialect::seal).
        signature: Option<String>,
        /// Encrypted or redacted reasoning, sealed.
        encrypted: Option<String>,
    },
    /// Where a claim in the choice's latest text comes from.
    Citation {
        /// From 0.
        choice: u32,
        /// The source.
        citation: Citation,
    },
    /// A tool call or a piece of its arguments.
    ToolCall(ToolCallDelta),
    /// Log probabilities of what came just before.
    Logprobs {
        /// From 0.
        choice: u32,
        /// JSON of the answering dialect.
        json: JsonText,
    },
    /// A part that the hub does not model, whole: as [`PartKind::Opaque`](super::PartKind::Opaque).
    Opaque {
        /// From 0.
        choice: u32,
        /// The dialect it is written in.
        dialect: &'static str,
        /// The part as that dialect has it.
        json: JsonText,
    },
    /// One choice has ended.
    Finished {
        /// From 0.
        choice: u32,
        /// Why.
        finish: Finish,
    },
    /// Tokens used so far; the last one counts.
    Usage(Usage),
    /// The provider has said that the answer is complete: the dialect's own terminator.
    Done,
}

/// Where a claim in a text comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Citation {
    /// Where the source is.
    pub url: Option<String>,
    /// What the source is called.
    pub title: Option<String>,
    /// The source's own words.
    pub cited_text: Option<String>,
    /// The claim's place in its text: the first character and the one behind the last. Unknown where the vendor says it by
    /// splitting the text.
    pub span: Option<(u32, u32)>,
    /// The dialect that the answer came in, and the citation as that has it.
    pub native: Option<(String, JsonText)>,
}

/// A tool call, or a piece of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolCallDelta {
    /// The choice, from 0.
    pub choice: u32,
    /// The call's place among the choice's calls, from 0.
    pub index: u32,
    /// In the call's first piece.
    pub id: Option<String>,
    /// In the call's first piece.
    pub name: Option<String>,
    /// The next piece of the arguments.
    pub arguments: String,
    /// The provider's signature over the call's reasoning, [sealed](crate::dialect::seal).
    pub signature: Option<String>,
}

impl ChatEvent {
    /// The choice that it belongs to, if it is one's.
    pub fn choice(&self) -> Option<u32> {
        match self {
            Self::Text { choice, .. }
            | Self::Reasoning { choice, .. }
            | Self::Refusal { choice, .. }
            | Self::ReasoningBlock { choice, .. }
            | Self::Citation { choice, .. }
            | Self::Logprobs { choice, .. }
            | Self::Opaque { choice, .. }
            | Self::Finished { choice, .. }
            | Self::ToolCall(ToolCallDelta { choice, .. }) => Some(*choice),
            Self::Started { .. } | Self::Usage(_) | Self::Done => None,
        }
    }
}

/// Which choices of a stream have begun and not ended: a connection that ends before them has cut them off.
#[derive(Debug, Default)]
pub struct OpenChoices {
    open: Vec<u32>,
    ended: Vec<u32>,
}

impl OpenChoices {
    /// Takes note of what was said.
    pub fn saw(&mut self, events: &[ChatEvent]) {
        for event in events {
            let Some(choice) = event.choice() else { continue };
            if matches!(event, ChatEvent::Finished { .. }) {
                self.open.retain(|open| *open != choice);
                self.ended.push(choice);
            } else if !self.open.contains(&choice) && !self.ended.contains(&choice) {
                self.open.push(choice);
            }
        }
    }

    /// Whether nobody is in the middle of something.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}
