//! Who holds which idempotency key: the first that comes with it makes the answer, all others are told the same.
//!
//! A key is claimed for as long as its answer is made, and afterwards for as long as the answer is kept: only answers that were
//! whole are. What failed, broke or was too large frees its key, and whoever comes next with it is a first caller again.

use std::{
    collections::{HashMap, VecDeque, hash_map},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize},
    time::Duration,
};

use bytes::Bytes;
use orchestrator_base::config::Idempotency;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::{
    Ending, Follow, Opening, Recording, Room, Who,
    elsewhere::{self, Lease},
};
use crate::{
    call::Served,
    error::Error,
    shared_state::redis::idempotency::{Answers, Held, Place},
};

/// A digest of what was asked.
pub type Fingerprint = [u8; 32];

/// The digest of these parts, none of which can run into the next.
pub fn fingerprint(parts: &[&[u8]]) -> Fingerprint {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// A caller's key and its idempotency key: nobody else's is the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// The id of the caller's key.
    pub api_key_id: Arc<str>,
    /// What the caller calls its request.
    pub key: Arc<str>,
}

/// A request under an idempotency key.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Whose, and which.
    pub name: Name,
    /// Of what is asked.
    pub fingerprint: Fingerprint,
}

/// How a caller gets an answer that was made for another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// While it is made.
    Joined,
    /// After its end.
    Replayed,
}

impl Again {
    /// Its word in headers and in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Replayed => "replayed",
        }
    }
}

/// What comes of a claim.
#[derive(Debug)]
pub enum Claim {
    /// The answer is to be made, with this.
    First(Recorder, Follow),
    /// It is made already, or was.
    Again(Again, Follow),
    /// The key was used for something else.
    Reused,
}

/// All keys that are claimed.
pub struct Claims {
    table: Mutex<Table>,
    room: Arc<Room>,
    max_bytes: usize,
    max_entries: usize,
    retention: Duration,
    /// What other cores hold.
    elsewhere: Option<Arc<Answers>>,
}

#[derive(Default)]
struct Table {
    slots: HashMap<Name, Slot>,
    /// Those whose answer is kept, by when that ends, the earliest first. May name some that are gone.
    kept: VecDeque<(Instant, Name, u64)>,
    next_serial: u64,
}

struct Slot {
    /// Tells apart claims of one name.
    serial: u64,
    fingerprint: Fingerprint,
    recording: Recording,
    kept: bool,
}

impl Table {
    /// Forgets what is due, and of the others the oldest as long as there are too many. What is forgotten is given out, to be
    /// dropped without the lock.
    fn expire(&mut self, now: Instant, most: usize) -> Vec<Slot> {
        let mut gone = Vec::new();
        while self.kept.len() > most || self.kept.front().is_some_and(|(end, ..)| *end <= now) {
            gone.extend(self.forget_oldest());
        }
        gone
    }

    fn forget_oldest(&mut self) -> Option<Slot> {
        let (_, name, serial) = self.kept.pop_front()?;
        self.remove(&name, serial)
    }

    fn remove(&mut self, name: &Name, serial: u64) -> Option<Slot> {
        match self.slots.entry(name.clone()) {
            hash_map::Entry::Occupied(slot) if slot.get().serial == serial => Some(slot.remove()),
            _ => None,
        }
    }
}

