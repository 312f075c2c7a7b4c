//! The models that providers say they serve, as their lists were last read.
//!
//! They are no part of the catalog that operators keep: a name that the catalog does not know may still be asked for because a
//! provider lists it. The catalog's own names always come first (see [`super::snapshot::Catalog::resolve`]).

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// How many models of one provider are kept. The largest public lists have a few hundred.
pub const MAX_MODELS: usize = 10_000;
/// The longest name that is kept, in bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// The models of one provider, sorted. Bounded: at most [`MAX_MODELS`] names of at most [`MAX_NAME_BYTES`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelList(Arc<BTreeSet<String>>);

impl ModelList {
    /// The list of these names. What nobody could ask for is left out: empty names, too long ones, control characters; and so
    /// is what comes after the first [`MAX_MODELS`].
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut kept = BTreeSet::new();
        for name in names {
            if kept.len() == MAX_MODELS {
                break;
            }
            if !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control) {
                kept.insert(name);
            }
        }
        Self(Arc::new(kept))
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The lists of all providers that have given one, by the provider's id.
#[derive(Clone, Debug, Default)]
pub struct ModelLists {
    by_provider: HashMap<String, ModelList>,
}

impl ModelLists {
    /// The list of that provider.
    pub fn get(&self, provider_id: &str) -> Option<&ModelList> {
        self.by_provider.get(provider_id)
    }

    /// Keeps a provider's list in place of the one before. Says whether they differ.
    pub fn set(&mut self, provider_id: &str, list: ModelList) -> bool {
        if self.by_provider.get(provider_id) == Some(&list) {
            return false;
        }
        self.by_provider.insert(provider_id.to_owned(), list);
        true
    }

    /// Forgets a provider's list. Says whether there was one.
    pub fn remove(&mut self, provider_id: &str) -> bool {
        self.by_provider.remove(provider_id).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_sorted_and_holds_each_name_once() {
        let list = ModelList::new(["b", "a", "b"].map(str::to_owned));
        assert_eq!(list.names().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_list_is_bounded_and_has_no_name_that_nobody_could_ask_for() {
        let names =
            [String::new(), "x".repeat(MAX_NAME_BYTES), "y".repeat(MAX_NAME_BYTES + 1), "a\nb".into()];
        assert_eq!(ModelList::new(names).names().collect::<Vec<_>>(), ["x".repeat(MAX_NAME_BYTES)]);
        let many = ModelList::new((0..3 * MAX_MODELS).map(|number| number.to_string()));
        assert_eq!(many.len(), MAX_MODELS);
    }

    #[test]
    fn a_list_that_says_the_same_changes_nothing() {
        let list = || ModelList::new(["a".to_owned()]);
        let mut lists = ModelLists::default();
        assert!(lists.set("p1", list()));
        assert!(!lists.set("p1", list()));
        assert!(lists.set("p1", ModelList::default()));
        assert!(lists.remove("p1") && !lists.remove("p1"));
    }
}
