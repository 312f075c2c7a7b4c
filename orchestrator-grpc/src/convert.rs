//! Between the contract's messages and the domain's types: the only place that sees both side by side.

pub(crate) mod admin;
