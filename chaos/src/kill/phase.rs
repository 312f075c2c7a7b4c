//! What the core is doing when it is killed, as its log tells.

use std::{collections::BTreeMap, fmt, fs::File, io::Read as _, path::Path, thread, time::Duration};

use orchestrator_base::random::Random;
use tokio::time::Instant;

use crate::{AnyError, program::Program};

/// Where a kill is meant to fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Anywhere.
    AnyMoment,
    /// In the transaction that stores a batch of records.
    Batch,
    /// Between two segments of the journal: the newest is empty, or full.
    Rotation,
    /// While the journal is replayed after a start.
    Replay,
    /// While the tables are made.
    Migration,
}

/// So many rounds hit every phase.
pub(crate) const ENOUGH: u32 = 40;
/// How long a line of the log is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at the log.
const LOOK: Duration = Duration::from_micros(100);

impl Phase {
    /// What the log says when it begins and when it is over.
    pub(crate) fn lines(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::AnyMoment => None,
            Self::Batch => Some(("\"storing records\"", "\"storing records is over\"")),
            Self::Rotation => {
                Some(("\"a segment of the journal is full\"", "\"a segment of the journal has begun\""))
            }
            Self::Replay => Some(("\"replaying the journal\"", "\"storing records is over\"")),
            Self::Migration => Some(("Running database migrations", "Catalog loaded")),
        }
    }
}

/// Half of the kills fall anywhere, the others are dealt out.
pub(crate) fn draw(dice: &Random, round: u32) -> Phase {
    let dealt = [Phase::Batch, Phase::Rotation, Phase::Replay, Phase::Batch, Phase::Migration];
    if dice.unit() < 0.5 { Phase::AnyMoment } else { dealt[round as usize % dealt.len()] }
}

/// When the core is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    phase: Phase,
    /// So long after the phase begins.
    delay: Duration,
}

impl Moment {
    /// Somewhere in that phase.
    pub(crate) fn of(phase: Phase, dice: &Random) -> Self {
        let longest = match phase {
            Phase::AnyMoment | Phase::Rotation => Duration::ZERO,
            Phase::Batch => Duration::from_millis(2),
            Phase::Replay => Duration::from_millis(10),
            Phase::Migration => Duration::from_millis(40),
        };
        Self { phase, delay: longest.mul_f64(dice.unit()) }
    }

    /// Waits for it and kills; says whether the phase had begun and was not over. Blocks.
    pub(crate) fn kill(self, mut program: Program) -> Result<bool, AnyError> {
        let Some((begins, ends)) = self.phase.lines() else {
            program.kill()?;
            return Ok(true);
        };
        let mut log = File::open(program.log())?;
        let mut said = Vec::new();
        // What was said so far is over.
        if self.phase != Phase::Replay && self.phase != Phase::Migration {
            log.read_to_end(&mut said)?;
            said.clear();
        }
        let give_up = Instant::now() + PATIENCE;
        while memmem(&said, begins).is_none() && Instant::now() < give_up {
            // A segment follows another in less time than a thread takes to wake.
            if self.phase != Phase::Rotation {
                thread::sleep(LOOK);
            }
            log.read_to_end(&mut said)?;
        }
        if !self.delay.is_zero() {
            thread::sleep(self.delay);
        }
        program.kill()?;
        log.read_to_end(&mut said)?;
        if self.phase == Phase::Rotation {
            return Ok(between_segments(program.log()).unwrap_or_default());
        }
        let (begun, over) = (last(&said, begins), last(&said, ends));
        Ok(begun.is_some() && begun > over)
    }
}

/// Whether nothing stands in the newest segment of the journal yet, or it is full and has no other after it.
fn between_segments(log: &Path) -> Option<bool> {
    let folder = std::fs::read_dir(log.parent()?.join("data/journal/core")).ok()?;
    let segments = folder.filter_map(|file| Some(file.ok()?.path()));
    let newest = segments.filter(|path| path.extension().is_some_and(|ending| ending == "jsonl")).max()?;
    let bytes = newest.metadata().ok()?.len();
    Some(bytes == 0 || bytes >= super::SEGMENT_BYTES)
}

fn memmem(text: &[u8], word: &str) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word.as_bytes())
}

fn last(text: &[u8], word: &str) -> Option<usize> {
    text.windows(word.len()).rposition(|window| window == word.as_bytes())
}

/// How often each phase was meant, and how often hit.
#[derive(Debug, Default)]
pub(crate) struct Hits(BTreeMap<Phase, (u32, u32)>);

impl Hits {
    pub(crate) fn count(&mut self, phase: Phase, hit: bool) {
        let (meant, hits) = self.0.entry(phase).or_default();
        *meant += 1;
        *hits += u32::from(hit);
    }

    /// What was never hit.
    pub(crate) fn missed(&self) -> impl Iterator<Item = Phase> {
        let all = [Phase::AnyMoment, Phase::Batch, Phase::Rotation, Phase::Replay, Phase::Migration];
        all.into_iter().filter(|phase| self.0.get(phase).is_none_or(|(_, hits)| *hits == 0))
    }
}

impl fmt::Display for Hits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (phase, (meant, hits)) in &self.0 {
            writeln!(f, "killed in {phase:?}: {meant} times, {hits} of them in the middle of it")?;
        }
        Ok(())
    }
}
