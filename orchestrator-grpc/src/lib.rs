//! The core server: `Orchestrate` and `Admin` over gRPC. Thin over the core: decode, call, encode, map the error.

pub mod admin;

mod convert;
pub mod status;
