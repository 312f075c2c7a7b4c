//! Names of models and providers as numbers, so that a request finds its counters without looking at text.
//!
//! The catalog asks for them when it is built. They are the same in all of a process, and none is ever forgotten: they come from
//! what operators configure, and beyond a bound each further name is `other`.

use std::{
    collections::HashMap,
    hash::Hasher,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

/// The most names of a process.
const MOST: usize = 100_000;

/// The value of a label: a model or a provider of the catalog. The default is [`Name::OTHER`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Name(u32);

/// Hashes names. Their numbers are the catalog's, not a caller's to choose, so nobody can make them clash.
#[derive(Default)]
pub(super) struct NameHasher(u64);

impl Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        // Odd, and half of its bits set: Knuth's multiplicative hashing, with the golden ratio of 64 bits.
        self.0 = (self.0.rotate_left(5) ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

struct Names {
    numbers: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

static NAMES: LazyLock<Mutex<Names>> = LazyLock::new(|| {
    let mut names = Names { numbers: HashMap::new(), texts: Vec::new() };
    names.add("other");
    names.add("none");
    Mutex::new(names)
});

impl Names {
    fn add(&mut self, text: &str) -> u32 {
        let text: Arc<str> = text.into();
        let number = self.texts.len() as u32;
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        number
    }
}

impl Name {
    /// Not one of the catalog's.
    pub const OTHER: Self = Self(0);
    /// Nobody.
    pub const NONE: Self = Self(1);

    /// The name with this text.
    pub fn of(text: &str) -> Self {
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        match names.numbers.get(text) {
            Some(number) => Self(*number),
            None if names.texts.len() < MOST => Self(names.add(text)),
            None => Self::OTHER,
        }
    }

    /// Its text.
    pub fn text(self) -> Arc<str> {
        let names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        names.texts.get(self.0 as usize).map_or_else(|| "other".into(), Arc::clone)
    }
}
