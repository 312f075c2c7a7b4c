//! How a model is told to think, which depends on its generation.

use super::{
    EXTRA,
    generation::{Generation, Thinking},
};
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

/// The model decides how much it thinks.
const ADAPTIVE: &str = r#"{"type":"adaptive"}"#;
/// It does, and the text of its thoughts is wanted.
const SHOWN: &str = r#"{"type":"adaptive","display":"summarized"}"#;

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

/// Decides it. What cannot be told is named in `dropped`.
pub(super) fn plan(
    request: &ChatRequest,
    generation: &Generation,
    dropped: &mut Vec<String>,
) -> Result<Plan> {
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
        if generation.thinking == Thinking::Always {
            dropped.push("reasoning.effort".to_owned());
            return Ok(Plan::default());
        }
        return Ok(Plan { thinking: Some(r#"{"type":"disabled"}"#.to_owned()), ..Plan::default() });
    }
    if impossible(request) {
        dropped.push("reasoning".to_owned());
        return Ok(Plan::default());
    }
    Ok(match generation.thinking {
        Thinking::Budget => with_budget(request, reasoning, generation, dropped),
        Thinking::Either if reasoning.budget_tokens.is_some() => {
            with_budget(request, reasoning, generation, dropped)
        }
        Thinking::Either | Thinking::Adaptive | Thinking::Always => adaptive(reasoning, generation, dropped),
    })
}

/// The effort in the words of the model.
fn told(effort: Option<&str>, generation: &Generation, dropped: &mut Vec<String>) -> Option<String> {
    let told = generation.effort(effort?);
    if told.is_none() {
        dropped.push("reasoning.effort".to_owned());
    }
    told.map(str::to_owned)
}

/// The model decides. A budget that it refuses becomes the effort whose budget elsewhere is nearest.
fn adaptive(reasoning: &Reasoning, generation: &Generation, dropped: &mut Vec<String>) -> Plan {
    let of_budget = reasoning.budget_tokens.map(|budget| match budget {
        0..=4096 => "low",
        4097..=16_384 => "medium",
        _ => "high",
    });
    let effort = told(reasoning.effort.as_deref().or(of_budget), generation, dropped);
    if reasoning.include_text == Some(false) {
        return Plan { effort, ..Plan::default() };
    }
    // The newest models keep the text of their thoughts to themselves unless they are asked for it.
    let shown = reasoning.include_text == Some(true) && generation.thinking != Thinking::Either;
    let thinking = if shown { SHOWN } else { ADAPTIVE };
    Plan { thinking: Some(thinking.to_owned()), effort, budget: 0, thinks: true }
}

fn with_budget(
    request: &ChatRequest,
    reasoning: &Reasoning,
    generation: &Generation,
    dropped: &mut Vec<String>,
) -> Plan {
    let effort = reasoning.effort.as_deref();
    let Some(wanted) = reasoning.budget_tokens else {
        if reasoning.include_text == Some(false) {
            // An effort without thinking is meant.
            return Plan { effort: told(effort, generation, dropped), ..Plan::default() };
        }
        let wanted = match effort {
            Some("minimal" | "low") => MIN_BUDGET,
            Some("high" | "xhigh" | "max") => 24_576,
            _ => 8192,
        };
        // Thinking must leave something of the answer's limit.
        let budget = request.max_output_tokens.map_or(wanted, |max| wanted.min(max.saturating_sub(1)));
        if budget < MIN_BUDGET {
            dropped.push("reasoning.effort".to_owned());
            return Plan::default();
        }
        return Plan { thinking: Some(enabled(budget)), effort: None, budget, thinks: true };
    };
    // The effort is told in a budget, unless the caller said both.
    let effort = told(effort, generation, dropped);
    Plan { thinking: Some(enabled(wanted)), effort, budget: wanted, thinks: true }
}

fn enabled(budget: u32) -> String {
    let mut thinking = ObjectWriter::new();
    thinking.string("type", "enabled");
    thinking.plain("budget_tokens", budget);
    thinking.finish()
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
