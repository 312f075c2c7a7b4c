//! The prices that come with the program: vendors' published list prices, in `prices.toml` beside this module's parent.

use std::sync::{Arc, LazyLock};

use serde::Deserialize;

use super::{
    HIGHEST, LongPrompt, Price, Rates,
    book::{Listing, Source},
    usd,
};

const FILE: &str = include_str!("../prices.toml");

/// Every line of the file, once for each of its kinds.
pub static SHIPPED: LazyLock<Vec<Listing>> = LazyLock::new(|| {
    read(FILE).unwrap_or_else(|why| {
        // A test reads the file, so nobody should ever see this; without it every price is unknown, which is true.
        tracing::error!(why, "the shipped prices cannot be read");
        Vec::new()
    })
});

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: String,
    price: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    kinds: Vec<String>,
    models: Vec<String>,
    input: Option<String>,
    cached_read: Option<String>,
    cache_write: Option<String>,
    output: Option<String>,
    long: Option<Long>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Long {
    above: u64,
    input: Option<String>,
    cached_read: Option<String>,
    cache_write: Option<String>,
    output: Option<String>,
}

fn read(file: &str) -> Result<Vec<Listing>, String> {
    let file: File = toml::from_str(file).map_err(|error| error.to_string())?;
    let version: Arc<str> = format!("shipped-{}", file.version).into();
    let mut lines = Vec::new();
    for entry in file.price {
        let long = entry.long.map(|long| {
            let rates = rates([&long.input, &long.cached_read, &long.cache_write, &long.output])?;
            Ok::<_, String>(LongPrompt { above: long.above, rates })
        });
        let rates = rates([&entry.input, &entry.cached_read, &entry.cache_write, &entry.output])?;
        let price = Arc::new(Price { version: Arc::clone(&version), rates, long: long.transpose()? });
        for kind in &entry.kinds {
            lines.extend(entry.models.iter().map(|model| Listing {
                kind: kind.clone(),
                upstream_model: model.clone(),
                price: Arc::clone(&price),
                source: Source::Shipped,
            }));
        }
    }
    Ok(lines)
}

fn rates(texts: [&Option<String>; 4]) -> Result<Rates, String> {
    let mut rates = [None; 4];
    for (rate, text) in rates.iter_mut().zip(texts) {
        if let Some(text) = text {
            let nanos = usd::parse(text).filter(|nanos| *nanos <= HIGHEST);
            *rate = Some(nanos.ok_or_else(|| format!("{text:?} is no price"))?);
        }
    }
    let [input, cached_read, cache_write, output] = rates;
    Ok(Rates { input, cached_read, cache_write, output })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::policy::{glob, price::book::PriceBook};

    #[test]
    fn the_file_is_read_and_every_line_is_sane() {
        let lines = read(FILE).unwrap();
        assert_eq!(*SHIPPED, lines);
        let mut seen = HashSet::new();
        for line in &lines {
            let name = format!("{}/{}", line.kind, line.upstream_model);
            assert!(seen.insert(name.clone()), "{name} twice");
            let date = line.price.version.strip_prefix("shipped-").unwrap();
            assert!(date.parse::<jiff::civil::Date>().is_ok(), "{date}");
            sane(&name, &line.price.rates);
            if let Some(long) = &line.price.long {
                sane(&name, &long.rates);
                assert!(long.above >= 100_000 && long.rates.input > line.price.rates.input, "{name}");
                assert_eq!(
                    long.rates.cached_read.is_some(),
                    line.price.rates.cached_read.is_some(),
                    "{name}"
                );
            }
        }
        assert!(lines.len() > 100, "{}", lines.len());
    }

    fn sane(name: &str, rates: &Rates) {
        let input = rates.input.unwrap_or_else(|| panic!("{name} has no input"));
        assert!(rates.output.is_none_or(|output| output >= input), "{name}: output for less than input");
        assert!(rates.cached_read.is_none_or(|cached| cached <= input), "{name}: cached for more than input");
        assert!(rates.cache_write.is_none_or(|write| write >= input), "{name}: written for less than input");
        // 200 dollars is what the dearest model of all takes; a slip of the point would be beyond it, or below a tenth of a cent.
        let dearest = rates.output.unwrap_or(input);
        assert!(dearest <= 600_000_000_000, "{name}");
        assert!(name.starts_with("echo/") || input >= 10_000_000, "{name}");
    }

    /// A snapshot's name is found by the model's own line, and no glob reaches beyond its model.
    #[test]
    fn dated_snapshots_cost_what_their_model_does_and_others_do_not() {
        let book = PriceBook::new([]);
        let input = |kind: &str, model: &str| {
            let price = book.of_provider(kind, None).find(model)?;
            price.rates.input.map(usd::format)
        };
        let cases = [
            ("openai", "gpt-4o", "2.5"),
            ("openai", "gpt-4o-2024-08-06", "2.5"),
            ("openai", "gpt-4o-2024-05-13", "5"),
            ("openai", "gpt-4o-mini-2024-07-18", "0.15"),
            ("azure_openai", "gpt-4.1-nano", "0.1"),
            ("openai", "text-embedding-3-small", "0.02"),
            ("anthropic", "claude-3-5-haiku-20241022", "0.8"),
            ("anthropic", "claude-sonnet-4-20250514", "3"),
            ("anthropic", "claude-opus-4-1-20250805", "15"),
            ("gemini", "gemini-2.5-flash-lite", "0.1"),
            ("gemini", "gemini-2.0-flash-001", "0.1"),
        ];
        for (kind, model, dollars) in cases {
            assert_eq!(input(kind, model).as_deref(), Some(dollars), "{kind} {model}");
        }
        for (kind, model) in [
            ("openai", "gpt-4o-audio-preview"),
            ("openai", "gpt-4o-realtime-preview-2024-12-17"),
            ("openai", "gpt-image-1"),
            ("openai", "gpt-99"),
            ("anthropic", "claude-next"),
            ("gemini", "gemini-2.5-flash-image"),
        ] {
            assert_eq!(input(kind, model), None, "{kind} {model}");
        }
    }

    #[test]
    fn globs_stand_for_snapshots_alone() {
        for line in
            SHIPPED.iter().filter(|line| glob::is_pattern(&line.upstream_model) && line.kind != "echo")
        {
            let (before, behind) = line.upstream_model.split_once('*').unwrap();
            let number = before.trim_end_matches('-').rsplit('-').next().unwrap();
            let is_date = number.starts_with("20") || number == "00";
            assert!(behind.is_empty() && is_date, "{}", line.upstream_model);
        }
    }
}
