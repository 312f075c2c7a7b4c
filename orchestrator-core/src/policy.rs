//! Rules as pure functions: time and randomness are arguments, so that tests reach every branch.

pub mod address;
pub mod glob;
pub mod queue;
pub mod retry;
pub mod weight;
