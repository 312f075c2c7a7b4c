//! Between a recording here and what other cores know of it: a mirror says what is made here, a reader follows what is made there.
//!
//! Each is a task beside the recording, so that neither the pump nor any caller waits for Redis: but for who frees a key, since nobody
//! may learn of a failure while its key is still held.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use orchestrator_base::task;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout_at},
};

use super::{
    Ending, Follow, Part, Recording, Who,
    claims::Recorder,
    written::{Packer, Unpacker, read_ending, read_opening, write_ending, write_opening},
};
use crate::{
    error::Error,
    shared_state::redis::idempotency::{Answers, Place, Said, Stage, Stretch},
};

/// The most chunks that are said at once.
const MOST: usize = 8;
/// How long what is said is gathered.
const GATHER: Duration = Duration::from_millis(5);
/// How soon Redis is tried again that was away.
const AGAIN: Duration = Duration::from_millis(100);
/// How often somebody looks whether there is more: soon after there was, later after there was none for a while.
const LOOK: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(40)];

/// A key that is claimed among cores. Dropping it frees it.
#[derive(Debug)]
pub(super) struct Lease {
    answers: Arc<Answers>,
    place: Place,
    held: bool,
}

impl Lease {
    /// It may be held from here on.
    pub(super) fn of(answers: &Arc<Answers>, place: &Place) -> Self {
        Self { answers: Arc::clone(answers), place: place.clone(), held: true }
    }

    /// It is not.
    pub(super) fn forget(mut self) {
        self.held = false;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Without a runtime the lease runs out by itself.
        if self.held && Handle::try_current().is_ok() {
            let (answers, place) = (Arc::clone(&self.answers), self.place.clone());
            drop(task::spawn("idempotency key", async move {
                free(&answers, &place, &Ending::Vacated).await;
            }));
        }
    }
}

/// Frees a key, and says why.
pub(super) async fn free(answers: &Answers, place: &Place, why: &Ending) {
    let said = Said { from: 0, opening: None, chunks: &[], stage: Stage::Over(write_ending(why)) };
    // If Redis is away, the lease runs out.
    let _ = answers.say(place, &said).await;
}

/// Says of a recording what is made of it, until its end.
pub(super) fn mirror(lease: Lease, recording: &Recording) {
    let mirror = Mirror {
        follow: recording.follow(Who::Mirror),
        recording: recording.clone(),
        lease,
        packer: Packer::default(),
        said: 0,
        opening_said: false,
        readers: Readers { reads: 0, counted_at: Instant::now(), follow: None },
    };
    drop(task::spawn("idempotency mirror", mirror.run()));
}

struct Mirror {
    follow: Follow,
    recording: Recording,
    lease: Lease,
    packer: Packer,
    /// How many chunks are there.
    said: usize,
    opening_said: bool,
    readers: Readers,
}

/// Those who read in other cores: as long as there are some, the answer is not deserted.
struct Readers {
    reads: u64,
    counted_at: Instant,
    follow: Option<Follow>,
}

impl Mirror {
    async fn run(mut self) {
        let mut ending = None;
        while ending.is_none() {
            let due = Instant::now() + self.lease.answers.renewal();
            if let Ok(part) = timeout_at(due, self.follow.next()).await {
                ending = self.take(part);
                if ending.is_none() {
                    sleep(GATHER).await;
                }
            }
            while ending.is_none()
                && self.packer.len() < MOST
                && let Some(part) = self.follow.next().now_or_never()
            {
                ending = self.take(part);
            }
            let is_large = matches!(ending.as_deref(), Some(Ending::TooLarge));
            if !is_large && !self.say_all(Stage::Running, ending.is_none()).await {
                return;
            }
        }
        let stage = match ending.as_deref() {
            None => return,
            Some(Ending::TooLarge) => return self.hold().await,
            Some(Ending::Complete) if self.lease.answers.keeps() => Stage::Kept,
            Some(ending) => Stage::Over(write_ending(ending)),
        };
        if self.say_all(stage, false).await {
            self.lease.forget();
        }
    }

    fn take(&mut self, part: Part) -> Option<Arc<Ending>> {
        match part {
            Part::Frame(frame) => {
                self.packer.push(&frame);
                None
            }
            Part::Last(frame, ending) => {
                self.packer.push(&frame);
                Some(ending)
            }
        }
    }

    /// An answer that is too large is not shared, but its key is held until it is over.
    async fn hold(mut self) {
        drop(self.packer.take(usize::MAX));
        loop {
            if !self.say_all(Stage::Large, true).await {
                return;
            }
            let due = Instant::now() + self.lease.answers.renewal();
            if timeout_at(due, self.recording.over()).await.is_ok() {
                return;
            }
        }
    }

