//! The account: one record per request, never lost, never in a request's way.

pub mod record;

pub use record::RequestRecord;
