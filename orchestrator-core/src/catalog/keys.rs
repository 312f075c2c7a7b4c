//! The table of callers' key digests: a snapshot of its own.
