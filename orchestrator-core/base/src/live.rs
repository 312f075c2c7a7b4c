//! A setting that may change while the program runs: whoever reads it gets the present value, for the price of a few nanoseconds and
//! without a lock.

use std::{fmt, sync::Arc};

use arc_swap::{ArcSwap, Guard};

/// See the module. Clones share the value.
pub struct Live<T>(Arc<ArcSwap<T>>);

impl<T> Live<T> {
    /// The present value.
    pub fn load(&self) -> Guard<Arc<T>> {
        self.0.load()
    }

    /// The present value, to be held for longer.
    pub fn load_full(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Replaces it, for all clones.
    pub fn set(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

impl<T: Copy> Live<T> {
    /// A copy of the present value.
    pub fn get(&self) -> T {
        **self.load()
    }
}

impl<T> From<T> for Live<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }
}

impl<T: Default> Default for Live<T> {
    fn default() -> Self {
        T::default().into()
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load().fmt(f)
    }
}
