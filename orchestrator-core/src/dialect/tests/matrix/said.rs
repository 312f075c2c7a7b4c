//! What an answer says, in words that belong to no dialect, and how two sayings are compared.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// An answer, whole or streamed, as somebody without any of our code reads it.
#[derive(Clone, Debug, Default)]
pub(in crate::dialect::tests) struct Said {
    pub(super) choices: BTreeMap<u64, Choice>,
    pub(super) usage: Option<Tokens>,
    /// The stream's own end was seen; true of whole answers.
    pub(in crate::dialect::tests) complete: bool,
    /// An error stands in it.
    pub(super) error: bool,
}

/// One choice.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    pub(super) text: String,
    pub(super) reasoning: String,
    pub(super) refusal: String,
    /// Name and text of the arguments.
    pub(super) calls: Vec<(String, String)>,
    /// Address, or else title, of each source.
    pub(super) sources: BTreeSet<String>,
    /// In the vendor-neutral words below; one for each time that the choice was said to have ended.
    pub(super) finishes: Vec<Ending>,
}

/// Why a choice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Stop,
    Length,
    Calls,
    Filter,
}

/// Tokens: cached ones within the prompt, reasoning within the completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) prompt: u64,
    pub(super) completion: u64,
    pub(super) cached: u64,
    /// `None` where the dialect has no word for it.
    pub(super) reasoning: Option<u64>,
    /// What the vendor calls the total, where it has one.
    pub(super) total: Option<u64>,
}

impl Said {
    pub(super) fn choice(&mut self, index: u64) -> &mut Choice {
        self.choices.entry(index).or_default()
    }

    /// Every choice that has begun has said why it ended.
    pub(in crate::dialect::tests) fn ended(&self) -> bool {
        !self.choices.is_empty() && self.choices.values().all(|choice| !choice.finishes.is_empty())
    }

    fn first(&self) -> Choice {
        self.choices.values().next().cloned().unwrap_or_default()
    }
}

impl Choice {
    pub(super) fn source(&mut self, url: &Value, title: &Value) {
        let name = [url, title].into_iter().find_map(|it| it.as_str().filter(|text| !text.is_empty()));
        self.sources.extend(name.map(str::to_owned));
    }

    /// A source whose name is empty still is one.
    fn ending(&self) -> Vec<Ending> {
        let neutral = |ending: &Ending| match ending {
            // Some vendors have no word of their own for either.
            Ending::Stop if !self.calls.is_empty() => Ending::Calls,
            Ending::Stop if !self.refusal.is_empty() => Ending::Filter,
            other => *other,
        };
        self.finishes.iter().map(neutral).collect()
    }
}

/// What is compared, in the order of the matrix's columns.
pub(super) const FEATURES: [&str; 8] =
    ["text", "reasoning", "refusal", "tool calls", "citations", "finish", "usage", "ending"];

/// What a dialect has no place for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// More than one choice.
    pub(super) choices: bool,
    /// A refusal that is no text.
    pub(super) refusals: bool,
}

