//! The response object that whole answers are, and that a stream's first and last events hold.

use crate::{
    chat::{Finish, FinishReason, Usage},
    dialect::{
        json::{ObjectWriter, array},
        openai_responses::usage,
    },
};

/// The ids of an answer's items: nothing here may be random, and OpenAI takes an id back only if it begins with its item's kind, is
/// no longer than 64 characters and stands in the history once.
#[derive(Clone, Debug)]
pub(super) struct ItemIds(String);

impl ItemIds {
    /// Ids for the items of that response.
    pub(super) fn of(response: &str) -> Self {
        const LONGEST: usize = 44;
        let plain: Vec<char> = response.chars().filter(char::is_ascii_alphanumeric).collect();
        Self(plain[plain.len().saturating_sub(LONGEST)..].iter().collect())
    }

    /// The id of the item at that place.
    pub(super) fn id(&self, prefix: &str, place: usize) -> String {
        format!("{prefix}_{}_{place}", self.0)
    }
}

/// What every response object says of its answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    id: String,
    created: i64,
    model: String,
}

impl Head {
    /// A head. An answer without an id gets `resp_0`: nothing here may be random.
    pub(super) fn new(id: &str, created: i64, model: &str) -> Self {
        let id = if id.is_empty() { "resp_0" } else { id };
        Self { id: id.to_owned(), created, model: model.to_owned() }
    }

    /// The ids of its items.
    pub(super) fn ids(&self) -> ItemIds {
        ItemIds::of(&self.id)
    }

    /// The response object. What the caller asked for is not known here: those fields have the values that say nothing. Stored it
    /// is nowhere.
    pub(super) fn object(
        &self,
        ending: Ending,
        output: &[String],
        usage: Option<&Usage>,
        tier: Option<&str>,
    ) -> String {
        let mut out = ObjectWriter::new();
        out.string("id", &self.id);
        out.string("object", "response");
        out.plain("created_at", self.created);
        out.string("status", ending.status);
        out.raw("background", "false");
        out.raw("error", "null");
        match ending.reason {
            Some(reason) => out.raw("incomplete_details", &format!(r#"{{"reason":"{reason}"}}"#)),
            None => out.raw("incomplete_details", "null"),
        }
        for name in ["instructions", "max_output_tokens"] {
            out.raw(name, "null");
        }
        out.string("model", &self.model);
        out.raw("output", &array(output));
        out.raw("parallel_tool_calls", "true");
        out.raw("previous_response_id", "null");
        out.raw("reasoning", r#"{"effort":null,"summary":null}"#);
        out.optional_string("service_tier", tier);
        out.raw("store", "false");
        out.raw("temperature", "null");
        out.raw("text", r#"{"format":{"type":"text"}}"#);
        out.string("tool_choice", "auto");
        out.raw("tools", "[]");
        out.raw("top_p", "null");
        out.string("truncation", "disabled");
        out.raw("usage", &usage.map_or_else(|| "null".to_owned(), usage::write));
        out.raw("metadata", "{}");
        out.finish()
    }
}

/// How an answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    /// `in_progress`, `completed` or `incomplete`: the response's and its items'.
    pub(super) status: &'static str,
    /// Why it is incomplete.
    pub(super) reason: Option<&'static str>,
}

/// More is to come.
pub(super) const IN_PROGRESS: Ending = Ending { status: "in_progress", reason: None };

impl Ending {
    /// How an answer that finished so stands.
    pub(super) fn of(finish: &Finish) -> Self {
        let reason = match finish.reason {
            Some(FinishReason::Length) => Some("max_output_tokens"),
            Some(FinishReason::ContentFilter) => Some("content_filter"),
            Some(FinishReason::Stop | FinishReason::ToolCalls | FinishReason::Other) | None => None,
        };
        Self { status: if reason.is_some() { "incomplete" } else { "completed" }, reason }
    }
}