impl Claims {
    /// None are claimed yet. `elsewhere`: what other cores hold; `None`: there are none.
    pub fn new(settings: &Idempotency, elsewhere: Option<Answers>) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::default(),
            room: Arc::new(Room { held: AtomicUsize::new(0), most: settings.total_bytes }),
            max_bytes: settings.max_bytes,
            max_entries: settings.max_entries,
            retention: Duration::from_secs(settings.retention_seconds),
            elsewhere: elsewhere.map(Arc::new),
        })
    }

    /// Nothing panics while it is held, and what it guards is whole between any two calls.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims a key, or joins whoever holds it, in this core or in another.
    pub async fn claim(self: &Arc<Self>, wish: &Wish) -> Claim {
        let claim = self.claim_here(wish);
        match (&self.elsewhere, claim) {
            (Some(answers), Claim::First(recorder, follow)) => {
                self.claim_elsewhere(answers, wish, recorder, follow).await
            }
            (_, claim) => claim,
        }
    }

    /// The key is this core's; is it that among all cores? Meanwhile twins join here.
    async fn claim_elsewhere(
        &self,
        answers: &Arc<Answers>,
        wish: &Wish,
        mut recorder: Recorder,
        follow: Follow,
    ) -> Claim {
        let place = answers.place(&wish.name.api_key_id, &wish.name.key);
        // The caller may leave before it is heard who holds the key.
        let lease = Lease::of(answers, &place);
        let held = answers.claim(&place, &hex::encode(wish.fingerprint)).await;
        match held {
            Some(Held::Mine) => {
                elsewhere::mirror(lease, &recorder.recording);
                recorder.held_at = Some((Arc::clone(answers), place));
                return Claim::First(recorder, follow);
            }
            // Idempotent within this core as long as Redis is away. What was asked of it may have been done: the lease frees it.
            None => return Claim::First(recorder, follow),
            Some(Held::Running | Held::Kept | Held::Reused) => lease.forget(),
        }
        if held == Some(Held::Reused) {
            return Claim::Reused;
        }
        let again = if held == Some(Held::Kept) { Again::Replayed } else { Again::Joined };
        let twin = recorder.recording.follow(Who::Twin);
        drop(follow);
        elsewhere::read(Arc::clone(answers), place, recorder);
        Claim::Again(again, twin)
    }

    fn claim_here(self: &Arc<Self>, wish: &Wish) -> Claim {
        let mut table = self.table();
        let _gone = table.expire(Instant::now(), self.max_entries);
        if let Some(slot) = table.slots.get(&wish.name) {
            if slot.fingerprint != wish.fingerprint {
                return Claim::Reused;
            }
            let again = if slot.kept { Again::Replayed } else { Again::Joined };
            return Claim::Again(again, slot.recording.follow(Who::Twin));
        }
        let serial = table.next_serial;
        table.next_serial += 1;
        let recording = Recording::new(Arc::clone(&self.room), self.max_bytes);
        let follow = recording.follow(Who::First);
        let fingerprint = wish.fingerprint;
        let slot = Slot { serial, fingerprint, recording: recording.clone(), kept: false };
        table.slots.insert(wish.name.clone(), slot);
        let (claims, name) = (Arc::clone(self), wish.name.clone());
        let recorder = Recorder { claims, name, serial, recording, held_at: None, ended: false };
        Claim::First(recorder, follow)
    }

    /// Forgets the oldest answer that is kept. Answers whether there was one.
    fn evict(&self) -> bool {
        let mut table = self.table();
        let there_was = !table.kept.is_empty();
        let gone = table.forget_oldest();
        drop(table);
        drop(gone);
        there_was
    }

    fn release(&self, name: &Name, serial: u64) {
        let gone = self.table().remove(name, serial);
        drop(gone);
    }

    /// The answer is whole: it is kept from now on.
    fn keep(&self, name: &Name, serial: u64) {
        let now = Instant::now();
        let mut table = self.table();
        if let Some(slot) = table.slots.get_mut(name).filter(|slot| slot.serial == serial) {
            slot.kept = true;
            table.kept.push_back((now + self.retention, name.clone(), serial));
        }
        let gone = table.expire(now, self.max_entries);
        drop(table);
        drop(gone);
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table();
        f.debug_struct("Claims")
            .field("claimed", &table.slots.len())
            .field("kept", &table.kept.len())
            .finish_non_exhaustive()
    }
}

/// Writes an answer down. Dropping it before the end frees its key.
#[derive(Debug)]
pub struct Recorder {
    claims: Arc<Claims>,
    name: Name,
    serial: u64,
    recording: Recording,
    /// Where other cores are told of it.
    held_at: Option<(Arc<Answers>, Place)>,
    ended: bool,
}

impl Recorder {
    /// The answer begins.
    pub fn open(&self, opening: Opening) {
        self.recording.open(opening);
    }

    /// A frame of it.
    pub fn append(&self, frame: Bytes) {
        let kept = self.fits(&frame);
        self.recording.append(frame, kept);
    }

    /// Waits until there is room for more: for ever so slow a first caller, if it alone is left. Answers whether anybody reads on.
    pub async fn ready(&self) -> bool {
        self.recording.ready().await
    }

    /// A future that comes back when no caller has followed for so long.
    pub fn deserted(&self, longest: Duration) -> impl Future<Output = ()> + Send + use<> {
        let recording = self.recording.clone();
        async move { recording.deserted(longest).await }
    }

    /// The last frame of an answer that is whole.
    pub async fn complete(mut self, last: Bytes) {
        let kept = self.fits(&last);
        if self.recording.overflowed() || !kept {
            self.release(&Ending::TooLarge).await;
        } else {
            self.ended = true;
            self.claims.keep(&self.name, self.serial);
        }
        self.recording.end(last, kept, Ending::Complete);
    }

    /// The last frame of an answer that broke, which says so.
    pub async fn cut(mut self, last: Bytes, error: Error) {
        let kept = self.fits(&last);
        let ending = Ending::Cut { error, told: true };
        self.release(&ending).await;
        self.recording.end(last, kept, ending);
    }

    /// There is no answer.
    pub async fn fail(mut self, error: Error, served: Option<Served>) {
        let ending = Ending::Failed { error, served };
        self.release(&ending).await;
        self.recording.end(Bytes::new(), true, ending);
    }

    /// An answer of another core has ended. It is kept there, if it is.
    pub(super) fn pass(mut self, ending: Ending) {
        self.release_here();
        self.recording.end(Bytes::new(), true, ending);
    }

    /// Whether anything was told of it.
    pub(super) fn has_begun(&self) -> bool {
        self.recording.opening().is_some()
    }

    /// Whether a caller follows.
    pub(super) fn is_read(&self) -> bool {
        self.recording.state().callers > 0
    }

    fn fits(&self, frame: &Bytes) -> bool {
        frame.is_empty() || self.recording.fits(frame.len(), || self.claims.evict())
    }

    /// Whoever comes from here on is a first caller again: before anybody learns that this one has ended.
    async fn release(&mut self, ending: &Ending) {
        if let Some((answers, place)) = &self.held_at {
            elsewhere::free(answers, place, ending).await;
        }
        self.release_here();
    }

    fn release_here(&mut self) {
        self.ended = true;
        self.claims.release(&self.name, self.serial);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.release_here();
        let ending = if self.has_begun() {
            let message = "the answer was given up before its end";
            Ending::Cut { error: Error::internal(message).with_code("stream_truncated"), told: false }
        } else {
            Ending::Vacated
        };
        self.recording.end(Bytes::new(), true, ending);
    }
}
