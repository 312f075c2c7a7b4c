//! Providers that want to be left alone.
