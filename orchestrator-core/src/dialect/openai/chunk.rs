//! What one event of a stream says: a chunk of Chat Completions or of legacy Completions, an error, or the end.
//!
//! Tap and decoder read events by the same code, so that the commit point, usage and errors cannot differ between the lossless
//! path and translation. Only what somebody needs is parsed, and leniently: servers that imitate OpenAI differ in detail.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    citations,
    content::{self, finish, signature, text},
    details,
    error::stream_error,
    usage,
};
use crate::{
    call::Signals,
    chat::{Citation, Finish, ReasoningPart, Usage},
    dialect::{Dialect, events::Event},
    error::Error,
};

/// One event, read.
#[derive(Debug)]
pub(crate) enum Reading<'a> {
    /// Comments, or nothing.
    Nothing,
    /// `[DONE]`.
    Done,
    /// The provider failed. Boxed, for it is rare and large.
    Failed(Box<Failure>),
    /// A piece of the answer.
    Chunk(Chunk<'a>),
}

/// An error inside a stream, with what the same event reported beside it.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The error.
    pub(crate) error: Error,
    /// OpenRouter reports usage in the chunk that holds the error.
    pub(crate) usage: Option<Usage>,
}

/// A chunk, as far as anybody reads it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Chunk<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    service_tier: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    /// Perplexity.
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
    /// Perplexity.
    #[serde(borrow)]
    search_results: Option<&'a RawValue>,
    #[serde(borrow)]
    x_groq: Option<XGroq<'a>>,
    /// `None` when the field is absent.
    #[serde(borrow)]
    pub(crate) choices: Option<Vec<ChunkChoice<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct XGroq<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// One choice of a chunk or of a whole answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ChunkChoice<'a> {
    pub(crate) index: Option<u32>,
    #[serde(borrow)]
    pub(crate) delta: Option<Delta<'a>>,
    /// In whole answers; Perplexity sends it in chunks as well, beside the delta.
    #[serde(borrow)]
    pub(crate) message: Option<Delta<'a>>,
    /// Legacy Completions.
    #[serde(borrow)]
    pub(crate) text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) finish_reason: Option<&'a RawValue>,
}

/// What is new in a choice.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Delta<'a> {
    #[serde(borrow)]
    pub(crate) content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) tool_calls: Option<Vec<CallDelta<'a>>>,
    #[serde(borrow)]
    pub(crate) function_call: Option<FunctionDelta<'a>>,
    #[serde(borrow)]
    pub(crate) audio: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) annotations: Option<&'a RawValue>,
    /// OpenRouter.
    #[serde(borrow)]
    reasoning_details: Option<&'a RawValue>,
}

/// A piece of a tool call.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CallDelta<'a> {
    pub(crate) index: Option<u32>,
    #[serde(borrow)]
    pub(crate) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) function: Option<FunctionDelta<'a>>,
    #[serde(borrow)]
    pub(crate) extra_content: Option<&'a RawValue>,
}

/// The function of a tool call.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FunctionDelta<'a> {
    #[serde(borrow)]
    pub(crate) name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) arguments: Option<&'a RawValue>,
}

impl<'a> Reading<'a> {
    /// Reads an event's data. `dialect` is what an error is said to have come in.
    pub(crate) fn of(event: &'a Event<'_>, dialect: Dialect) -> Self {
        let Some(data) = event.data.as_deref().map(<[u8]>::trim_ascii).filter(|data| !data.is_empty()) else {
            return Self::Nothing;
        };
        if data == b"[DONE]" {
            return Self::Done;
        }
        // As text: the parser would check each string for itself.
        let chunk =
            std::str::from_utf8(data).ok().and_then(|text| serde_json::from_str::<Chunk<'a>>(text).ok());
        match chunk {
            Some(chunk) if !chunk.is_error() && !event.named_error => Self::Chunk(chunk),
            chunk => {
                let usage = chunk.as_ref().and_then(Chunk::usage);
                Self::Failed(Box::new(Failure { error: stream_error(data, dialect), usage }))
            }
        }
    }

    /// What the event tells the commit point, the ledger and health.
    pub(crate) fn signals(&self) -> Signals {
        match self {
            Self::Nothing => Signals::default(),
            Self::Done => Signals { terminator: true, ..Signals::default() },
            Self::Failed(failure) => {
                Signals { error: Some(failure.error.clone()), usage: failure.usage, ..Signals::default() }
            }
            Self::Chunk(chunk) => {
                let mut signals =
                    Signals { usage: chunk.usage(), model: chunk.model(), ..Signals::default() };
                for choice in chunk.choices() {
                    choice.tell(choice.said(), &mut signals);
                }
                signals
            }
        }
    }
}

impl<'a> Chunk<'a> {
    /// Its choices; none is as good as an empty list.
    pub(crate) fn choices(&self) -> &[ChunkChoice<'a>] {
        self.choices.as_deref().unwrap_or_default()
    }

