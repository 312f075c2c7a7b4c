//! Between the contract and the domain: the only place that sees protobuf and domain types side by side.
//!
//! Into the domain everything is checked, and a refusal names the field as the contract does (`messages[2].role`); out of the
//! domain nothing can fail. [`call`] puts a whole request together, the others convert what it asks and what is answered.

pub mod call;

pub mod chat_request;
pub mod message;

pub mod chat_event;
pub mod chat_reply;

pub mod embed;

pub mod models;

pub mod recorded;
pub mod served;

pub mod native;

pub mod field;

pub mod edges;

pub(crate) mod admin;
