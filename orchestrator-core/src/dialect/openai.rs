//! What the dialects of OpenAI's family share: Chat Completions, legacy Completions and Embeddings have one envelope for errors,
//! one shape of usage, one framing of streams, and differ in what stands inside.

pub(crate) mod peek;

pub(crate) mod chunk;
pub(crate) mod citations;
pub(crate) mod content;
pub(crate) mod details;
pub(crate) mod inspect;
pub(crate) mod shape;
pub(crate) mod stream;
pub(crate) mod tap;
pub(crate) mod usage;
pub(super) mod wishes;
pub(crate) mod write;

pub(crate) mod error;
pub(crate) mod models;

/// Fields that Chat and Responses have alike, beside those that the hub has words for. Each takes the other's extras of these names.
pub(crate) const SHARED_FIELDS: [&str; 6] =
    ["metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "store", "verbosity"];
