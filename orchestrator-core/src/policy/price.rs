//! What tokens cost.
//!
//! Money is whole numbers: a price is in nano-dollars per million tokens, a cost in nano-dollars. No binary fraction touches either.
//! What is not known is not guessed: where a request used a kind of token that the price does not name, its cost is unknown,
//! never zero.
//!
//! # What a cost does not cover
//!
//! * Audio: vendors price its tokens apart, so a request that used any has no known cost.
//! * Service tiers: a price is that of the standard tier; where the answer is known to come from another, there is no known cost. On
//!   the lossless path an answer's tier is not read: it is charged as the standard one.
//! * What is charged beside tokens (searches, containers, stored caches), batches (which the gateway does not carry), and rates
//!   by region, time of day or contract. A price set in Admin stands for a contract.
//! * Anthropic's cache for an hour: everything written to a cache is charged as what is kept for five minutes.
//! * Models that draw: their pictures' tokens are not counted apart, so the shipped list leaves these models out.

pub mod book;
pub mod shipped;
pub mod usd;

use std::sync::Arc;

use crate::chat::Usage;

/// Nano-dollars per million tokens; `None`: not known.
pub type Rate = Option<u64>;

/// The highest rate that is taken: a million dollars per million tokens.
pub const HIGHEST: u64 = 1_000_000_000_000_000;

/// What each kind of token costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Tokens read.
    pub input: Rate,
    /// Of them, those that came from the provider's cache; `None`: as `input`.
    pub cached_read: Rate,
    /// Of them, those that were put into the provider's cache; `None`: as `input`.
    pub cache_write: Rate,
    /// Tokens written, reasoning included.
    pub output: Rate,
}

/// What a model costs where it is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Which list it is from, and which state of it: `shipped-2025-11-01`, `own-7`.
    pub version: Arc<str>,
    /// What holds unless the prompt is long.
    pub rates: Rates,
    /// What holds for all tokens of a request whose prompt is long.
    pub long: Option<LongPrompt>,
}

/// The rates of long prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongPrompt {
    /// A prompt of more tokens than this is long.
    pub above: u64,
    /// What holds for it.
    pub rates: Rates,
}

impl Price {
    /// What these tokens cost, in nano-dollars, rounded half up; `None` where a rate is missing that they need.
    ///
    /// `usage.prompt` includes what was read from and written to a cache, `usage.completion` includes reasoning: nothing is
    /// charged twice. More than a `u64` holds (eighteen billion dollars) is unknown as well.
    pub fn cost(&self, usage: &Usage) -> Option<u64> {
        if usage.prompt_audio > 0 || usage.completion_audio > 0 {
            return None;
        }
        let rates = match &self.long {
            Some(long) if usage.prompt > long.above => &long.rates,
            _ => &self.rates,
        };
        // A provider that says that more was cached than read is believed in the prompt.
        let cached_read = usage.cached_read.min(usage.prompt);
        let cache_write = usage.cache_write.min(usage.prompt - cached_read);
        let uncached = usage.prompt - cached_read - cache_write;
        let lines = [
            (uncached, rates.input),
            (cached_read, rates.cached_read.or(rates.input)),
            (cache_write, rates.cache_write.or(rates.input)),
            (usage.completion, rates.output),
        ];
        let mut millionths: u128 = 0;
        for (tokens, rate) in lines.into_iter().filter(|(tokens, _)| *tokens > 0) {
            // Two 64-bit factors never overflow 128 bits; four such products may.
            millionths = millionths.checked_add(u128::from(tokens) * u128::from(rate?))?;
        }
        u64::try_from(millionths.checked_add(500_000)? / 1_000_000).ok()
    }
}

impl Price {
    /// What so many tokens can cost at most, in nano-dollars, rounded up: nobody knows yet how much of the prompt a cache holds.
    /// `None` where a rate is missing that they need.
    pub fn most(&self, prompt: u64, completion: u64) -> Option<u64> {
        let rates = match &self.long {
            Some(long) if prompt > long.above => &long.rates,
            _ => &self.rates,
        };
        let read = [rates.input, rates.cached_read, rates.cache_write].into_iter().flatten().max();
        let dearest = Rates { input: rates.input.and(read), output: rates.output, ..Rates::default() };
        dearest.plainly(prompt, completion)
    }
}

impl Rates {
    /// What so many tokens cost, none of them cached, in nano-dollars, rounded up. `None` where a rate is missing that they need.
    pub fn plainly(&self, prompt: u64, completion: u64) -> Option<u64> {
        let mut millionths: u128 = 0;
        for (tokens, rate) in [(prompt, self.input), (completion, self.output)] {
            if tokens > 0 {
                millionths = millionths.checked_add(u128::from(tokens) * u128::from(rate?))?;
            }
        }
        u64::try_from(millionths.div_ceil(1_000_000)).ok()
    }
}

