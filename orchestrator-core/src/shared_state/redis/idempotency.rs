//! Answers under idempotency keys, as cores share them: who makes which, what there is of it so far, and what is kept.
//!
//! An answer has two keys in one place of a cluster (the tag is the id of the caller's key): a hash with its state, and a list of
//! chunks that only grows. Whoever makes it holds it under a lease that it renews; when its core dies both are gone with the lease, and
//! the next who asks makes the answer anew. What is said twice because an answer of Redis was lost has no second effect, for every
//! stretch says where in the list it belongs; and where one of the two keys was evicted, both count as gone.

use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::Script;

use super::{Away, Redis};

/// For how long a core is believed to make an answer without saying so again.
const LEASE: Duration = Duration::from_secs(6);
/// For how long it can be read why there is no answer.
const WHY: Duration = Duration::from_secs(5);
/// The most chunks that are read at once.
const STRETCH: usize = 16;

/// The key is free, or whose it is. Hashes of another version are left alone.
const CLAIM: &str = "
    local held = redis.call('HMGET', KEYS[1], 'version', 'fingerprint', 'state', 'count')
    if held[1] then
        if held[1] ~= '1' then return 'foreign' end
        local whole = redis.call('LLEN', KEYS[2]) == tonumber(held[4])
        if held[3] == 'large' or (whole and held[3] ~= 'over') then
            if held[2] ~= ARGV[1] then return 'reused' end
            return held[3]
        end
    end
    redis.call('DEL', KEYS[1], KEYS[2])
    redis.call('HSET', KEYS[1], 'version', '1', 'fingerprint', ARGV[1], 'owner', ARGV[2], 'state', 'running', 'count', '0', 'reads', '0')
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    return 'mine'";

/// A stretch of an answer by its owner: whether it is still its own, and how often others have read it.
const SAY: &str = "
    local held = redis.call('HMGET', KEYS[1], 'owner', 'state', 'count', 'reads')
    if held[1] ~= ARGV[1] then return {0, 0} end
    if held[2] ~= 'running' and held[2] ~= 'large' then return {held[2] == ARGV[2] and 1 or 0, 0} end
    local said = #ARGV - 6
    if ARGV[2] == 'large' then
        redis.call('DEL', KEYS[2])
        redis.call('HSET', KEYS[1], 'count', '0')
    elseif said > 0 then
        local length = redis.call('LLEN', KEYS[2])
        local from = tonumber(ARGV[4])
        if length ~= tonumber(held[3]) then return {0, 0} end
        if length == from then
            for i = 7, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
            redis.call('HSET', KEYS[1], 'count', from + said)
        elseif length ~= from + said then
            return {0, 0}
        end
    end
    redis.call('HSET', KEYS[1], 'state', ARGV[2])
    if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'opening', ARGV[5]) end
    if ARGV[6] ~= '' then redis.call('HSET', KEYS[1], 'ending', ARGV[6]) end
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    redis.call('PEXPIRE', KEYS[2], ARGV[3])
    return {1, tonumber(held[4])}";

/// What there is of an answer from a chunk on.
const READ: &str = "
    local held = redis.call('HMGET', KEYS[1], 'owner', 'state', 'count', 'opening', 'ending')
    if not held[1] or redis.call('LLEN', KEYS[2]) ~= tonumber(held[3]) then return {'', '', 0, '', '', {}} end
    redis.call('HINCRBY', KEYS[1], 'reads', 1)
    local from = tonumber(ARGV[1])
    local chunks = redis.call('LRANGE', KEYS[2], from, from + ARGV[2] - 1)
    return {held[1], held[2], tonumber(held[3]), held[4] or '', held[5] or '', chunks}";

struct Scripts {
    claim: Script,
    say: Script,
    read: Script,
}

fn scripts() -> &'static Scripts {
    static SCRIPTS: OnceLock<Scripts> = OnceLock::new();
    SCRIPTS.get_or_init(|| Scripts {
        claim: Script::new(CLAIM),
        say: Script::new(SAY),
        read: Script::new(READ),
    })
}

/// See the module.
pub struct Answers {
    redis: Redis,
    /// No other core has the same.
    core: String,
    claims: AtomicU64,
    retention: Duration,
    lease: Duration,
}

/// Where an answer is, for one who makes it or reads it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    state: String,
    chunks: String,
    owner: String,
}

/// Who holds a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Whoever asks, from now on.
    Mine,
    /// Another core makes the answer.
    Running,
    /// The answer is kept.
    Kept,
    /// It stands for another request.
    Reused,
}

