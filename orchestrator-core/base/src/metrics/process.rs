//! What a process is and uses: version, time, memory, file descriptors, its log and traces. Shown by each program once.

use tokio::time::Instant;

use super::{Collect, Description, Text};
use crate::{
    clock::{Clock, UnixMicros},
    telemetry::{self, otlp},
};

const BUILD: Description = Description::gauge(
    "orchestrator_build_info",
    &["version", "commit"],
    "1, with the version and the commit that were built.",
);
const UPTIME: Description =
    Description::gauge("orchestrator_uptime_seconds", &[], "For how long the process has run.");
const STARTED: Description = Description::gauge(
    "orchestrator_process_start_time_seconds",
    &[],
    "When the process started, in Unix seconds.",
);
const MEMORY: Description =
    Description::gauge("orchestrator_process_resident_memory_bytes", &[], "The memory of the process.");
const CPU: Description = Description::counter(
    "orchestrator_process_cpu_seconds_total",
    &[],
    "CPU time that the process has used.",
);
const OPEN_FILES: Description =
    Description::gauge("orchestrator_process_open_fds", &[], "Open file descriptors.");
const MOST_FILES: Description =
    Description::gauge("orchestrator_process_max_fds", &[], "As many file descriptors may be open.");
const LINES_LOST: Description = Description::counter(
    "orchestrator_log_lines_lost_total",
    &[],
    "Log lines, those of the access log too, that nobody read or stored fast enough.",
);
const LOG_FAILING: Description = Description::gauge(
    "orchestrator_log_failing",
    &[],
    "1 while the log cannot be written, or lost lines were not told yet.",
);
const SPANS_LOST: Description = Description::counter(
    "orchestrator_trace_spans_lost_total",
    &[],
    "Spans that the collector of traces did not take, or not fast enough.",
);

/// Linux counts CPU time for programs in hundredths of a second, whatever the kernel's own clock is
/// (<https://man7.org/linux/man-pages/man7/time.7.html>).
const TICKS: f64 = 100.0;

/// The version that was built.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that was built, where whoever built it has said so.
pub const COMMIT: &str = match option_env!("ORCHESTRATOR_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// This process.
#[derive(Debug)]
pub struct Process {
    since: Instant,
    started_at: UnixMicros,
}

impl Process {
    /// It has just started.
    pub fn started(clock: &Clock) -> Self {
        Self { since: Instant::now(), started_at: clock.now() }
    }
}

impl Collect for Process {
    fn descriptions(&self) -> Vec<&'static Description> {
        vec![
            &BUILD,
            &UPTIME,
            &STARTED,
            &MEMORY,
            &CPU,
            &OPEN_FILES,
            &MOST_FILES,
            &LINES_LOST,
            &LOG_FAILING,
            &SPANS_LOST,
        ]
    }

    fn collect(&self, text: &mut Text) {
        text.family(&BUILD);
        text.whole(&BUILD, &[VERSION, COMMIT], 1);
        text.family(&UPTIME);
        text.number(&UPTIME, &[], self.since.elapsed().as_secs_f64());
        text.family(&STARTED);
        text.number(&STARTED, &[], self.started_at.0 as f64 / 1e6);
        let used = Used::now();
        let figures = [
            (&MEMORY, used.memory.map(|bytes| bytes as f64)),
            (&CPU, used.cpu_ticks.map(|ticks| ticks as f64 / TICKS)),
            (&OPEN_FILES, used.open_files.map(|count| count as f64)),
            (&MOST_FILES, used.most_files.map(|count| count as f64)),
        ];
        for (of, value) in figures {
            text.family(of);
            if let Some(value) = value {
                text.number(of, &[], value);
            }
        }
        let log = telemetry::health();
        for (of, value) in
            [(&LINES_LOST, log.lost), (&LOG_FAILING, log.failing.into()), (&SPANS_LOST, otlp::lost())]
        {
            text.family(of);
            text.whole(of, &[], value);
        }
    }
}

/// What the process uses, as far as the system says it: only Linux does.
#[derive(Debug, Default)]
struct Used {
    memory: Option<u64>,
    cpu_ticks: Option<u64>,
    open_files: Option<u64>,
    most_files: Option<u64>,
}

impl Used {
    fn now() -> Self {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        // One of them is the folder itself, being read.
        let open =
            std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count().saturating_sub(1) as u64);
        Self {
            memory: memory(&read("status")),
            cpu_ticks: cpu_ticks(&read("stat")),
            open_files: open,
            most_files: most_files(&read("limits")),
        }
    }
}

/// `VmRSS:     12345 kB`.
fn memory(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// The 14th and 15th field: user's and system's. The second, the program's name in brackets, may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// `Max open files            1024                 524288               files`: the soft limit.
fn most_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_says_is_read() {
        assert_eq!(memory("Name:\tx\nVmRSS:\t   1234 kB\n"), Some(1234 * 1024));
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 99 0 0 0 120 30 0 0 20 0 9 0 100 1 2";
        assert_eq!(cpu_ticks(stat), Some(150));
        let limits =
            "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024     524288    files \n";
        assert_eq!(most_files(limits), Some(1024));
        assert_eq!((memory(""), cpu_ticks("x"), most_files("")), (None, None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_something() {
        let used = Used::now();
        assert!(used.memory.unwrap() > 100_000 && used.open_files.unwrap() > 2, "{used:?}");
        assert!(used.cpu_ticks.is_some() && used.most_files.is_some(), "{used:?}");
    }
}
