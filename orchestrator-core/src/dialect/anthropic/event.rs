//! One event of a stream, as far as somebody reads it. Tap and decoder read by the same code, so that the commit point, usage and
//! errors cannot differ between the lossless path and translation.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{error::stream_error, finish, usage::Counts};
use crate::{
    call::Signals,
    dialect::{events::Event, scan},
};

/// One event, read.
#[derive(Debug)]
pub(super) enum Reading<'a> {
    /// Pings, comments, what nobody knows, or nothing.
    Nothing,
    /// The provider failed, or sent what is no event: the signals say how.
    Failed,
    /// An event.
    Said(Box<Said<'a>>),
}

/// An event.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Said<'a> {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) index: u64,
    #[serde(borrow)]
    pub(super) message: Option<Begun<'a>>,
    #[serde(borrow)]
    pub(super) content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) delta: Option<Delta<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// `message_start.message`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Begun<'a> {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// `delta`, of whatever event.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Delta<'a> {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    partial_json: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) citation: Option<&'a RawValue>,
    pub(super) stop_reason: Option<String>,
}

/// The block that opens.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Block {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) text: String,
    pub(super) thinking: String,
    pub(super) data: String,
}

/// The string that `json` is.
fn text(json: Option<&RawValue>) -> String {
    json.and_then(|json| scan::string(json.get().as_bytes())).unwrap_or_default().into_owned()
}

impl Delta<'_> {
    pub(super) fn text(&self) -> String {
        text(self.text)
    }

    pub(super) fn thinking(&self) -> String {
        text(self.thinking)
    }

    pub(super) fn partial_json(&self) -> String {
        text(self.partial_json)
    }

    pub(super) fn signature(&self) -> String {
        text(self.signature)
    }
}

impl Said<'_> {
    /// The block that opens.
    pub(super) fn block(&self) -> Block {
        self.content_block.and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default()
    }
}

/// Reads the events of one stream, one after the other.
#[derive(Debug, Default)]
pub(super) struct Reader {
    counts: Counts,
}

impl Reader {
    /// Reads the next event, and what it signals.
    pub(super) fn read<'a>(&mut self, event: &'a Event<'_>) -> (Reading<'a>, Signals) {
        let data = event.data.as_deref().unwrap_or_default().trim_ascii();
        if data.is_empty() {
            return (Reading::Nothing, Signals::default());
        }
        let said = match serde_json::from_slice::<Said<'_>>(data) {
            Ok(said) if said.kind != "error" && !event.named_error => said,
            _ => {
                let signals = Signals { error: Some(stream_error(data)), ..Signals::default() };
                return (Reading::Failed, signals);
            }
        };
        let signals = self.signals(&said);
        (Reading::Said(Box::new(said)), signals)
    }

    fn signals(&mut self, said: &Said<'_>) -> Signals {
        let mut signals = Signals::default();
        match said.kind.as_str() {
            "message_start" => {
                let Some(message) = &said.message else { return signals };
                signals.model = message.model.clone().filter(|model| !model.is_empty());
                // The output's count is a placeholder here: usage is told once it is true.
                self.update(message.usage);
                signals.service_tier.clone_from(&self.counts.service_tier);
            }
            "content_block_start" => {
                let block = said.block();
                let called = block.kind == "tool_use" || block.kind.ends_with("_tool_use");
                let bytes = block.text.len() + block.thinking.len() + block.data.len() + block.name.len();
                signals.content = called || bytes > 0;
                signals.output_bytes = bytes;
            }
            "content_block_delta" => {
                let Some(delta) = &said.delta else { return signals };
                let bytes = delta.text().len() + delta.thinking().len() + delta.partial_json().len();
                signals.content = bytes > 0;
                signals.output_bytes = bytes;
            }
            "message_delta" => {
                let reason = said.delta.as_ref().and_then(|delta| delta.stop_reason.as_deref());
                signals.finish = reason.map(finish::read);
                if self.update(said.usage) {
                    signals.usage = self.counts.usage();
                }
            }
            "message_stop" => signals.terminator = true,
            _ => {}
        }
        signals
    }

    fn update(&mut self, usage: Option<&RawValue>) -> bool {
        let Some(counts) = usage.and_then(|json| Counts::read(json.get())) else { return false };
        self.counts.update(counts);
        true
    }
}
