//! The domain of LLM Orchestrator: what the gateway does, without a word about gRPC or REST servers.

pub mod orchestrator;

pub mod admin;
pub mod refresher;

pub mod call;
pub mod chat;
pub mod embedding;
pub mod error;

pub mod catalog;
pub mod dialect;
pub mod ledger;
pub mod policy;
pub mod store;
