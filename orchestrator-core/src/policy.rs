//! Decisions without time, chance or I/O: whatever they need of those is an argument.

pub mod address;
pub mod glob;