/// Whether a price holds for the service tier that an answer names: only the standard one's are known.
pub fn is_standard(tier: Option<&str>) -> bool {
    // `auto` is a wish, which some servers repeat where they have only one tier.
    tier.is_none_or(|tier| ["", "default", "standard", "auto"].contains(&tier))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rates(input: u64, cached_read: u64, cache_write: u64, output: u64) -> Rates {
        Rates {
            input: Some(input),
            cached_read: Some(cached_read),
            cache_write: Some(cache_write),
            output: Some(output),
        }
    }

    fn price(rates: Rates) -> Price {
        Price { version: "x".into(), rates, long: None }
    }

    #[test]
    fn each_kind_of_token_is_charged_once() {
        let price = price(rates(3_000_000_000, 300_000_000, 3_750_000_000, 15_000_000_000));
        let usage = Usage {
            prompt: 1000,
            cached_read: 600,
            cache_write: 100,
            completion: 50,
            reasoning: 40,
            ..Usage::default()
        };
        // 300 × 3000 + 600 × 300 + 100 × 3750 + 50 × 15000 nano-dollars.
        assert_eq!(price.cost(&usage), Some(900_000 + 180_000 + 375_000 + 750_000));
    }

    #[test]
    fn what_has_no_rate_is_charged_as_input_or_unknown_but_never_as_nothing() {
        let plain = price(Rates { input: Some(2_000_000), output: Some(4_000_000), ..Rates::default() });
        let cached = Usage { prompt: 10, cached_read: 4, cache_write: 3, completion: 1, ..Usage::default() };
        assert_eq!(plain.cost(&cached), Some(24));
        let blind = price(Rates { input: None, ..plain.rates });
        assert_eq!(blind.cost(&cached), None);
        let embedding = price(Rates { output: None, ..plain.rates });
        assert_eq!(embedding.cost(&cached), None);
        assert_eq!(embedding.cost(&Usage { completion: 0, ..cached }), Some(20), "it has written nothing");
        assert_eq!(blind.cost(&Usage::default()), Some(0), "nothing costs nothing");
        assert_eq!(plain.cost(&Usage { prompt_audio: 1, ..cached }), None);
        assert_eq!(plain.cost(&Usage { completion_audio: 1, ..cached }), None);
    }

    #[test]
    fn a_long_prompt_changes_the_rate_of_every_token() {
        let long = Some(LongPrompt { above: 200_000, rates: rates(2_000_000, 0, 0, 20_000_000) });
        let price = Price { long, ..price(rates(1_000_000, 0, 0, 10_000_000)) };
        let of = |prompt| price.cost(&Usage { prompt, completion: 1, ..Usage::default() });
        assert_eq!(of(200_000), Some(200_000 + 10));
        assert_eq!(of(200_001), Some(400_002 + 20));
    }

    #[test]
    fn the_most_that_tokens_can_cost_takes_the_dearest_way_to_read_them() {
        let dear = price(rates(1_000_000, 100_000, 1_250_000, 5_000_000));
        assert_eq!(dear.most(4, 2), Some(15));
        assert_eq!(dear.most(1, 0), Some(2), "rounded up");
        assert_eq!(price(Rates { input: None, ..dear.rates }).most(1, 1), None);
        assert_eq!(price(Rates { output: None, ..dear.rates }).most(4, 0), Some(5));
        assert_eq!(price(Rates { output: Some(u64::MAX), ..dear.rates }).most(0, u64::MAX), None);
    }

    #[test]
    fn half_a_nano_dollar_is_rounded_up_once_at_the_end() {
        let price = price(rates(500_000, 0, 0, 499_999));
        let of = |prompt, completion| price.cost(&Usage { prompt, completion, ..Usage::default() });
        assert_eq!((of(1, 0), of(0, 1), of(1, 1)), (Some(1), Some(0), Some(1)));
    }

    #[test]
    fn only_the_standard_tier_is_priced() {
        for tier in [None, Some("default"), Some("standard"), Some("auto"), Some("")] {
            assert!(is_standard(tier), "{tier:?}");
        }
        for tier in ["flex", "priority", "batch", "scale", "on_demand"] {
            assert!(!is_standard(Some(tier)), "{tier}");
        }
    }

    fn any_rate() -> impl Strategy<Value = Rate> {
        prop_oneof![Just(None), Just(Some(0)), (0..HIGHEST).prop_map(Some), any::<u64>().prop_map(Some)]
    }

    fn any_rates() -> impl Strategy<Value = Rates> {
        (any_rate(), any_rate(), any_rate(), any_rate()).prop_map(
            |(input, cached_read, cache_write, output)| Rates { input, cached_read, cache_write, output },
        )
    }

    fn any_usage(most: u64) -> impl Strategy<Value = Usage> {
        (0..=most, 0..=most, 0..=most, 0..=most).prop_map(|(prompt, cached_read, cache_write, completion)| {
            Usage { prompt, completion, cached_read, cache_write, ..Usage::default() }
        })
    }

    proptest! {
        #[test]
        fn no_count_and_no_rate_overflows(rates in any_rates(), usage in any_usage(u64::MAX)) {
            price(rates).cost(&usage);
        }

        #[test]
        fn more_tokens_never_cost_less(
            rates in any_rates(), usage in any_usage(1_000_000), more in 0_u64..1_000_000,
        ) {
            // Reading all of the additional prompt anew: no kind shrinks.
            let whole = Usage { prompt: usage.prompt + usage.cached_read + usage.cache_write, ..usage };
            let larger = Usage { prompt: whole.prompt + more, completion: whole.completion + more, ..whole };
            if let (Some(less), Some(more)) = (price(rates).cost(&whole), price(rates).cost(&larger)) {
                prop_assert!(less <= more);
            }
        }

        #[test]
        fn two_requests_cost_what_they_cost_together_to_a_nano_dollar(
            rates in any_rates(), one in any_usage(1_000_000), two in any_usage(1_000_000),
        ) {
            let whole = |usage: Usage| Usage { prompt: usage.prompt + usage.cached_read + usage.cache_write, ..usage };
            let (one, two) = (whole(one), whole(two));
            let both = Usage {
                prompt: one.prompt + two.prompt,
                cached_read: one.cached_read + two.cached_read,
                cache_write: one.cache_write + two.cache_write,
                completion: one.completion + two.completion,
                ..Usage::default()
            };
            let price = price(rates);
            if let (Some(one), Some(two), Some(both)) = (price.cost(&one), price.cost(&two), price.cost(&both)) {
                prop_assert!((one + two).abs_diff(both) <= 1);
            }
        }
    }
}
