//! What the conversions of Admin's nouns have in common: update masks, moments and time-outs.

pub(crate) mod admin_keys;
pub(crate) mod alerts;
pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod health;
pub(crate) mod logs;
pub(crate) mod model_providers;
pub(crate) mod models;
pub(crate) mod prices;
pub(crate) mod provider_keys;
pub(crate) mod providers;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod teams;
pub(crate) mod transfer;

pub(crate) mod limits;
#[cfg(test)]
mod tests;

use orchestrator_base::clock::UnixMicros;
use orchestrator_core::{
    admin::Page,
    catalog,
    error::{Error, Result},
};
use orchestrator_proto::v1;
use prost_types::{FieldMask, Timestamp};

/// The fields that an update changes: what its mask names, or all of `mutable` for `*`.
///
/// Errors: no mask, or an empty one. Whether each path is a field is for the noun's own `match` to say.
pub(crate) fn paths(mask: Option<FieldMask>, mutable: &[&str]) -> Result<Vec<String>> {
    let paths = mask.unwrap_or_default().paths;
    if paths.is_empty() {
        return Err(bad_mask("update_mask is required: it names the fields to change, or is \"*\""));
    }
    if paths.iter().any(|path| path == "*") {
        return Ok(all(mutable));
    }
    Ok(paths)
}

/// The fields that a create sets: all that can be set.
pub(crate) fn all(mutable: &[&str]) -> Vec<String> {
    mutable.iter().map(ToString::to_string).collect()
}

/// For a path of an update mask that is a field, but not one to change.
pub(crate) fn read_only(path: &str) -> Error {
    bad_mask(&format!("update_mask names {path}, which cannot be changed"))
}

/// For a path of an update mask that is no field.
pub(crate) fn unknown(path: &str) -> Error {
    bad_mask(&format!("update_mask names {path:?}, which is not a field; a field is changed as a whole"))
}

fn bad_mask(message: &str) -> Error {
    Error::invalid("update_mask".to_owned(), message)
}

/// The resource of a request that must have one.
pub(crate) fn required<T>(field: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::invalid(field.to_owned(), format!("{field} is required")))
}

/// The page that a list's request asks for.
pub(crate) fn page(size: u32, token: String) -> Page {
    Page { size, token }
}

/// An empty filter means all.
pub(crate) fn filter(value: &str) -> Option<&str> {
    (!value.is_empty()).then_some(value)
}

/// Into the contract.
#[expect(clippy::unnecessary_wraps, reason = "message fields are optional in the generated code")]
pub(crate) fn timestamp(moment: UnixMicros) -> Option<Timestamp> {
    let nanos = moment.0.rem_euclid(1_000_000) * 1_000;
    Some(Timestamp { seconds: moment.as_seconds(), nanos: nanos as i32 })
}

/// Out of the contract; `field` is named where the value is no moment.
pub(crate) fn moment(field: &str, timestamp: Timestamp) -> Result<UnixMicros> {
    let nanos = (0..1_000_000_000).contains(&timestamp.nanos).then_some(i64::from(timestamp.nanos));
    let seconds = timestamp.seconds.checked_mul(1_000_000);
    match (seconds, nanos) {
        (Some(micros), Some(nanos)) => Ok(UnixMicros(micros.saturating_add(nanos / 1_000))),
        _ => Err(Error::invalid(field.to_owned(), format!("{field} is not a valid time"))),
    }
}

/// Out of the contract; an absent message leaves everything open.
pub(crate) fn timeouts(message: Option<v1::Timeouts>) -> catalog::Timeouts {
    let v1::Timeouts { connect_ms, first_token_ms, idle_ms, total_ms } = message.unwrap_or_default();
    catalog::Timeouts { connect_ms, first_token_ms, idle_ms, total_ms }
}

/// Into the contract; absent when everything is open.
pub(crate) fn timeouts_message(timeouts: catalog::Timeouts) -> Option<v1::Timeouts> {
    let catalog::Timeouts { connect_ms, first_token_ms, idle_ms, total_ms } = timeouts;
    let message = v1::Timeouts { connect_ms, first_token_ms, idle_ms, total_ms };
    (timeouts != catalog::Timeouts::default()).then_some(message)
}
