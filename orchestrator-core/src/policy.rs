//! Rules as pure functions: time and randomness are arguments, so that tests reach every branch.

pub mod address;
pub mod breaker;
pub mod budget;
pub mod estimate;
pub mod ewma;
pub mod gcra;
pub mod glob;
pub mod percentile;
pub mod price;
pub mod queue;
pub mod retry;
pub mod retry_budget;
pub mod turns;
pub mod weight;
pub mod window;
