//! A whole answer's signals.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    OWN,
    event::{self, failure_of},
};
use crate::{
    call::Signals,
    dialect::{openai::error::stream_error, scan::Object},
};

/// Reads the signals of a whole answer. An answer without output is a failure under a 200; one that its provider still works on
/// (`queued`, `in_progress`) is an answer without a finish.
pub(super) fn inspect(body: &Bytes) -> Signals {
    let object = match Object::scan(body, usize::MAX) {
        Ok(object) if object.get_non_null("output").is_some() => object,
        Ok(_) | Err(_) => return Signals { error: Some(stream_error(body, OWN)), ..Signals::default() },
    };
    let response = serde_json::from_slice::<event::Response<'_>>(object.body()).unwrap_or_default();
    let mut signals = response.signals();
    if response.status() == "failed" {
        signals.error = Some(failure_of(response.error()));
    }
    // Items are read one by one: one that looks strange does not hide the others.
    for item in response.items() {
        let Ok(item) = serde_json::from_str::<Item<'_>>(item.get()) else { continue };
        let length = item.length();
        signals.output_bytes += length;
        signals.content |= length > 0 || item.kind != "message";
    }
    signals
}

#[derive(Debug, Deserialize)]
struct Item<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    summary: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Text {
    text: Option<String>,
    refusal: Option<String>,
}

impl Item<'_> {
    /// How many bytes of text, reasoning, refusal and calls are in it.
    fn length(&self) -> usize {
        let own = [&self.name, &self.arguments].into_iter().flatten().map(String::len).sum::<usize>();
        let parts = [self.content, self.summary].into_iter().flatten();
        let texts = parts.flat_map(|json| serde_json::from_str::<Vec<Text>>(json.get()).unwrap_or_default());
        let said = texts.map(|part| {
            part.text.map_or(0, |text| text.len()) + part.refusal.map_or(0, |refusal| refusal.len())
        });
        own + said.sum::<usize>()
    }
}
