//! The immutable view of the catalog that a request takes once.
