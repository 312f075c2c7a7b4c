//! What is said to the script `limits.lua`, and what it answers.

use std::sync::OnceLock;

use redis::{Pipeline, Script, ScriptInvocation};

use super::books::{Kind, RateChange, Share};
use crate::policy::gcra::{LARGEST, Rate};

const TEXT: &str = include_str!("limits.lua");
/// Numbers of an answer: two, then so many for each key.
const FOR_EACH: usize = 5;
const BILLION: i128 = 1_000_000_000;

fn script() -> &'static Script {
    static SCRIPT: OnceLock<Script> = OnceLock::new();
    SCRIPT.get_or_init(|| Script::new(TEXT))
}

/// Whether all is taken or none, or each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Admit,
    Settle,
}

/// One run of the script.
#[derive(Debug)]
pub(super) struct Step {
    keys: Vec<String>,
    words: Vec<String>,
}

impl Step {
    pub(super) fn new(mode: Mode, core: &str, lives_micros: u64) -> Self {
        let mode = match mode {
            Mode::Admit => "admit",
            Mode::Settle => "settle",
        };
        Self { keys: Vec::new(), words: vec![mode.to_owned(), core.to_owned(), lives_micros.to_string()] }
    }

    /// Takes from a rate, if there is room.
    pub(super) fn rate(&mut self, key: String, rate: Rate, amount: u64) {
        self.rate_change(key, rate, i64::try_from(amount.min(LARGEST)).unwrap_or(i64::MAX));
    }

    /// Takes from a rate whatever the room, or gives back to it.
    pub(super) fn change_rate(&mut self, change: &RateChange) {
        let most = i64::try_from(LARGEST).unwrap_or(i64::MAX);
        let rate = Rate::by_the_minute(change.limit);
        self.rate_change(change.key.clone(), rate, change.amount.clamp(-most, most));
    }

    fn rate_change(&mut self, key: String, rate: Rate, amount: i64) {
        self.keys.push(key);
        self.words.push("r".to_owned());
        self.words.extend([rate.per_minute.max(1).to_string(), rate.burst.max(1).to_string()]);
        self.words.push(amount.to_string());
    }

    /// Takes from a pot, if there is room below `limit`; `amount` is what is asked. `cores`: of how many a new pot awaits what they hold.
    pub(super) fn pot(&mut self, share: &Share, (limit, amount): (i128, i128), cores: u32) {
        self.keys.push(share.key.clone());
        self.words.extend(["p".to_owned(), share.generation.to_string()]);
        self.billions(limit);
        self.billions(amount);
        self.words.push(u8::from(share.whole.is_some()).to_string());
        self.billions(share.whole.unwrap_or(0));
        let base = match share.base {
            None => "0",
            Some(_) if share.makes => "2",
            Some(_) => "1",
        };
        self.words.push(base.to_owned());
        self.billions(share.base.unwrap_or(0).into());
        self.words.push(u8::from(matches!(share.id.kind, Kind::Money(..))).to_string());
        self.words.push(cores.to_string());
    }

    /// Says that this core holds nothing of a pot.
    pub(super) fn nothing_of(&mut self, key: &str) {
        self.keys.push(key.to_owned());
        let words = ["p", "0", "0", "0", "0", "0", "1", "0", "0", "0", "0", "0", "1", "0"];
        self.words.extend(words.map(str::to_owned));
    }

    fn billions(&mut self, number: i128) {
        self.words.push(number.div_euclid(BILLION).to_string());
        self.words.push(number.rem_euclid(BILLION).to_string());
    }

    pub(super) fn invocation(&self) -> ScriptInvocation<'static> {
        let mut invocation = script().prepare_invoke();
        for key in &self.keys {
            invocation.key(key);
        }
        invocation.arg(&self.words);
        invocation
    }

    /// Several in one round trip. Redis may not know the script, so it is sent along.
    pub(super) fn pipeline(steps: &[Self]) -> Pipeline {
        let mut pipeline = redis::pipe();
        pipeline.cmd("SCRIPT").arg("LOAD").arg(TEXT).ignore();
        for step in steps {
            pipeline.cmd("EVALSHA").arg(script().get_hash()).arg(step.keys.len());
            pipeline.arg(&step.keys).arg(&step.words);
        }
        pipeline
    }
}

/// How the script ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Refused,
    Done,
    /// Something must be said first.
    NotReady,
}

/// A key as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen([i64; FOR_EACH]);

impl Seen {
    /// Of a rate: when what was taken is used up.
    pub(super) fn due(self) -> (u64, u64) {
        (u64::try_from(self.0[0]).unwrap_or(0), u64::try_from(self.0[1]).unwrap_or(0))
    }

    /// Of a pot: it is not there.
    pub(super) fn is_missing(self) -> bool {
        self.0[0] == 1
    }

    /// Of a pot: what this core holds has to be said, or its base.
    pub(super) fn is_unsure(self) -> bool {
        matches!(self.0[0], 1 | 2)
    }

    /// Of a pot: other cores have yet to say what they hold.
    pub(super) fn awaits_others(self) -> bool {
        self.0[0] == 3
    }

    /// Of a pot: what is stored.
    pub(super) fn base(self) -> i128 {
        i128::from(self.0[1]) * BILLION + i128::from(self.0[2])
    }

    /// Of a pot: what all cores hold.
    pub(super) fn held(self) -> i128 {
        i128::from(self.0[3]) * BILLION + i128::from(self.0[4])
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    /// Redis's time, in microseconds.
    pub(super) now: u64,
    pub(super) seen: Vec<Seen>,
}

impl Answer {
    /// `None`: these are not an answer's numbers.
    pub(super) fn read(numbers: &[i64]) -> Option<Self> {
        let [outcome, now, rest @ ..] = numbers else { return None };
        let outcome = match outcome {
            0 => Outcome::Refused,
            1 => Outcome::Done,
            2 => Outcome::NotReady,
            _ => return None,
        };
        let seen: Result<Vec<Seen>, _> =
            rest.chunks(FOR_EACH).map(|state| state.try_into().map(Seen)).collect();
        Some(Self { outcome, now: u64::try_from(*now).ok()?, seen: seen.ok()? })
    }
}
