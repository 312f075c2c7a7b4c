//! Panics are lines of the log like all others: the standard library's own report would wait for whoever reads standard error, and
//! would show what the message was made of.

use std::panic::{self, PanicHookInfo};

/// In place of a message that was made of values: of a caller's text, perhaps.
const MADE: &str = "(its message was made of values, and is not shown)";

/// From now on a panic is an event of level error, with its place.
pub(super) fn install() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(panic.place = place, panic.message = message(info), "a thread panicked");
    }));
}

/// A message that stands in the program as it is holds nothing of anybody's.
fn message(info: &PanicHookInfo<'_>) -> &'static str {
    info.payload().downcast_ref::<&'static str>().copied().unwrap_or(MADE)
}
