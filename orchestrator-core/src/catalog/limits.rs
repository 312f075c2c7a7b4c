//! What a key, a team or a model may use.

/// Limits; `None`: there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests a minute, 1 to 1000000.
    pub requests_per_minute: Option<u32>,
    /// Tokens a minute, read and written, 1 to 1000000000000.
    pub tokens_per_minute: Option<u64>,
    /// Requests at once, 1 to 1000000. Models have none.
    pub max_concurrency: Option<u32>,
    /// Money. Models have none.
    pub budget: Option<Budget>,
}

impl Limits {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// So much money for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// In nano-dollars; at most 9 billion dollars, which is what a database's whole number holds.
    pub nanos: u64,
    /// For how long.
    pub period: Period,
}

/// How long a budget lasts. Days and months are those of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// A day.
    Day,
    /// A month of the calendar.
    Month,
    /// For good.
    Total,
}

impl Period {
    /// Its name in the contract and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Day, Self::Month, Self::Total].into_iter().find(|period| period.name() == name)
    }
}
