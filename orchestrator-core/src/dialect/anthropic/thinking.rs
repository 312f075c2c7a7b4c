//! How a model is told to think, which depends on its generation; its name is all that is known of that.

use super::EXTRA;
use crate::{
    chat::{ChatRequest, PartKind, Reasoning, Role, ToolChoice},
    dialect::{
        Dialect,
        json::{ObjectWriter, checked},
        seal::{self, Opened},
    },
    error::Result,
};

/// The least budget that Anthropic takes.
const MIN_BUDGET: u32 = 1024;

/// What a request says of thinking.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// `thinking`.
    pub(super) thinking: Option<String>,
    /// `output_config.effort`.
    pub(super) effort: Option<String>,
    /// How much of `max_tokens` goes to thinking.
    pub(super) budget: u32,
    /// The model thinks: it takes neither a temperature nor `top_k` then.
    pub(super) thinks: bool,
}

/// Whether the model of that name takes `adaptive` and efforts: from 4.6 on.
fn is_adaptive(model: &str) -> bool {
    let mut numbers = model.split(|letter: char| !letter.is_ascii_digit()).filter(|word| !word.is_empty());
    let major = numbers.next().and_then(|word| word.parse::<u32>().ok()).unwrap_or_default();
    // A date is no version.
    let minor = numbers.next().filter(|word| word.len() < 3).and_then(|word| word.parse::<u32>().ok());
    model.contains("claude") && (major, minor.unwrap_or_default()) >= (4, 6) && major < 100
}

/// Decides it. What cannot be told is named in `dropped`.
pub(super) fn plan(request: &ChatRequest, model: &str, dropped: &mut Vec<String>) -> Result<Plan> {
    let Some(reasoning) = &request.reasoning else { return Ok(Plan::default()) };
    let effort = reasoning.effort.as_deref();
    if let Some(json) = request.extras.get(&format!("{EXTRA}thinking")) {
        let thinking = checked(json, "extras.anthropic.thinking")?.to_owned();
        let thinks = !thinking.contains("\"disabled\"");
        let effort = effort.filter(|effort| *effort != "none").map(str::to_owned);
        return Ok(Plan {
            thinking: Some(thinking),
            effort,
            budget: reasoning.budget_tokens.unwrap_or_default(),
            thinks,
        });
    }
    if effort == Some("none") {
        return Ok(Plan { thinking: Some(r#"{"type":"disabled"}"#.to_owned()), ..Plan::default() });
    }
    if impossible(request) {
        dropped.push("reasoning".to_owned());
        return Ok(Plan::default());
    }
    if reasoning.budget_tokens.is_some() || !is_adaptive(model) {
        return Ok(with_budget(reasoning, request.max_output_tokens, dropped));
    }
    let effort = effort.map(|effort| if effort == "minimal" { "low" } else { effort }.to_owned());
    let thinks = reasoning.include_text != Some(false);
    let thinking = thinks.then(|| r#"{"type":"adaptive"}"#.to_owned());
    Ok(Plan { thinking, effort, budget: 0, thinks })
}

fn with_budget(reasoning: &Reasoning, max: Option<u32>, dropped: &mut Vec<String>) -> Plan {
    let effort = reasoning.effort.as_deref();
    if reasoning.budget_tokens.is_none() && reasoning.include_text == Some(false) {
        // An effort without thinking was meant, which older models do not know.
        dropped.push("reasoning.effort".to_owned());
        return Plan::default();
    }
    let wanted = reasoning.budget_tokens.unwrap_or(match effort {
        Some("minimal" | "low") => MIN_BUDGET,
        Some("high" | "xhigh" | "max") => 24_576,
        _ => 8192,
    });
    // Thinking must leave something of the answer's limit.
    let budget = max.map_or(wanted, |max| wanted.min(max.saturating_sub(1)));
    if budget < MIN_BUDGET && reasoning.budget_tokens.is_none() {
        dropped.push("reasoning.effort".to_owned());
        return Plan::default();
    }
    let budget = if reasoning.budget_tokens.is_some() { wanted } else { budget };
    let mut thinking = ObjectWriter::new();
    thinking.string("type", "enabled");
    thinking.plain("budget_tokens", budget);
    // With a budget the effort was told in it, unless the caller said both.
    let effort = reasoning.budget_tokens.and(effort).map(str::to_owned);
    Plan { thinking: Some(thinking.finish()), effort, budget, thinks: true }
}

/// Anthropic refuses thinking beside a forced tool, and in the middle of a turn whose calls were made without it.
fn impossible(request: &ChatRequest) -> bool {
    let forced = matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
    let Some(last) = request.messages.iter().rposition(|message| message.role == Role::Assistant) else {
        return forced;
    };
    let message = &request.messages[last];
    let answers = |kind: &PartKind| matches!(kind, PartKind::ToolResult(_));
    let later = &request.messages[last + 1..];
    let in_turn = later.iter().any(|message| message.parts.iter().any(|part| answers(&part.kind)));
    let signed = message.parts.iter().any(|part| match &part.kind {
        PartKind::Reasoning(thought) => [&thought.signature, &thought.encrypted]
            .into_iter()
            .flatten()
            .any(|sealed| seal::open(Dialect::Anthropic, sealed) != Opened::Foreign),
        _ => false,
    });
    forced || (in_turn && !signed)
}
