//! Prices. In the contract dollars as decimal digits, inside nano-dollars: nothing in between is a binary fraction.

use orchestrator_core::{
    admin::PriceChange,
    error::{Error, Result},
    policy::price::{LongPrompt, Rate, Rates, book::Listing, usd},
};
use orchestrator_proto::v1;

use super::{read_only, unknown};

/// The fields that can be changed.
pub(crate) const MUTABLE: [&str; 4] = ["input", "cached_read", "cache_write", "output"];

/// The change that `paths` of a message make. A field that is named and unset is not known from then on.
pub(crate) fn change(message: &v1::Price, paths: &[String]) -> Result<PriceChange> {
    let mut change = PriceChange::default();
    for path in paths {
        match path.as_str() {
            "input" => change.input = Some(rate(path, message.input.as_deref())?),
            "cached_read" => change.cached_read = Some(rate(path, message.cached_read.as_deref())?),
            "cache_write" => change.cache_write = Some(rate(path, message.cache_write.as_deref())?),
            "output" => change.output = Some(rate(path, message.output.as_deref())?),
            "kind" | "upstream_model" | "long_prompt" | "source" | "version" => return Err(read_only(path)),
            other => return Err(unknown(other)),
        }
    }
    Ok(change)
}

fn rate(field: &str, dollars: Option<&str>) -> Result<Rate> {
    let Some(dollars) = dollars else { return Ok(None) };
    usd::parse(dollars).map(Some).ok_or_else(|| {
        let message = format!(
            "{field} must be dollars per million tokens as text: digits, with at most nine behind a point, as in \"2.5\""
        );
        Error::invalid(field.to_owned(), message)
    })
}

/// Into the contract.
pub(crate) fn message(line: Listing) -> v1::Price {
    let Rates { input, cached_read, cache_write, output } = line.price.rates;
    v1::Price {
        kind: line.kind,
        upstream_model: line.upstream_model,
        input: input.map(usd::format),
        cached_read: cached_read.map(usd::format),
        cache_write: cache_write.map(usd::format),
        output: output.map(usd::format),
        long_prompt: line.price.long.map(long_prompt),
        source: line.source.name().to_owned(),
        version: line.price.version.to_string(),
    }
}

fn long_prompt(long: LongPrompt) -> v1::LongPromptPrice {
    let Rates { input, cached_read, cache_write, output } = long.rates;
    v1::LongPromptPrice {
        above: long.above,
        input: input.map(usd::format),
        cached_read: cached_read.map(usd::format),
        cache_write: cache_write.map(usd::format),
        output: output.map(usd::format),
    }
}
