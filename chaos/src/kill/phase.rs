//! What the core is doing when it is killed, as its log tells, or its journal's folder.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

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
    fn lines(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::AnyMoment | Self::Rotation => None,
            Self::Batch => Some(("\"storing records\"", "\"storing records is over\"")),
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
            if self.phase == Phase::Rotation {
                return kill_between_segments(program);
            }
            program.kill()?;
            return Ok(true);
        };
        let mut log = File::open(program.log())?;
        let mut said = Vec::new();
        // What was said so far is over.
        if self.phase == Phase::Batch {
            log.read_to_end(&mut said)?;
            said.clear();
        }
        let (give_up, mut searched) = (Instant::now() + PATIENCE, 0);
        while memmem(&said[searched..], begins).is_none() && Instant::now() < give_up {
            thread::sleep(LOOK);
            searched = said.len().saturating_sub(begins.len());
            log.read_to_end(&mut said)?;
        }
        if !self.delay.is_zero() {
            thread::sleep(self.delay);
        }
        program.kill()?;
        log.read_to_end(&mut said)?;
        let (begun, over) = (last(&said, begins), last(&said, ends));
        Ok(begun.is_some() && begun > over)
    }
}

/// Kills as soon as the journal has one segment more, and says whether nothing stands in the newest yet, or it is full and has no
/// other after it. Blocks.
fn kill_between_segments(mut program: Program) -> Result<bool, AnyError> {
    let (newest, number) = newest_segment(program.log()).ok_or("there is no journal")?;
    // A segment follows another in less time than a log is read, or a thread takes to wake.
    let following = newest.with_file_name(format!("{:08}.jsonl", number + 1));
    let give_up = Instant::now() + PATIENCE;
    while !following.exists() && Instant::now() < give_up {
        std::hint::spin_loop();
    }
    program.kill()?;
    let bytes = newest_segment(program.log()).and_then(|(newest, _)| Some(newest.metadata().ok()?.len()));
    Ok(bytes.is_some_and(|bytes| bytes == 0 || bytes >= super::SEGMENT_BYTES))
}

/// The newest segment of the journal that lies beside this log, and its number.
fn newest_segment(log: &Path) -> Option<(PathBuf, u64)> {
    let folder = std::fs::read_dir(log.parent()?.join("data/journal/core")).ok()?;
    let segments = folder.filter_map(|file| {
        let path = file.ok()?.path();
        let number = path.file_name()?.to_str()?.strip_suffix(".jsonl")?.parse().ok()?;
        Some((path, number))
    });
    segments.max_by_key(|(_, number)| *number)
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
