//! The top level of a JSON object, as slices.
