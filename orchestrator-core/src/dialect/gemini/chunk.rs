//! One chunk of a stream, or a whole answer, as far as somebody reads it: both have the same shape. Tap, inspection and decoder
//! read by the same code, so that the commit point, usage and errors cannot differ between the lossless path and translation.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{error::stream_error, finish, usage};
use crate::{
    call::Signals,
    chat::{Finish, Usage},
    dialect::{Dialect, events::Event, scan},
    error::Error,
};

/// One event, read.
#[derive(Debug)]
pub(super) enum Reading<'a> {
    /// Comments, or nothing.
    Nothing,
    /// The provider failed, or sent what is no answer. Boxed, for it is rare and large.
    Failed(Box<Error>),
    /// A piece of the answer.
    Chunk(Box<Chunk<'a>>),
}

/// A chunk.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub(super) candidates: Option<Vec<Candidate<'a>>>,
    #[serde(borrow)]
    prompt_feedback: Option<&'a RawValue>,
    #[serde(borrow)]
    usage_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    model_version: Option<&'a RawValue>,
    #[serde(borrow)]
    response_id: Option<&'a RawValue>,
    #[serde(borrow)]
    create_time: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// A candidate, or the next piece of one.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    content: Option<Content<'a>>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) grounding_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) citation_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) logprobs_result: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<Vec<&'a RawValue>>,
}

/// What tells whether a part is content.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    inline_data: Option<&'a RawValue>,
    #[serde(borrow)]
    executable_code: Option<&'a RawValue>,
    #[serde(borrow)]
    code_execution_result: Option<&'a RawValue>,
}

impl<'a> Reading<'a> {
    /// Reads one event of a stream.
    pub(super) fn of(event: &'a Event<'_>) -> Self {
        let data = event.data.as_deref().unwrap_or_default().trim_ascii();
        if data.is_empty() {
            return Self::Nothing;
        }
        Self::of_json(data)
    }

    /// Reads a chunk or a whole answer.
    pub(super) fn of_json(data: &'a [u8]) -> Self {
        match serde_json::from_slice::<Chunk<'_>>(data) {
            Ok(chunk) if chunk.error.is_none() => Self::Chunk(Box::new(chunk)),
            _ => Self::Failed(Box::new(stream_error(data, Dialect::Gemini))),
        }
    }

    /// What the event signals.
    pub(super) fn signals(&self) -> Signals {
        match self {
            Self::Nothing => Signals::default(),
            Self::Failed(error) => Signals { error: Some((**error).clone()), ..Signals::default() },
            Self::Chunk(chunk) => chunk.signals(),
        }
    }
}

impl<'a> Chunk<'a> {
    /// Whether it is an answer at all.
    pub(super) fn answers(&self) -> bool {
        self.candidates.is_some() || self.prompt_feedback.is_some()
    }

    pub(super) fn candidates(&self) -> &[Candidate<'a>] {
        self.candidates.as_deref().unwrap_or_default()
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        usage::read(self.usage_metadata?.get().as_bytes())
    }

    pub(super) fn id(&self) -> Option<String> {
        text(self.response_id)
    }

    pub(super) fn model(&self) -> Option<String> {
        text(self.model_version)
    }

    /// Unix seconds; 0 when unknown.
    pub(super) fn created(&self) -> i64 {
        created(&text(self.create_time).unwrap_or_default())
    }

    /// Why there is no candidate, if the prompt is the reason.
    pub(super) fn blocked(&self) -> Option<Finish> {
        if !self.candidates().is_empty() {
            return None;
        }
        finish::blocked(self.prompt_feedback?.get())
    }

    fn signals(&self) -> Signals {
        let mut signals = Signals {
            usage: self.usage(),
            finish: self.blocked(),
            model: self.model(),
            ..Signals::default()
        };
        for candidate in self.candidates() {
            for part in candidate.parts() {
                let part: Part<'_> = serde_json::from_str(part.get()).unwrap_or_default();
                let bytes = part.length();
                signals.content |= bytes > 0;
                signals.output_bytes += bytes;
            }
            if let Some(finish) = candidate.finish() {
                signals.finish = Some(finish);
            }
        }
        signals
    }
}

impl<'a> Candidate<'a> {
    /// Its place; the field is left out for the first.
    pub(super) fn index(&self, position: usize) -> u32 {
        self.index.unwrap_or(position as u32)
    }

    pub(super) fn parts(&self) -> &[&'a RawValue] {
        self.content.as_ref().and_then(|content| content.parts.as_deref()).unwrap_or_default()
    }

    /// Why it ended, by this piece alone.
    pub(super) fn finish(&self) -> Option<Finish> {
        let calls = |part: &&RawValue| {
            serde_json::from_str::<Part<'_>>(part.get()).is_ok_and(|part| part.function_call.is_some())
        };
        finish::read(self.finish_reason?.get(), self.parts().iter().any(calls))
    }
}

impl Part<'_> {
    /// How much of an answer it is, in bytes; 0: none at all.
    fn length(&self) -> usize {
        let string = |json: &RawValue| scan::string(json.get().as_bytes()).map_or(0, |text| text.len());
        let others = [self.function_call, self.inline_data, self.executable_code, self.code_execution_result];
        self.text.map_or(0, string) + others.into_iter().flatten().map(|json| json.get().len()).sum::<usize>()
    }
}

fn text(json: Option<&RawValue>) -> Option<String> {
    let text = scan::string(json?.get().as_bytes())?;
    (!text.is_empty()).then(|| text.into_owned())
}

/// The Unix seconds of `2026-05-27T16:53:45.443719Z`; 0 when it is no such text.
pub(super) fn created(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_second)
}
