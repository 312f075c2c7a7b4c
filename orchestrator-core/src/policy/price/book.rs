//! Which price holds: the operators' own before those shipped, and of each the most specific name.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use super::{Price, shipped::SHIPPED};
use crate::policy::glob;

/// Where a price comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The list that came with the program.
    Shipped,
    /// An operator has set it.
    Own,
}

impl Source {
    /// Its name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::Own => "own",
        }
    }
}

/// A line of a price list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The kind of the providers that it is for, or a preset of theirs: `openai`, `groq`.
    pub kind: String,
    /// The model's name there, or a glob.
    pub upstream_model: String,
    /// What it costs.
    pub price: Arc<Price>,
    /// Where the line comes from.
    pub source: Source,
}

/// The lines for one kind from one source.
#[derive(Debug, Default)]
struct Lines {
    exact: HashMap<String, Arc<Price>>,
    /// The most specific first.
    globs: Vec<(String, Arc<Price>)>,
}

impl Lines {
    fn find(&self, model: &str) -> Option<Arc<Price>> {
        if let Some(price) = self.exact.get(model) {
            return Some(Arc::clone(price));
        }
        let mut globs = self.globs.iter();
        globs.find(|(pattern, _)| glob::matches(pattern, model)).map(|(_, price)| Arc::clone(price))
    }
}

/// All prices, ready to be asked.
#[derive(Debug, Default)]
pub struct PriceBook {
    own: HashMap<String, Arc<Lines>>,
    shipped: HashMap<String, Arc<Lines>>,
}

/// The prices of one provider. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ProviderPrices {
    /// What is asked first stands first.
    lines: Arc<[Arc<Lines>]>,
}

impl ProviderPrices {
    /// What a model costs there.
    pub fn find(&self, model: &str) -> Option<Arc<Price>> {
        self.lines.iter().find_map(|lines| lines.find(model))
    }
}

impl PriceBook {
    /// The shipped prices below these.
    pub fn new(own: impl IntoIterator<Item = Listing>) -> Self {
        Self { own: by_kind(own), shipped: by_kind(SHIPPED.iter().cloned()) }
    }

    /// The prices of a provider of that kind. Those of its preset are its own kind's too: where both name a model, the preset,
    /// which says more, is right.
    pub fn of_provider(&self, kind: &str, preset: Option<&str>) -> ProviderPrices {
        let kinds = || preset.into_iter().chain([kind]);
        let lists = [&self.own, &self.shipped];
        let lines = lists.into_iter().flat_map(|list| kinds().filter_map(|kind| list.get(kind).cloned()));
        ProviderPrices { lines: lines.collect() }
    }
}

/// The shipped lines, each replaced by the operators' own for the same kind and name, and those of their own, by kind and name.
pub fn effective(own: impl IntoIterator<Item = Listing>) -> Vec<Listing> {
    let mut lines: Vec<Listing> = own.into_iter().chain(SHIPPED.iter().cloned()).collect();
    // Stable: of two alike the own one stays first.
    lines.sort_by(|a, b| key(a).cmp(&key(b)));
    lines.dedup_by(|later, first| key(later) == key(first));
    lines
}

fn key(line: &Listing) -> (&str, &str) {
    (&line.kind, &line.upstream_model)
}

fn by_kind(listings: impl IntoIterator<Item = Listing>) -> HashMap<String, Arc<Lines>> {
    let mut by_kind: HashMap<String, Lines> = HashMap::new();
    for Listing { kind, upstream_model, price, .. } in listings {
        let lines = by_kind.entry(kind).or_default();
        if glob::is_pattern(&upstream_model) {
            lines.globs.push((upstream_model, price));
        } else {
            lines.exact.insert(upstream_model, price);
        }
    }
    for lines in by_kind.values_mut() {
        lines.globs.sort_by_key(|(pattern, _)| (Reverse(glob::literal_length(pattern)), pattern.clone()));
    }
    by_kind.into_iter().map(|(kind, lines)| (kind, Arc::new(lines))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::price::Rates;

    fn own(kind: &str, model: &str, input: u64) -> Listing {
        let rates = Rates { input: Some(input), ..Rates::default() };
        let price = Arc::new(Price { version: "own-1".into(), rates, long: None });
        Listing { kind: kind.into(), upstream_model: model.into(), price, source: Source::Own }
    }

    fn input(book: &PriceBook, kind: &str, preset: Option<&str>, model: &str) -> Option<u64> {
        book.of_provider(kind, preset).find(model)?.rates.input
    }

    #[test]
    fn the_most_specific_name_wins_and_own_prices_come_first() {
        let lines = [
            own("openai", "gpt-4o*", 3),
            own("openai", "gpt-4o-mini*", 2),
            own("openai", "gpt-4o-mini", 1),
            own("openai_compatible", "*", 9),
            own("groq", "llama*", 8),
        ];
        let book = PriceBook::new(lines);
        let of = |model| input(&book, "openai", None, model);
        assert_eq!(
            (of("gpt-4o-mini"), of("gpt-4o-mini-2024-07-18"), of("gpt-4o")),
            (Some(1), Some(2), Some(3))
        );
        assert_eq!(of("gpt-4.1"), Some(2_000_000_000), "as shipped");
        assert_eq!(of("nobody-knows"), None);
        assert_eq!(input(&book, "azure_openai", None, "gpt-4o"), Some(2_500_000_000), "of another kind");
        let at = |preset, model| input(&book, "openai_compatible", preset, model);
        assert_eq!(
            (at(Some("groq"), "llama-9"), at(Some("groq"), "x"), at(None, "llama-9")),
            (Some(8), Some(9), Some(9))
        );
    }

    #[test]
    fn a_preset_has_its_shipped_prices_and_a_server_of_no_name_has_none() {
        let book = PriceBook::new([]);
        assert!(input(&book, "openai_compatible", Some("deepseek"), "deepseek-v4-pro").is_some());
        assert_eq!(input(&book, "openai_compatible", None, "deepseek-v4-pro"), None);
        assert_eq!(input(&book, "openai_compatible", Some("vllm"), "gpt-4o"), None);
        assert_eq!(input(&book, "echo", None, "anything"), Some(0));
    }

    #[test]
    fn the_list_in_force_has_each_name_once() {
        let lines = effective([own("openai", "gpt-4o", 1), own("openai", "mine", 2)]);
        let of = |model: &str| {
            lines
                .iter()
                .filter(|line| line.kind == "openai" && line.upstream_model == model)
                .collect::<Vec<_>>()
        };
        assert_eq!((of("gpt-4o").len(), of("gpt-4o")[0].source), (1, Source::Own));
        assert_eq!(of("mine").len(), 1);
        assert_eq!(lines.len(), SHIPPED.len() + 1);
    }
}
