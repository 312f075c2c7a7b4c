//! The load generator: connections that ask, and check every answer.
//!
//! * [`open`]: requests at times that were fixed beforehand. What is measured is the time from when a request was *due*, so a
//!   server that stalls is charged for everybody whom it kept waiting.
//! * [`closed`]: a number of connections that ask again as soon as they were answered: for the cost of a request when there is
//!   enough to do. Its times say nothing about latency.
//! * [`streams`]: many streams side by side, with the time that each chunk was under way.

pub(crate) mod client;
pub(crate) mod closed;
pub(crate) mod open;
pub(crate) mod streams;
pub(crate) mod times;