/// How far an answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It is made.
    Running,
    /// It is made, and too large to be shared.
    Large,
    /// It is whole, and kept.
    Kept,
    /// It has ended so, and its key is free.
    Over(String),
}

/// What its owner says of an answer.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    /// The place of the first chunk.
    pub(crate) from: usize,
    /// How it begins, once that is known.
    pub(crate) opening: Option<&'a str>,
    pub(crate) chunks: &'a [Vec<u8>],
    pub(crate) stage: Stage,
}

/// What has become of an answer.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// Of whose claim it is.
    pub(crate) owner: String,
    pub(crate) stage: Stage,
    /// How many chunks there are.
    pub(crate) count: usize,
    /// How it begins, where that is known.
    pub(crate) opening: Option<String>,
    pub(crate) chunks: Vec<Vec<u8>>,
}

impl Answers {
    /// For the core of that name, which no other has. Answers are kept for `retention`; if that is nothing, not at all.
    pub fn new(redis: Redis, core: String, retention: Duration) -> Self {
        Self { redis, core, claims: AtomicU64::new(0), retention, lease: LEASE }
    }

    /// With leases of that length.
    #[cfg(test)]
    pub(crate) fn leasing(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// After how long a lease is renewed.
    pub(crate) fn renewal(&self) -> Duration {
        self.lease / 4
    }

    /// For how long an answer may lie without its core.
    pub(crate) fn lease(&self) -> Duration {
        self.lease
    }

    /// Whether answers are kept.
    pub(crate) fn keeps(&self) -> bool {
        !self.retention.is_zero()
    }

    /// The place of a key, for a claim of its own.
    pub(crate) fn place(&self, api_key_id: &str, key: &str) -> Place {
        let number = self.claims.fetch_add(1, Ordering::Relaxed);
        Place {
            state: self.redis.key(api_key_id, &format!("idempotency:{key}")),
            chunks: self.redis.key(api_key_id, &format!("idempotency-chunks:{key}")),
            owner: format!("{}:{number}", self.core),
        }
    }

    /// Claims a key, if it is free. `None`: Redis is away, or holds what this version does not understand.
    pub(crate) async fn claim(&self, place: &Place, fingerprint: &str) -> Option<Held> {
        let script = &scripts().claim;
        let lease = millis(self.lease);
        let script = &mut script.key(&place.state);
        let asked = script.key(&place.chunks).arg(fingerprint).arg(&place.owner).arg(lease);
        match &*self.redis.script::<String>(asked).await.ok()? {
            "mine" => Some(Held::Mine),
            "running" | "large" => Some(Held::Running),
            "kept" => Some(Held::Kept),
            "reused" => Some(Held::Reused),
            _ => None,
        }
    }

    /// Says the next of an answer, or only that it is still made. Gives how often others have read of it; `None`: it is its owner's no
    /// more.
    ///
    /// Errors: Redis is away; the same may be said again.
    pub(crate) async fn say(&self, place: &Place, said: &Said<'_>) -> Result<Option<u64>, Away> {
        let (word, ending, expiry) = match &said.stage {
            Stage::Running => ("running", "", self.lease),
            Stage::Large => ("large", "", self.lease),
            Stage::Kept => ("kept", "", self.retention),
            Stage::Over(ending) => ("over", &**ending, WHY),
        };
        let mut script = scripts().say.key(&place.state);
        script.key(&place.chunks).arg(&place.owner).arg(word).arg(millis(expiry)).arg(said.from);
        script.arg(said.opening.unwrap_or_default()).arg(ending);
        for chunk in said.chunks {
            script.arg(&**chunk);
        }
        let (mine, reads): (u8, u64) = self.redis.script(&script).await?;
        Ok((mine == 1).then_some(reads))
    }

    /// Reads an answer from a chunk on, if there is one.
    pub(crate) async fn read(&self, place: &Place, from: usize) -> Result<Option<Stretch>, Away> {
        type Answer = (String, String, usize, String, String, Vec<Vec<u8>>);
        let mut script = scripts().read.key(&place.state);
        script.key(&place.chunks).arg(from).arg(STRETCH);
        let answer: Answer = self.redis.script(&script).await?;
        let (owner, word, count, opening, ending, chunks) = answer;
        let stage = match &*word {
            "running" => Stage::Running,
            "large" => Stage::Large,
            "kept" => Stage::Kept,
            "over" => Stage::Over(ending),
            _ => return Ok(None),
        };
        let opening = Some(opening).filter(|opening| !opening.is_empty());
        Ok(Some(Stretch { owner, stage, count, opening, chunks }))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers")
            .field("redis", &self.redis)
            .field("core", &self.core)
            .finish_non_exhaustive()
    }
}