    /// The provider's id.
    pub(crate) fn id(&self) -> Option<String> {
        text(self.id)
    }

    /// The model that answers.
    pub(crate) fn model(&self) -> Option<String> {
        text(self.model)
    }

    /// The service tier that was used.
    pub(crate) fn service_tier(&self) -> Option<String> {
        text(self.service_tier)
    }

    /// Unix seconds; 0 when unknown.
    pub(crate) fn created(&self) -> i64 {
        self.created.and_then(|json| json.get().parse::<f64>().ok()).map_or(0, |seconds| seconds as i64)
    }

    /// Usage, wherever the provider puts it.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let groq = self.x_groq.as_ref().and_then(|groq| groq.usage);
        let read = |json: Option<&RawValue>| json.and_then(|json| usage::read(json.get().as_bytes()));
        read(self.usage).or_else(|| read(groq))
    }

    /// The sources that Perplexity repeats in each chunk.
    pub(crate) fn sources(&self) -> Vec<Citation> {
        if self.citations.is_none() && self.search_results.is_none() {
            return Vec::new();
        }
        citations::sources(self.citations.map(RawValue::get), self.search_results.map(RawValue::get))
    }

    /// An `error`, or the older `object: "error"` of vLLM and Mistral.
    fn is_error(&self) -> bool {
        self.error.is_some() || self.object.is_some_and(|object| object.get() == "\"error\"")
    }

    /// Whether it is the extra chunk that `include_usage` asks for: usage, and no choice at all.
    pub(crate) fn is_usage_only(&self) -> bool {
        self.usage.is_some() && self.choices.as_ref().is_some_and(Vec::is_empty)
    }
}

impl<'a> ChunkChoice<'a> {
    /// Tells what it holds, where `said` is what counts as its answer beside legacy Completions' text.
    pub(crate) fn tell(&self, said: Option<&Delta<'a>>, signals: &mut Signals) {
        // What an estimate of its tokens starts from.
        let length = content::length(self.text) + said.map_or(0, Delta::length);
        signals.output_bytes += length;
        signals.content |= length > 0 || said.is_some_and(Delta::has_silent_content);
        if let Some(finish) = self.finish() {
            signals.finish = Some(finish);
        }
    }

    /// The delta of a chunk, or the message of a whole answer.
    pub(crate) fn said(&self) -> Option<&Delta<'a>> {
        self.delta.as_ref().or(self.message.as_ref())
    }

    /// Why it ended, if it did.
    pub(crate) fn finish(&self) -> Option<Finish> {
        text(self.finish_reason).map(finish)
    }
}

impl Delta<'_> {
    /// Whether there is anything of an answer in it.
    pub(crate) fn has_content(&self) -> bool {
        self.length() > 0 || self.has_silent_content()
    }

    /// Whether there is something of an answer in it that has no length of its own.
    fn has_silent_content(&self) -> bool {
        self.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty())
            || self.function_call.is_some()
            || self.audio.is_some()
            || self.annotations.is_some_and(|json| json.get() != "null" && json.get() != "[]")
            || self.reasoning_details.is_some_and(|json| !details::read(json.get()).is_empty())
    }

    /// How many bytes of text, reasoning, refusal and calls are in it.
    fn length(&self) -> usize {
        let reasoning = match content::length(self.reasoning_content) {
            0 => content::length(self.reasoning),
            length => length,
        };
        let called = self.tool_calls.iter().flatten().filter_map(|call| call.function.as_ref());
        let functions = called.chain(&self.function_call).map(FunctionDelta::length).sum::<usize>();
        content::pieces_length(self.content) + reasoning + content::length(self.refusal) + functions
    }

    /// Reasoning under either of its names: DeepSeek's and llama.cpp's, or Groq's and OpenRouter's. Some send both alike.
    pub(crate) fn reasoning_text(&self) -> Option<String> {
        text(self.reasoning_content).or_else(|| text(self.reasoning))
    }

    /// Signed and encrypted reasoning.
    pub(crate) fn details(&self) -> Vec<ReasoningPart> {
        self.reasoning_details.map(|json| details::read(json.get())).unwrap_or_default()
    }
}

impl FunctionDelta<'_> {
    /// A call costs its name and its arguments, which some servers send as an object.
    fn length(&self) -> usize {
        content::length(self.name) + content::arguments_length(self.arguments)
    }
}

impl CallDelta<'_> {
    /// Gemini's signature, where its OpenAI-compatible endpoint puts it.
    pub(crate) fn signature(&self) -> Option<String> {
        signature(self.extra_content?.get())
    }
}
