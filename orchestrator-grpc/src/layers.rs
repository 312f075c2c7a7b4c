//! What every call passes before its handler, one concern a file, in the order in which [`crate::routes`] stacks them.
//!
//! Each puts what it has found into the request's extensions; [`crate::convert::call`] collects it from there.

pub mod trace;

pub mod panic;

pub mod key;

pub mod deadline;
