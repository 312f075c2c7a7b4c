//! What can be wrong with a provider: each row of the table of faults that is about providers, spelled out.

use serde::{Deserialize, Serialize};

/// What a provider does for a while in place of answering as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// 500 with a JSON error.
    Status500,
    /// 502 with a load balancer's HTML.
    Status502,
    /// 503 with a JSON error.
    Status503,
    /// 529, Anthropic's word for overloaded.
    Status529,
    /// 429, `retry-after: 1`.
    WaitSeconds,
    /// 429, `retry-after` as a date.
    WaitDate,
    /// 429, `retry-after: -5`.
    WaitNegative,
    /// The connection is reset before the head.
    ResetBeforeHead,
    /// It is reset after the head.
    ResetAfterHead,
    /// It is reset in the middle of a chunk, before any content.
    ResetBeforeContent,
    /// It is reset in the middle of a chunk, after some content.
    ResetAfterContent,
    /// It is closed without the last chunk, before any content.
    FinBeforeContent,
    /// It is closed without the last chunk, after some content.
    FinAfterContent,
    /// `content-length` says more, or less, than is there.
    WrongLength,
    /// A chunk's size is no number.
    BadChunk,
    /// Nothing at all is said.
    SilentBeforeHead,
    /// Nothing is said after the head.
    SilentAfterHead,
    /// Nothing is said after some content.
    StallAfterContent,
    /// One byte at a time, each after a while.
    Drip,
    /// Half a JSON object, where a whole one is promised.
    Malformed,
    /// An event, or an answer, beyond the limit.
    TooLarge,
    /// A mebibyte of zeros in a few kilobytes of gzip, which nobody asked for.
    GzipBomb,
    /// An error's body under a 200.
    ErrorUnder200,
    /// A 200 whose stream begins with an error.
    ErrorBeforeContent,
    /// A stream that turns into an error after some content.
    ErrorAfterContent,
    /// A page of HTML under a 200.
    Html200,
    /// 404: it does not have the model just now.
    NotFound,
    /// Lines that end with a carriage return alone: odd, and right.
    CrOnly,
    /// A byte order mark before the stream: odd, and right.
    Bom,
    /// Code points and line ends split over reads: odd, and right.
    SplitCodePoints,
    /// 401 for one of its keys, from now on.
    Key401,
    /// 402 for one of its keys, from now on.
    Key402,
    /// 403 for one of its keys, from now on.
    Key403,
    /// 429 with `retry-after: 1000000000` for one of its keys, from now on.
    KeyWaitHuge,
    /// Down: every connection is reset.
    DownReset,
    /// Down: every connection is left without an answer.
    DownSilent,
}

/// The kinds that last as long as their stretch, and that every provider draws again and again.
pub(crate) const PASSING: [Kind; 30] = [
    Kind::Status500,
    Kind::Status502,
    Kind::Status503,
    Kind::Status529,
    Kind::WaitSeconds,
    Kind::WaitDate,
    Kind::WaitNegative,
    Kind::ResetBeforeHead,
    Kind::ResetAfterHead,
    Kind::ResetBeforeContent,
    Kind::ResetAfterContent,
    Kind::FinBeforeContent,
    Kind::FinAfterContent,
    Kind::WrongLength,
    Kind::BadChunk,
    Kind::SilentBeforeHead,
    Kind::SilentAfterHead,
    Kind::StallAfterContent,
    Kind::Drip,
    Kind::Malformed,
    Kind::TooLarge,
    Kind::GzipBomb,
    Kind::ErrorUnder200,
    Kind::ErrorBeforeContent,
    Kind::ErrorAfterContent,
    Kind::Html200,
    Kind::NotFound,
    Kind::CrOnly,
    Kind::Bom,
    Kind::SplitCodePoints,
];

/// The kinds that spoil one key for good, in the order of the keys that they spoil. The keys after these stay good.
pub(crate) const OF_KEYS: [Kind; 4] = [Kind::Key401, Kind::Key402, Kind::Key403, Kind::KeyWaitHuge];

/// How many keys each provider has. Each has a breaker of its own: with few of them a provider would be left alone through most of
/// its faults, and they would prove nothing.
pub(crate) const KEYS: usize = OF_KEYS.len() + 10;

/// Every kind.
pub(crate) fn all() -> impl Iterator<Item = Kind> {
    PASSING.into_iter().chain(OF_KEYS).chain([Kind::DownReset, Kind::DownSilent])
}

impl Kind {
    /// Whether a caller of the provider gets no answer from it. What is only odd, or only about one key of several, is none.
    pub(crate) fn is_fault(self) -> bool {
        !matches!(self, Self::CrOnly | Self::Bom | Self::SplitCodePoints) && !OF_KEYS.contains(&self)
    }

    /// The row of the table of faults that it belongs to. Of each some kind must be met in a run; which of them is up to the
    /// breakers, that keep requests from most of what is drawn.
    pub(crate) fn row(self) -> &'static str {
        match self {
            Self::Status500 | Self::Status502 | Self::Status503 | Self::Status529 => "5xx",
            Self::WaitSeconds | Self::WaitDate | Self::WaitNegative => "429",
            Self::KeyWaitHuge => "429 for a billion seconds",
            Self::ResetBeforeHead
            | Self::ResetAfterHead
            | Self::ResetBeforeContent
            | Self::ResetAfterContent => "reset",
            Self::FinBeforeContent | Self::FinAfterContent => "end without the last chunk",
            Self::WrongLength | Self::BadChunk => "wrong length",
            Self::SilentBeforeHead | Self::SilentAfterHead | Self::StallAfterContent | Self::Drip => {
                "silence"
            }
            Self::Malformed | Self::Html200 => "malformed",
            Self::TooLarge | Self::GzipBomb => "too large",
            Self::CrOnly | Self::Bom | Self::SplitCodePoints => "odd and right",
            Self::ErrorUnder200 | Self::ErrorBeforeContent | Self::ErrorAfterContent => "error under a 200",
            Self::NotFound => "404",
            Self::Key401 | Self::Key402 | Self::Key403 => "refused key",
            Self::DownReset | Self::DownSilent => "down",
        }
    }
}
