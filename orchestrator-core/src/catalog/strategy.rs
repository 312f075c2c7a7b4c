//! How one of several equals is chosen.

/// A model's `strategy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// At random, by weight.
    #[default]
    Priority,
    /// In turn, by weight.
    RoundRobin,
    /// Where the first words come soonest.
    LeastLatency,
    /// Where the session, or a prompt that begins alike, was before.
    Affinity,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Priority, Self::RoundRobin, Self::LeastLatency, Self::Affinity];

    /// The public name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::RoundRobin => "round_robin",
            Self::LeastLatency => "least_latency",
            Self::Affinity => "affinity",
        }
    }

    /// The strategy of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == name)
    }
}
