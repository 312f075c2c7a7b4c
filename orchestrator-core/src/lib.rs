//! The domain of LLM Orchestrator: what the gateway does, without a word about gRPC or REST servers.
//!
//! Read it from the front door inwards:
//!
//! * [`orchestrator`] is the life of a request, step by step;
//! * [`call`], [`chat`], [`embedding`] and [`error`] are the words that every other module speaks;
//! * [`admission`] says who may, [`routing`] in which order providers are asked, [`attempt`] asks them, [`ledger`] keeps account,
//!   [`recording`] lets requests of one key share an answer, [`origins`] remembers who stores what;
//! * [`dialect`] knows the wire formats and [`provider`] the vendors, [`policy`] the rules in between;
//! * [`catalog`] is what operators configure through [`admin`], [`store`] where it lasts, [`refresher`] what keeps every core's
//!   view of it fresh, and [`model_lists`] what learns which models its providers have;
//!   [`audit`] is who changed what;
//! * [`metrics`] is what operators watch: every instrument, named once;
//! * [`health`] is what is known of a provider, [`health_board`] where all threads draw it, [`prober`] who asks where nobody else does.
//!
//! What always holds: the request path reads no database (it is handed a [`catalog::snapshot`] and writes a
//! [`ledger::journal`]); a caller's fault never counts against a provider; every answered request has exactly one record; and
//! everything that grows has a bound. Imports run downwards; `testkit`'s `tidy` test holds that.

pub mod admin;
pub mod alerts;
pub mod model_lists;
pub mod orchestrator;
pub mod prober;
pub mod refresher;

pub mod admission;
pub mod attempt;
pub mod ledger;
pub mod origins;
pub mod recording;
pub mod routing;

pub mod dialect;
pub mod provider;
pub mod shared_state;
pub mod store;

pub mod audit;
pub mod catalog;
pub mod condition;
pub mod policy;

pub mod call;
pub mod chat;
pub mod embedding;
pub mod error;
pub mod health;
pub mod health_board;
pub mod metrics;
mod registry;
