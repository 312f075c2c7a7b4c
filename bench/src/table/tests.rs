//! A table from a saved raw result.