    /// Says what there is. `goes_on`: as much as fits into one stretch is enough. Answers whether the key is still this core's.
    async fn say_all(&mut self, stage: Stage, goes_on: bool) -> bool {
        loop {
            let chunks = self.packer.take(MOST);
            let is_last = self.packer.len() == 0;
            let stage = if is_last { stage.clone() } else { Stage::Running };
            if !self.say(&chunks, stage).await {
                return false;
            }
            self.said += chunks.len();
            if is_last || goes_on {
                return true;
            }
        }
    }

    async fn say(&mut self, chunks: &[Vec<u8>], stage: Stage) -> bool {
        let opening = if self.opening_said { None } else { self.recording.opening() };
        let opening = opening.map(|opening| write_opening(&opening));
        let said = Said { from: self.said, opening: opening.as_deref(), chunks, stage };
        // After that others have claimed it, or may.
        let until = Instant::now() + self.lease.answers.lease();
        loop {
            match self.lease.answers.say(&self.lease.place, &said).await {
                Ok(Some(reads)) => {
                    self.opening_said |= opening.is_some();
                    self.readers.count(reads, self.lease.answers.renewal(), &self.recording);
                    return true;
                }
                Ok(None) => {
                    self.lease.held = false;
                    return false;
                }
                Err(_) if Instant::now() >= until => return false,
                Err(_) => sleep(AGAIN).await,
            }
        }
    }
}

impl Readers {
    fn count(&mut self, reads: u64, every: Duration, recording: &Recording) {
        if reads > self.reads && self.follow.is_none() {
            self.follow = Some(recording.follow(Who::Twin));
        }
        if self.counted_at.elapsed() >= every {
            if reads <= self.reads {
                self.follow = None;
            }
            (self.reads, self.counted_at) = (reads, Instant::now());
        }
    }
}

/// Reads an answer that another core makes or keeps into a recording here.
pub(super) fn read(answers: Arc<Answers>, place: Place, recorder: Recorder) {
    let reader = Reader { answers, place, recorder, from: 0, owner: None, unpacker: Unpacker::default() };
    drop(task::spawn("idempotency reader", reader.run()));
}

struct Reader {
    answers: Arc<Answers>,
    place: Place,
    recorder: Recorder,
    from: usize,
    /// Whose claim is read.
    owner: Option<String>,
    unpacker: Unpacker,
}

impl Reader {
    /// Ends by dropping the recorder where the answer is not to be had any more: whoever waits for its beginning claims the key anew.
    async fn run(mut self) {
        let mut look = LOOK[0];
        let mut heard = Instant::now();
        while self.recorder.ready().await && self.recorder.is_read() {
            match self.answers.read(&self.place, self.from).await {
                Ok(Some(stretch)) => {
                    heard = Instant::now();
                    look = if stretch.chunks.is_empty() { (look * 2).min(LOOK[1]) } else { LOOK[0] };
                    let goes_on = stretch.count > self.from + stretch.chunks.len();
                    if self.owner.get_or_insert_with(|| stretch.owner.clone()) != &stretch.owner {
                        return;
                    }
                    match self.take(stretch) {
                        Taken::Over(ending) => return self.recorder.pass(ending),
                        Taken::More if goes_on => {}
                        Taken::More => sleep(look).await,
                    }
                }
                // Of an answer that has begun there is nothing to be had elsewhere: Redis may be back soon.
                Err(_) if self.recorder.has_begun() && heard.elapsed() < self.answers.lease() => {
                    sleep(AGAIN).await;
                }
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn take(&mut self, stretch: Stretch) -> Taken {
        if stretch.stage == Stage::Large {
            return Taken::Over(Ending::TooLarge);
        }
        if !self.recorder.has_begun()
            && let Some(opening) = &stretch.opening
        {
            let Some(opening) = read_opening(opening) else { return Taken::Over(unreadable()) };
            self.recorder.open(opening);
        }
        self.from += stretch.chunks.len();
        for chunk in stretch.chunks {
            let Some(frames) = self.unpacker.unpack(chunk) else { return Taken::Over(unreadable()) };
            for frame in frames {
                self.recorder.append(frame);
            }
        }
        let is_all = self.from >= stretch.count;
        match stretch.stage {
            Stage::Kept if is_all => Taken::Over(Ending::Complete),
            Stage::Over(ending) if is_all => Taken::Over(read_ending(&ending)),
            _ => Taken::More,
        }
    }
}

/// What a stretch of an answer was.
enum Taken {
    /// Not its last.
    More,
    /// Its last.
    Over(Ending),
}

fn unreadable() -> Ending {
    let error = Error::internal("what another core has written down of the answer cannot be read");
    Ending::Cut { error, told: false }
}

#[cfg(test)]
mod tests;
