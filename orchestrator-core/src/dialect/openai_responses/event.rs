//! What one event of a stream says, and what response objects say.
//!
//! Tap and decoder read events by the same code, so that the commit point, usage and errors cannot differ between the lossless path
//! and translation. Only what somebody needs is parsed, and leniently.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{OWN, usage};
use crate::{
    call::Signals,
    chat::{Finish, FinishReason, Usage},
    dialect::{
        events,
        json::{Fields, ObjectWriter},
        openai::{content, error::stream_error},
    },
    error::Error,
};

/// One event, read.
#[derive(Debug)]
pub(super) enum Reading<'a> {
    /// Comments, or nothing.
    Nothing,
    /// The provider failed outside of a response object. Boxed, for it is rare and large.
    Failed(Box<Error>),
    /// Anything else.
    Event(Box<Event<'a>>),
}

/// An event, as far as anybody reads it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) response: Option<Response<'a>>,
    #[serde(borrow)]
    pub(super) item: Option<Item<'a>>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) annotation: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
    pub(super) output_index: Option<u32>,
    pub(super) content_index: Option<u32>,
    pub(super) summary_index: Option<u32>,
}

/// An output item, as far as a stream's reader needs it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Item<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) call_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) encrypted_content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) content: Option<Vec<Piece<'a>>>,
    #[serde(borrow)]
    pub(super) summary: Option<Vec<Piece<'a>>>,
}

/// A part of an item's content or summary.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Piece<'a> {
    #[serde(borrow)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) refusal: Option<&'a RawValue>,
}

/// A response object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    service_tier: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    incomplete_details: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    store: Option<&'a RawValue>,
}

impl<'a> Reading<'a> {
    /// Reads an event's data.
    pub(super) fn of(event: &'a events::Event<'_>) -> Self {
        let Some(data) = event.data.as_deref().map(<[u8]>::trim_ascii).filter(|data| !data.is_empty()) else {
            return Self::Nothing;
        };
        if data == b"[DONE]" {
            return Self::Nothing;
        }
        match serde_json::from_slice::<Event<'a>>(data) {
            Ok(read) if read.kind() != "error" && !event.named_error => Self::Event(Box::new(read)),
            _ => Self::Failed(Box::new(error_event(data))),
        }
    }

    /// What the event tells the commit point, the ledger and health.
    pub(super) fn signals(&self) -> Signals {
        match self {
            Self::Nothing => Signals::default(),
            Self::Failed(error) => Signals { error: Some((**error).clone()), ..Signals::default() },
            Self::Event(event) => event.signals(),
        }
    }
}

impl Event<'_> {
    /// `response.output_text.delta`.
    pub(super) fn kind(&self) -> String {
        content::text(self.kind).unwrap_or_default()
    }

    /// The delta, if it is a text that is not empty.
    pub(super) fn delta(&self) -> Option<String> {
        content::text(self.delta)
    }

    fn signals(&self) -> Signals {
        let kind = self.kind();
        if let Some(response) = &self.response {
            let signals = response.signals();
            return match kind.as_str() {
                "response.completed" | "response.incomplete" => Signals { terminator: true, ..signals },
                "response.failed" => {
                    let error = Some(failure_of(response.error()));
                    Signals { terminator: true, finish: None, error, ..signals }
                }
                _ => Signals { usage: None, finish: None, ..signals },
            };
        }
        let mut signals = Signals::default();
        match &self.item {
            Some(item) if kind == "response.output_item.added" => {
                signals.content = !["message", "reasoning"].contains(&item.kind().as_str());
                signals.output_bytes = content::length(item.name);
            }
            Some(item) => signals.content = item.says_something(),
            None if kind.rsplit('.').next() == Some("delta") => {
                signals.output_bytes = content::length(self.delta);
                signals.content = signals.output_bytes > 0;
            }
            None => {}
        }
        signals
    }
}

impl Item<'_> {
    /// `message`.
    pub(super) fn kind(&self) -> String {
        content::text(self.kind).unwrap_or_default()
    }

    /// Whether there is anything of an answer in it.
    fn says_something(&self) -> bool {
        let texts = self.content.iter().chain(&self.summary).flatten();
        let mut lengths = texts.map(|piece| content::length(piece.text) + content::length(piece.refusal));
        content::text(self.encrypted_content).is_some() || lengths.any(|length| length > 0)
    }
}

impl<'a> Response<'a> {
    /// Its id.
    pub(super) fn id(&self) -> String {
        content::text(self.id).unwrap_or_default()
    }

