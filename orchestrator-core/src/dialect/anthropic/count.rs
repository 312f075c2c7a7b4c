//! `count_tokens`, after <https://docs.anthropic.com/en/api/messages-count-tokens>: a Messages request without what says how to
//! answer, `max_tokens` included.

use bytes::Bytes;

use super::{Anthropic, decode, peek};
use crate::{
    call::Facts,
    dialect::{Dialect, HubRequest, Wire, count::Counting},
    error::Result,
};

/// Anthropic's count.
#[derive(Clone, Copy, Debug)]
pub struct AnthropicCount;

impl Counting for AnthropicCount {
    const DIALECT: Dialect = Dialect::AnthropicCount;
    const FIELDS: &'static [&'static str] = &[
        "cache_control",
        "context_management",
        "mcp_servers",
        "messages",
        "model",
        "output_config",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    ];
    const TOKENS: &'static str = "input_tokens";

    fn chat() -> &'static dyn Wire {
        &Anthropic
    }

    fn peek(body: &Bytes, max_depth: usize) -> Result<Facts> {
        peek::prompt(body, max_depth)
    }

    fn decode(body: &Bytes) -> Result<HubRequest> {
        Ok(HubRequest::Chat(Box::new(decode::prompt(body)?)))
    }
}
