//! What the encoders of Chat Completions and of legacy Completions share.

use crate::{
    chat::{Finish, FinishReason},
    dialect::scan::Object,
};

use crate::dialect::json::ObjectWriter;

/// The head that every chunk and every whole answer has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    id: String,
    created: i64,
    model: String,
}

impl Head {
    /// A head. Where the provider gave no id, `fallback` stands for it: nothing here may be random, and OpenAI's clients want
    /// one.
    pub(crate) fn new(id: &str, created: i64, model: &str, fallback: &str) -> Self {
        let id = if id.is_empty() { fallback } else { id };
        Self { id: id.to_owned(), created, model: model.to_owned() }
    }

    /// An object of that kind with the head written.
    pub(crate) fn open(&self, kind: &str) -> ObjectWriter {
        let mut out = ObjectWriter::new();
        out.string("id", &self.id);
        out.string("object", kind);
        out.plain("created", self.created);
        out.string("model", &self.model);
        out
    }
}

/// OpenAI's word for why a choice ended, as JSON; `null` when the provider did not say. OpenAI's clients know a closed list, in
/// which a reason of no other name is `stop`.
pub(crate) fn finish_reason(finish: &Finish) -> &'static str {
    match finish.reason {
        None => "null",
        Some(FinishReason::Stop | FinishReason::Other) => "\"stop\"",
        Some(FinishReason::Length) => "\"length\"",
        Some(FinishReason::ToolCalls) => "\"tool_calls\"",
        Some(FinishReason::ContentFilter) => "\"content_filter\"",
    }
}

/// Log probabilities if they have the shape that `member` is the mark of: `content` or `refusal` on Chat, `tokens` on legacy
/// Completions. What another dialect answered would only break the caller's parser.
pub(crate) fn logprobs_with<'a>(json: Option<&'a String>, members: &[&str]) -> Option<&'a str> {
    let json = json?;
    let object = Object::scan(json.as_bytes(), 128).ok()?;
    members.iter().any(|member| object.get(member).is_some()).then_some(json.as_str())
}

/// One event's bytes. JSON has line breaks only between its tokens, where a space does as well.
pub(crate) fn event(json: &str) -> String {
    if json.contains(['\n', '\r']) {
        return format!("data: {}\n\n", json.replace(['\n', '\r'], " "));
    }
    format!("data: {json}\n\n")
}

/// The end of a stream that ended well.
pub(crate) const DONE: &str = "data: [DONE]\n\n";
