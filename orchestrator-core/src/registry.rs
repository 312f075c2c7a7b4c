//! What is kept of each provider, by its id: looked at by every thread for every request, added to hardly ever.
//!
//! To find an entry writes to no memory that threads share, as a read-write lock would at each turn: the map is replaced whole
//! when a provider is new or gone. Each entry has a lock of its own, held for a few additions and never over an await.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Registry<T> {
    entries: ArcSwap<Entries<T>>,
}

type Entries<T> = HashMap<Arc<str>, Arc<Entry<T>>>;

/// What is kept of one provider.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    id: Arc<str>,
    kept: Mutex<T>,
}

impl<T> Entry<T> {
    /// Whose it is.
    pub(crate) fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// A short turn of its lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        lock(&self.kept)
    }
}

/// For what is never left half done: a panic in between leaves numbers that are still numbers.
pub(crate) fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Default> Registry<T> {
    /// Looks at an entry, if there is one.
    pub(crate) fn with<R>(&self, id: &str, look: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.entries.load().get(id).map(|entry| look(&mut entry.lock()))
    }

    /// Looks at an entry, which is made if there is none.
    pub(crate) fn with_or_new<R>(&self, id: &Arc<str>, look: impl FnOnce(&mut T) -> R) -> R {
        if let Some(entry) = self.entries.load().get(id) {
            return look(&mut entry.lock());
        }
        look(&mut self.insert(id).lock())
    }

    /// An entry to keep, which is made if there is none.
    pub(crate) fn get_or_new(&self, id: &Arc<str>) -> Arc<Entry<T>> {
        let known = self.entries.load().get(id).map(Arc::clone);
        known.unwrap_or_else(|| self.insert(id))
    }

    /// Looks at every entry, in no order.
    pub(crate) fn for_each(&self, mut look: impl FnMut(&str, &mut T)) {
        for (id, entry) in self.entries.load().iter() {
            look(id, &mut entry.lock());
        }
    }

    /// Forgets the others.
    pub(crate) fn keep_only(&self, is_known: impl Fn(&str) -> bool) {
        if self.entries.load().keys().all(|id| is_known(id)) {
            return;
        }
        self.entries.rcu(|entries| {
            let mut fewer = Entries::clone(entries);
            fewer.retain(|id, _| is_known(id));
            fewer
        });
    }

    /// Of two that insert at once, both get what the first has made.
    fn insert(&self, id: &Arc<str>) -> Arc<Entry<T>> {
        let fresh = Arc::new(Entry { id: Arc::clone(id), kept: Mutex::default() });
        let mut entry = Arc::clone(&fresh);
        self.entries.rcu(|entries| {
            let mut more = Entries::clone(entries);
            entry = Arc::clone(more.entry(Arc::clone(id)).or_insert_with(|| Arc::clone(&fresh)));
            more
        });
        entry
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn threads_that_meet_a_provider_at_once_share_one_entry() {
        let registry: Registry<u32> = Registry::default();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..50 {
                        registry.with_or_new(&Arc::from(format!("p{number}")), |count| *count += 1);
                    }
                });
            }
        });
        let mut counts = Vec::new();
        registry.for_each(|_, count| counts.push(*count));
        assert_eq!(counts, [4; 50]);
    }

    #[test]
    fn what_is_forgotten_begins_anew() {
        let registry: Registry<u32> = Registry::default();
        let (kept, gone) = (Arc::from("kept"), Arc::from("gone"));
        for id in [&kept, &gone] {
            registry.with_or_new(id, |count| *count += 1);
        }
        registry.keep_only(|id| id == "kept");
        assert_eq!(
            (registry.with("kept", |count| *count), registry.with("gone", |count| *count)),
            (Some(1), None)
        );
        assert_eq!(*registry.get_or_new(&gone).lock(), 0);
    }
}
