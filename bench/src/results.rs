//! The raw results of a run, as they are kept: every number of every round.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::target::{Kind, gateway::Settings};

/// What is measured at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Measure {
    /// Just started, with nothing to do: `memory_mib`, `cpu_ms_per_s`.
    Idle,
    /// 200 requests a second: `cpu_us` a request, `p50_us`, `p99_us`, `max_us`.
    Paced,
    /// Short streams at a fixed rate: `p50_us` and `p99_us` until the first chunk.
    FirstToken,
    /// A hundred streams: `cpu_us` a chunk, `delivered`, `transit_p50_us`, `transit_p99_us`, `gap_p99_us`.
    Chunks,
    /// A thousand streams: as [`Chunks`](Self::Chunks), and `memory_mib`, `stream_kib`.
    Crowd,
    /// Streams that say nothing: `streams`, `memory_mib`, `stream_kib`.
    IdleStreams,
    /// 32 connections that do not pause, requests of 1 KB: `cpu_us` a request, `rate` a second.
    Saturated1k,
    /// The same with 50 KB.
    Saturated50k,
    /// The same with 1 MB.
    Saturated1m,
}

/// What one measurement of one target gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// In which round, from 1.
    pub(crate) round: u32,
    /// What was measured.
    pub(crate) measure: Measure,
    /// Of what.
    pub(crate) target: Kind,
    /// The numbers, by their names; [`Measure`] has them.
    pub(crate) values: BTreeMap<String, f64>,
    /// What went wrong, with how often. Requests in here are in no other number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) errors: BTreeMap<String, u64>,
}

/// A run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    /// When it began, RFC 3339.
    pub(crate) started: String,
    /// On what.
    pub(crate) machine: String,
    /// How busy that was with other things before: the load average of a minute.
    pub(crate) load_before: f64,
    /// Whether it was a short one.
    pub(crate) quick: bool,
    /// What was set at the gateway besides its defaults.
    pub(crate) settings: Settings,
    /// In the order of their making.
    pub(crate) samples: Vec<Sample>,
}

impl Run {
    /// Reads a file that [`write()`] wrote.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    /// One number of one target, round by round; NaN where a round has none.
    pub(crate) fn values(&self, measure: Measure, target: Kind, name: &str) -> Vec<f64> {
        let of_round = |round| {
            let mut samples = self.samples.iter();
            let sample = samples
                .find(|sample| (sample.round, sample.measure, sample.target) == (round, measure, target));
            sample.and_then(|sample| sample.values.get(name)).copied().unwrap_or(f64::NAN)
        };
        self.rounds().into_iter().map(of_round).collect()
    }

    /// How many requests went wrong at a target.
    pub(crate) fn errors(&self, target: Kind) -> u64 {
        let of_target = self.samples.iter().filter(|sample| sample.target == target);
        of_target.flat_map(|sample| sample.errors.values()).sum()
    }

    /// The rounds that it has.
    pub(crate) fn rounds(&self) -> BTreeSet<u32> {
        self.samples.iter().map(|sample| sample.round).collect()
    }
}

/// Writes raw results as `target/bench/TIME.json` beside the programs. Gives the path.
pub(crate) fn write<T: Serialize>(started: &str, results: &T) -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    let folder = target.join("bench");
    fs::create_dir_all(&folder)?;
    let path = folder.join(started.replace(':', "-")).with_extension("json");
    fs::write(&path, serde_json::to_vec_pretty(results)?)?;
    Ok(path)
}
