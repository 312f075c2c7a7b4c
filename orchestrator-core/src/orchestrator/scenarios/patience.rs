//! How long is waited for what, and what the caller sees meanwhile.