    /// The model that answers.
    pub(super) fn model(&self) -> Option<String> {
        content::text(self.model)
    }

    /// Unix seconds; 0 when unknown.
    pub(super) fn created(&self) -> i64 {
        self.created_at.and_then(|json| json.get().parse::<f64>().ok()).map_or(0, |seconds| seconds as i64)
    }

    /// How it stands.
    pub(super) fn status(&self) -> String {
        content::text(self.status).unwrap_or_default()
    }

    /// The service tier that was used.
    pub(super) fn service_tier(&self) -> Option<String> {
        content::text(self.service_tier)
    }

    /// Tokens used.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage.and_then(|json| usage::read(json.get()))
    }

    /// What went wrong.
    pub(super) fn error(&self) -> Option<&'a str> {
        self.error.map(RawValue::get)
    }

    /// Its output items.
    pub(super) fn items(&self) -> &[&'a RawValue] {
        self.output.as_deref().unwrap_or_default()
    }

    /// Why it ended. `calls`: functions were called, whether or not its own output says so.
    pub(super) fn finish(&self, calls: bool) -> Option<Finish> {
        let is_call = |json: &&RawValue| {
            serde_json::from_str::<Item<'_>>(json.get()).is_ok_and(|item| item.kind() == "function_call")
        };
        let calls = calls || self.items().iter().any(is_call);
        finish_of(&self.status(), self.incomplete_details.map(RawValue::get), calls)
    }

    /// What a response object says. Its provider keeps it unless it says that it does not.
    pub(super) fn signals(&self) -> Signals {
        let kept = self.store.is_none_or(|json| json.get() != "false");
        Signals {
            usage: self.usage(),
            finish: self.finish(false),
            model: self.model(),
            stored_id: Some(self.id()).filter(|id| kept && !id.is_empty()),
            ..Signals::default()
        }
    }
}

/// The hub's word for how a response ended; `None` while it has not.
pub(super) fn finish_of(status: &str, details: Option<&str>, calls: bool) -> Option<Finish> {
    let (reason, native) = match status {
        "in_progress" | "queued" => return None,
        "completed" | "" if calls => (FinishReason::ToolCalls, "completed".to_owned()),
        "completed" | "" => (FinishReason::Stop, "completed".to_owned()),
        "incomplete" => {
            let details = details.and_then(|json| Fields::parse(json, "incomplete_details").ok());
            let native = details.map(|mut fields| fields.lenient_string("reason")).unwrap_or_default();
            match native.as_str() {
                "max_output_tokens" | "max_tokens" => (FinishReason::Length, native),
                "content_filter" => (FinishReason::ContentFilter, native),
                "" => (FinishReason::Other, status.to_owned()),
                _ => (FinishReason::Other, native),
            }
        }
        _ => (FinishReason::Other, status.to_owned()),
    };
    Some(Finish { reason: Some(reason), native })
}

/// The error of a failed response, given its `error`.
pub(super) fn failure_of(error: Option<&str>) -> Error {
    let fields = error.and_then(|json| Fields::parse(json, "error").ok());
    enveloped(fields, "the provider's response failed")
}

/// The error of an `error` event: its fields stand beside its type, or in an `error` of their own.
fn error_event(data: &[u8]) -> Error {
    let Ok(mut fields) = Fields::body(data) else { return stream_error(data, OWN) };
    if !fields.has("error") {
        fields.take("type");
        return enveloped(Some(fields), "the provider sent an error that says nothing");
    }
    match fields.take("error").map(|json| Fields::parse(json, "error")) {
        Some(Ok(inner)) => enveloped(Some(inner), "the provider sent an error that says nothing"),
        _ => stream_error(data, OWN),
    }
}

/// An error in OpenAI's usual envelope.
fn enveloped(fields: Option<Fields<'_>>, otherwise: &str) -> Error {
    let mut inner = ObjectWriter::new();
    let mut words = [String::new(), String::new(), String::new(), String::new()];
    if let Some(mut fields) = fields {
        words = ["message", "type", "param", "code"].map(|name| fields.lenient_string(name));
    }
    let [message, kind, param, code] = words;
    inner.string("message", if message.is_empty() { otherwise } else { &message });
    inner.string("type", if kind.is_empty() { "server_error" } else { &kind });
    for (name, word) in [("param", &param), ("code", &code)] {
        if word.is_empty() {
            inner.raw(name, "null");
        } else {
            inner.string(name, word);
        }
    }
    let mut out = ObjectWriter::new();
    out.raw("error", &inner.finish());
    stream_error(out.finish().as_bytes(), OWN)
}
