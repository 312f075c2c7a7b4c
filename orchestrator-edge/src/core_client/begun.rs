//! Whether a core may have begun to work on a call that got no answer. One that provably was not begun may be made again, on
//! another core; of any other nobody knows, and its caller is told.

use std::{error::Error, fmt, sync::Arc};

use tonic::Status;

/// So often a call is made again that no core has begun.
const AGAIN: usize = 3;

/// Marks a [`Status`].
#[derive(Debug)]
struct NotBegun;

impl fmt::Display for NotBegun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the core refused it before it began")
    }
}

impl Error for NotBegun {}

/// What a lost call ends with.
pub(super) fn lost(begun: bool) -> Status {
    let mut status = Status::unavailable("the connection to the core broke");
    if !begun {
        status.set_source(Arc::new(NotBegun));
    }
    status
}

/// Whether the core has said that it does nothing about it: it reset the stream as refused (RFC 9113, section 8.7), or its GOAWAY
/// names an earlier stream as its last (section 6.8), which HTTP/2's library tells to those streams alone that come later.
pub(super) fn refused_unbegun(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(said) = error.downcast_ref::<h2::Error>() {
            let refused = said.is_reset() && said.reason() == Some(h2::Reason::REFUSED_STREAM);
            return said.is_remote() && (refused || said.is_go_away());
        }
        cause = error.source();
    }
    false
}

/// Whether a call that has failed is to be made again: as long as no core has begun it, for so often.
#[derive(Debug)]
pub(crate) struct Again {
    left: usize,
}

impl Default for Again {
    fn default() -> Self {
        Self { left: AGAIN }
    }
}

impl Again {
    /// Asked once for each failure.
    pub(crate) fn may(&mut self, status: &Status) -> bool {
        let unbegun = status.source().is_some_and(<dyn Error>::is::<NotBegun>);
        let may = unbegun && self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}
