//! `input_tokens`, after <https://platform.openai.com/docs/api-reference/responses/input-tokens>: a Responses request without
//! what says how to answer.

use super::OpenAiResponses;
use crate::dialect::{Dialect, Wire, count::Counting, json::ObjectWriter};

/// The count of Responses.
#[derive(Clone, Copy, Debug)]
pub struct ResponsesCount;

impl Counting for ResponsesCount {
    const DIALECT: Dialect = Dialect::OpenAiResponsesCount;
    const FIELDS: &'static [&'static str] = &[
        "conversation",
        "input",
        "instructions",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "reasoning",
        "text",
        "tool_choice",
        "tools",
        "truncation",
    ];
    const TOKENS: &'static str = "input_tokens";

    fn chat() -> &'static dyn Wire {
        &OpenAiResponses
    }

    fn reply(tokens: u64) -> String {
        let mut out = ObjectWriter::new();
        out.string("object", "response.input_tokens");
        out.plain(Self::TOKENS, tokens);
        out.finish()
    }
}
