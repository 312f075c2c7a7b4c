//! The buckets of histograms, in microseconds: close enough together that P50, P95 and P99 of what is usual say something.

const MS: u64 = 1_000;
const S: u64 = 1_000_000;

/// The gateway's own work.
pub(super) const OVERHEAD: [u64; 15] =
    [10, 25, 50, 100, 250, 500, MS, 2_500, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, S];

/// Answers, from a cache's to a long reasoning's.
pub(super) const ANSWER: [u64; 18] = [
    5 * MS,
    10 * MS,
    25 * MS,
    50 * MS,
    100 * MS,
    250 * MS,
    500 * MS,
    S,
    2_500 * MS,
    5 * S,
    7_500 * MS,
    10 * S,
    20 * S,
    30 * S,
    60 * S,
    120 * S,
    300 * S,
    600 * S,
];

/// First tokens.
pub(super) const FIRST_TOKEN: [u64; 17] = [
    10 * MS,
    25 * MS,
    50 * MS,
    100 * MS,
    200 * MS,
    300 * MS,
    500 * MS,
    750 * MS,
    S,
    1_500 * MS,
    2 * S,
    3 * S,
    5 * S,
    10 * S,
    20 * S,
    60 * S,
    120 * S,
];

/// Between the pieces of a stream.
pub(super) const GAP: [u64; 15] = [
    MS,
    2 * MS,
    5 * MS,
    10 * MS,
    20 * MS,
    50 * MS,
    100 * MS,
    200 * MS,
    500 * MS,
    S,
    2 * S,
    5 * S,
    10 * S,
    30 * S,
    60 * S,
];

/// In the queue.
pub(super) const WAIT: [u64; 12] =
    [MS, 5 * MS, 10 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS, S, 2_500 * MS, 5 * S, 10 * S, 30 * S];

/// A database's transactions, and commands of Redis.
pub(super) const STORE: [u64; 15] = [
    100,
    250,
    500,
    MS,
    2_500,
    5 * MS,
    10 * MS,
    25 * MS,
    50 * MS,
    100 * MS,
    250 * MS,
    500 * MS,
    S,
    5 * S,
    30 * S,
];
