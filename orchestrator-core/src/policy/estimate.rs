//! What a request is taken to use before it is known.

use orchestrator_base::config;

use super::price::{Rates, usd};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimates {
    /// The tokens of an answer whose request names no maximum.
    pub default_output: u64,
    /// What tokens cost where no price is known.
    pub ceiling: Rates,
}

impl Estimates {
    /// As the settings say.
    pub fn new(settings: &config::Budget) -> Self {
        let ceiling = Rates {
            input: usd::parse(&settings.unknown_price_input_usd),
            output: usd::parse(&settings.unknown_price_output_usd),
            ..Rates::default()
        };
        Self { default_output: settings.default_output_tokens, ceiling }
    }
}

impl Default for Estimates {
    fn default() -> Self {
        Self::new(&config::Budget::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_dollars_for_a_million_tokens() {
        let settings = config::Budget { unknown_price_input_usd: "2.50".into(), ..config::Budget::default() };
        let estimates = Estimates::new(&settings);
        assert_eq!(estimates.ceiling.plainly(1_000_000, 0), Some(2_500_000_000));
        assert_eq!(estimates.ceiling.plainly(3, 1), Some(7_500 + 75_000));
        assert_eq!(estimates.default_output, 4096);
    }
}
