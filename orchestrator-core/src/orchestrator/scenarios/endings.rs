//! The commit point and the ends of streams, for every pair of dialects.
