//! What a model takes of thinking and sampling. The API refuses what a model does not take, and its name is all that is known of it.
//!
//! Sources, as of November 2026: <https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking> (which models think how),
//! <https://platform.claude.com/docs/en/build-with-claude/effort> (which efforts there are),
//! <https://platform.claude.com/docs/en/about-claude/models/migration-guide> (sampling, one generation after the other),
//! <https://platform.claude.com/docs/en/models/fable-5/migration-guide> (the models that always think),
//! <https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages>.

/// How a model is told how much to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinking {
    /// By a budget alone.
    Budget,
    /// It decides itself; a budget is still taken.
    Either,
    /// It decides itself, and refuses a budget.
    Adaptive,
    /// As before, and it cannot be kept from it.
    Always,
}

/// Which of `temperature`, `top_p` and `top_k` are taken, thinking aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sampling {
    /// All of them.
    All,
    /// `temperature` or `top_p`, but not both.
    One,
    /// None of them, but for a temperature of 1.
    None,
}

/// What the models of one generation have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) thinking: Thinking,
    /// The efforts that are taken, from the least on.
    pub(super) efforts: &'static [&'static str],
    pub(super) sampling: Sampling,
    /// `max_tokens` for a caller who names none. Where a model thinks unasked that comes out of the same limit.
    pub(super) default_max_tokens: u32,
    /// Instructions may stand behind a user's turn; elsewhere they go to the top.
    pub(super) instructions_between: bool,
}

/// Generations by the version that they begin with, newest first.
const GENERATIONS: [((u32, u32), Generation); 5] = [
    ((4, 8), Generation { instructions_between: true, ..OPUS_4_7 }),
    ((4, 7), OPUS_4_7),
    (
        (4, 6),
        Generation {
            thinking: Thinking::Either,
            efforts: &["low", "medium", "high", "max"],
            sampling: Sampling::One,
            default_max_tokens: 16_384,
            instructions_between: false,
        },
    ),
    ((4, 1), Generation { sampling: Sampling::One, ..OLDEST }),
    ((0, 0), OLDEST),
];

/// Claude 3 to 4, and what servers that imitate Anthropic's API call their own models.
const OLDEST: Generation = Generation {
    thinking: Thinking::Budget,
    efforts: &[],
    sampling: Sampling::All,
    default_max_tokens: 4096,
    instructions_between: false,
};

/// The first model that took an effort, beside a budget.
const OPUS_4_5: Generation =
    Generation { efforts: &["low", "medium", "high"], sampling: Sampling::One, ..OLDEST };

/// The first model that refuses budgets and sampling.
const OPUS_4_7: Generation = Generation {
    thinking: Thinking::Adaptive,
    efforts: &["low", "medium", "high", "xhigh", "max"],
    sampling: Sampling::None,
    default_max_tokens: 16_384,
    instructions_between: false,
};

/// The families that always think.
const ALWAYS: [&str; 2] = ["fable", "mythos"];

impl Generation {
    /// The generation of the model of that name: `claude-opus-4-7`, `claude-3-7-sonnet-20250219`, `claude-opus-4.6`, on Bedrock
    /// `eu.anthropic.claude-sonnet-4-5-20250929-v1:0`, on Vertex `claude-opus-4@20250514`. A Claude without a version is taken for a
    /// new one, as all old ones have theirs.
    pub(super) fn of(model: &str) -> Self {
        let model = model.to_ascii_lowercase();
        let Some((_, name)) = model.split_once("claude") else { return OLDEST };
        let version = version(name).unwrap_or((u32::MAX, 0));
        if version == (4, 5) && name.contains("opus") {
            return OPUS_4_5;
        }
        let found = GENERATIONS.iter().find(|(first, _)| version >= *first);
        let generation = found.map_or(OLDEST, |(_, generation)| *generation);
        if ALWAYS.iter().any(|family| name.contains(family)) {
            return Self { thinking: Thinking::Always, ..generation };
        }
        generation
    }

    /// The nearest effort that is taken; `None` when there are none.
    pub(super) fn effort(&self, wanted: &str) -> Option<&'static str> {
        let taken = self.efforts.iter().find(|effort| **effort == wanted);
        taken
            .or_else(|| match wanted {
                "minimal" => self.efforts.first(),
                // More than the most, or between the most and what comes before it.
                "xhigh" | "max" => self.efforts.iter().rfind(|effort| **effort != "max"),
                _ => None,
            })
            .copied()
    }
}

/// The first number in a model's name, and the one right behind it. A date is no version, nor is what follows a `v`.
fn version(name: &str) -> Option<(u32, u32)> {
    let number = |word: &&str| (word.len() < 3).then(|| word.parse::<u32>().ok()).flatten();
    let words: Vec<&str> = name.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
    let at = words.iter().position(|word| number(word).is_some())?;
    let minor = words.get(at + 1).and_then(number);
    Some((number(&words[at])?, minor.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_tells_its_generation() {
        use Sampling::{All, None, One};
        use Thinking::{Adaptive, Always, Budget, Either};
        for (model, thinking, sampling, most) in [
            ("claude-3-haiku-20240307", Budget, All, ""),
            ("claude-3-7-sonnet-20250219", Budget, All, ""),
            ("claude-sonnet-4-20250514", Budget, All, ""),
            ("claude-opus-4@20250514", Budget, All, ""),
            ("claude-opus-4-0", Budget, All, ""),
            ("claude-opus-4-1-20250805", Budget, One, ""),
            ("claude-sonnet-4-5", Budget, One, ""),
            ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", Budget, One, ""),
            ("claude-haiku-4-5-20251001", Budget, One, ""),
            ("claude-opus-4-5-20251101", Budget, One, "high"),
            ("anthropic/claude-opus-4.5", Budget, One, "high"),
            ("claude-sonnet-4-6", Either, One, "max"),
            ("anthropic.claude-opus-4-6-v1", Either, One, "max"),
            ("claude-opus-4-7", Adaptive, None, "max"),
            ("Claude-4.7-Opus", Adaptive, None, "max"),
            ("us.anthropic.claude-opus-4-8", Adaptive, None, "max"),
            ("claude-opus-5", Adaptive, None, "max"),
            ("claude-sonnet-5@20260702", Adaptive, None, "max"),
            ("claude-haiku-5-5", Adaptive, None, "max"),
            ("claude-fable-5-1", Always, None, "max"),
            ("claude-mythos-preview", Always, None, "max"),
            ("claude", Adaptive, None, "max"),
            ("kimi-k2-5", Budget, All, ""),
            ("", Budget, All, ""),
        ] {
            let found = Generation::of(model);
            let last = found.efforts.last().copied().unwrap_or_default();
            assert_eq!((found.thinking, found.sampling, last), (thinking, sampling, most), "{model}");
        }
    }

    #[test]
    fn an_effort_is_the_nearest_that_the_model_takes() {
        for (model, wanted, taken) in [
            ("claude-opus-4-7", "xhigh", Some("xhigh")),
            ("claude-opus-4-7", "minimal", Some("low")),
            ("claude-opus-4-6", "xhigh", Some("high")),
            ("claude-opus-4-6", "max", Some("max")),
            ("claude-opus-4-5", "max", Some("high")),
            ("claude-opus-4-5", "medium", Some("medium")),
            ("claude-sonnet-4-5", "low", None),
            ("claude-opus-5", "utmost", None),
        ] {
            assert_eq!(Generation::of(model).effort(wanted), taken, "{model} {wanted}");
        }
    }
}
