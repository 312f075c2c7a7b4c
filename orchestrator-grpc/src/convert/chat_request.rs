//! The typed plane's chat request, into the hub's words.

use std::collections::BTreeMap;

use orchestrator_core::chat::{ChatRequest, JsonText, Reasoning, ResponseFormat, Tool, ToolChoice};
use orchestrator_proto::v1;
use v1::{response_format::Kind as FormatKind, tool_choice::Mode};

use super::{
    field::{Wrong, finite, json, required},
    message::decode_message,
};

/// The most alternatives a token that log probabilities can be asked for.
const MOST_LOGPROBS: u32 = 20;

/// The whole request; `stream` is said by the method that was called. JSON in it may nest `max_depth` deep.
///
/// The `options` are not looked at: they say who calls, which is [`super::call`]'s.
pub fn decode_request(
    request: v1::ChatRequest,
    stream: bool,
    max_depth: usize,
) -> Result<ChatRequest, Wrong> {
    required("model", &request.model)?;
    finite("temperature", request.temperature)?;
    finite("top_p", request.top_p)?;
    finite("frequency_penalty", request.frequency_penalty)?;
    finite("presence_penalty", request.presence_penalty)?;
    if request.messages.is_empty() {
        return Err(Wrong::new("messages", "must have at least one message"));
    }
    Ok(ChatRequest {
        model: request.model,
        messages: each("messages", request.messages, |message| decode_message(message, max_depth))?,
        tools: each("tools", request.tools, |tool| decode_tool(tool, max_depth))?,
        tool_choice: decode_tool_choice(request.tool_choice)?,
        parallel_tool_calls: request.parallel_tool_calls,
        max_output_tokens: request.max_output_tokens,
        temperature: request.temperature,
        top_p: request.top_p,
        top_k: request.top_k,
        frequency_penalty: request.frequency_penalty,
        presence_penalty: request.presence_penalty,
        stop: request.stop,
        seed: request.seed,
        candidate_count: request.candidate_count,
        response_format: decode_format(request.response_format, max_depth)?,
        reasoning: request.reasoning.map(decode_reasoning),
        top_logprobs: decode_logprobs(request.logprobs)?,
        service_tier: request.service_tier,
        end_user: request.end_user,
        stream,
        // The last event of a typed stream always carries the usage.
        include_usage: stream,
        extras: decode_extras(request.extras_json, max_depth)?,
    })
}

/// Converts a repeated field; a refusal says which element it was.
fn each<P, D>(field: &str, items: Vec<P>, decode: impl Fn(P) -> Result<D, Wrong>) -> Result<Vec<D>, Wrong> {
    let mut decoded = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        decoded.push(decode(item).map_err(|wrong| wrong.inside(format_args!("{field}[{index}]")))?);
    }
    Ok(decoded)
}

fn decode_tool(tool: v1::Tool, max_depth: usize) -> Result<Tool, Wrong> {
    required("name", &tool.name)?;
    if !tool.parameters_json.is_empty() {
        json("parameters_json", &tool.parameters_json, max_depth)?;
    }
    let v1::Tool { name, description, parameters_json, strict } = tool;
    Ok(Tool { name, description, parameters: parameters_json, strict })
}

fn decode_tool_choice(choice: Option<v1::ToolChoice>) -> Result<Option<ToolChoice>, Wrong> {
    let Some(v1::ToolChoice { mode, name }) = choice else { return Ok(None) };
    let mode = Mode::try_from(mode)
        .map_err(|_| Wrong::new("tool_choice.mode", format!("{mode} is no way to choose a tool")))?;
    if mode == Mode::Named {
        required("tool_choice.name", &name)?;
    } else if !name.is_empty() {
        return Err(Wrong::new("tool_choice.name", "goes with MODE_NAMED only"));
    }
    Ok(match mode {
        Mode::Unspecified => None,
        Mode::None => Some(ToolChoice::None),
        Mode::Auto => Some(ToolChoice::Auto),
        Mode::Required => Some(ToolChoice::Required),
        Mode::Named => Some(ToolChoice::Named(name)),
    })
}

fn decode_format(
    format: Option<v1::ResponseFormat>,
    max_depth: usize,
) -> Result<Option<ResponseFormat>, Wrong> {
    let Some(v1::ResponseFormat { kind }) = format else { return Ok(None) };
    match kind {
        None => Err(Wrong::new("response_format.kind", "must be set: text, json_object or json_schema")),
        Some(FormatKind::Text(v1::TextFormat {})) => Ok(Some(ResponseFormat::Text)),
        Some(FormatKind::JsonObject(v1::JsonObjectFormat {})) => Ok(Some(ResponseFormat::JsonObject)),
        Some(FormatKind::JsonSchema(v1::JsonSchemaFormat { name, description, schema_json, strict })) => {
            required("response_format.json_schema.name", &name)?;
            json("response_format.json_schema.schema_json", &schema_json, max_depth)?;
            Ok(Some(ResponseFormat::JsonSchema { name, description, schema: schema_json, strict }))
        }
    }
}

fn decode_reasoning(reasoning: v1::Reasoning) -> Reasoning {
    let v1::Reasoning { effort, budget_tokens, include_text } = reasoning;
    Reasoning { effort, budget_tokens, include_text }
}

fn decode_logprobs(logprobs: Option<v1::LogprobsRequest>) -> Result<Option<u32>, Wrong> {
    match logprobs {
        Some(v1::LogprobsRequest { top }) if top > MOST_LOGPROBS => {
            Err(Wrong::new("logprobs.top", format!("must be at most {MOST_LOGPROBS}")))
        }
        Some(v1::LogprobsRequest { top }) => Ok(Some(top)),
        None => Ok(None),
    }
}

/// `DIALECT.FIELD` to JSON text.
pub(crate) fn decode_extras(
    extras: BTreeMap<String, String>,
    max_depth: usize,
) -> Result<BTreeMap<String, JsonText>, Wrong> {
    for (key, text) in &extras {
        let named =
            key.split_once('.').is_some_and(|(dialect, field)| !dialect.is_empty() && !field.is_empty());
        if !named {
            return Err(Wrong::new(format!("extras_json[\"{key}\"]"), "must be named DIALECT.FIELD"));
        }
        json(&format!("extras_json[\"{key}\"]"), text, max_depth)?;
    }
    Ok(extras)
}

#[cfg(test)]
mod tests;
