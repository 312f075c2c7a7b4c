//! Edits of raw JSON.
