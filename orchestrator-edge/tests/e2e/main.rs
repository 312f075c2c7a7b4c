//! End to end: a real client, the edge, the core and a scripted provider, over sockets. Every suite runs over both channels:
//! the core embedded in the edge, and the edge before a core behind the network.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by ending")]

mod bad_translation;
mod client;
mod gateway;
mod stage;

mod account;
mod accounts;
mod admin;
mod admission;
mod anthropic;
mod api_docs;
mod attempts;
mod bad_input;
mod canary;
mod count;
mod crowd;
mod details;
mod failover;
mod first_answer;
mod gemini;
mod health;
mod idempotency;
mod keys;
mod leaving;
mod limits;
mod logs;
mod metrics;
mod model_lists;
mod openapi;
mod outage;
mod prices;
mod process;
mod recordings;
mod responses;
mod shared;
mod streams;
mod tls;
mod traces;
mod typed;
mod waiting;
mod wishes;