/// Compares what a caller got with what the provider said: for each feature whether it is right; `None` where there is nothing.
pub(super) fn compare(provider: &Said, caller: &Said, shape: Shape) -> [Option<bool>; 8] {
    let (mut left, mut right) = (provider.clone(), caller.clone());
    for (index, choice) in &mut left.choices {
        // A provider that runs tools itself may end and go on; its last reason counts.
        let last = choice.finishes.pop();
        choice.finishes = last.into_iter().collect();
        let got = || right.choices.get(index).map(|got| got.finishes.clone()).unwrap_or_default();
        let refused = choice.finishes == [Ending::Stop] && !choice.refusal.is_empty();
        if choice.finishes.is_empty() || (!shape.refusals && refused) {
            // Where the provider said nothing, or a refusal becomes text, any reason is right.
            choice.finishes = got();
        }
        if !shape.refusals {
            choice.text.push_str(&std::mem::take(&mut choice.refusal));
        }
    }
    if !shape.choices {
        for said in [&mut left, &mut right] {
            let first = said.first();
            said.choices = BTreeMap::from([(0, first)]);
        }
    }
    let each = |read: &dyn Fn(&Choice) -> String| {
        let of =
            |said: &Said| said.choices.values().map(read).filter(|it| !it.is_empty()).collect::<Vec<_>>();
        let (left, right) = (of(&left), of(&right));
        (!left.is_empty() || !right.is_empty()).then(|| left == right)
    };
    // Vendors part reasoning into paragraphs, which has no meaning.
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let endings = |choice: &Choice| {
        let all = choice.ending();
        if all.is_empty() { String::new() } else { format!("{all:?}") }
    };
    // What is cut off or failed need not say why it ended, nor what it cost.
    let whole = left.complete && !left.error;
    [
        each(&|choice| choice.text.clone()),
        each(&|choice| squeezed(&choice.reasoning)),
        shape.refusals.then(|| each(&|choice| choice.refusal.clone())).flatten(),
        calls_agree(&left, &right),
        each(&|choice| {
            if choice.sources.is_empty() { String::new() } else { format!("{:?}", choice.sources) }
        }),
        if whole { endings_agree(each(&endings), &right) } else { None },
        if whole { usage(left.usage, right.usage) } else { None },
        Some((left.complete && !left.error) == right.complete && left.error == right.error),
    ]
}

/// The same calls in the same order, arguments equal as JSON. Those that were cut off in the middle are no JSON: a dialect whose
/// arguments are an object says so in its own way.
fn calls_agree(provider: &Said, caller: &Said) -> Option<bool> {
    let all = |said: &Said| said.choices.values().flat_map(|choice| choice.calls.clone()).collect::<Vec<_>>();
    let (left, right) = (all(provider), all(caller));
    if left.is_empty() && right.is_empty() {
        return None;
    }
    let parsed = |text: &str| serde_json::from_str::<Value>(if text.is_empty() { "{}" } else { text });
    let same = |(left, right): (&(String, String), &(String, String))| {
        left.0 == right.0
            && match (parsed(&left.1), parsed(&right.1)) {
                (Ok(left), Ok(right)) => left == right,
                (Err(_), Ok(_)) => true,
                (Err(_), Err(_)) => left.1 == right.1,
                (Ok(_), Err(_)) => false,
            }
    };
    Some(left.len() == right.len() && left.iter().zip(&right).all(same))
}

/// One ending a choice, and the right one.
fn endings_agree(same: Option<bool>, caller: &Said) -> Option<bool> {
    same.map(|same| same && caller.choices.values().all(|choice| choice.finishes.len() == 1))
}

/// Equal, and adding up: what is cached is part of the prompt, what was reasoned part of the completion.
fn usage(provider: Option<Tokens>, caller: Option<Tokens>) -> Option<bool> {
    let (Some(left), right) = (provider, caller) else { return None };
    let Some(right) = right else { return Some(false) };
    let same = (left.prompt, left.completion, left.cached) == (right.prompt, right.completion, right.cached);
    let reasoning = match (left.reasoning, right.reasoning) {
        (Some(left), Some(right)) => left == right,
        _ => true,
    };
    let adds_up = right.cached <= right.prompt
        && right.reasoning.unwrap_or_default() <= right.completion
        && right.total.is_none_or(|total| total == right.prompt + right.completion);
    Some(same && reasoning && adds_up)
}

/// A whole number, or nothing.
pub(super) fn count(json: &Value) -> u64 {
    json.as_u64().or_else(|| json.as_f64().map(|float| float as u64)).unwrap_or_default()
}

/// The text that a member is, or nothing.
pub(super) fn text(json: &Value) -> &str {
    json.as_str().unwrap_or_default()
}

/// The elements of an array, or none.
pub(super) fn list(json: &Value) -> impl Iterator<Item = &Value> {
    json.as_array().into_iter().flatten()
}
