//! Logs: one line an event on standard error, JSON for machines or plain text for a person at a terminal.

pub mod context;
mod json;
pub mod otlp;
pub mod traces;

use std::{
    fmt,
    io::{self, IsTerminal as _},
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer as _,
    filter::Targets,
    fmt::{format::JsonFields, format::Writer, time::FormatTime},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    clock::Clock,
    config::{Log, LogFormat},
};

/// Libraries whose information is of use to those who debug them, and noise to everybody else.
const NOISY: &[&str] = &["h2", "hyper", "hyper_util", "rustls", "sqlx", "tower", "tonic"];

/// Makes this process log as `log` says; `debug` means level debug, whatever `log.level` says.
///
/// Returns whether it did: a process that logs already, as in tests, goes on as before.
pub fn install(log: &Log, debug: bool) -> bool {
    let is_terminal = io::stderr().is_terminal();
    let format = log.format.unwrap_or(if is_terminal { LogFormat::Pretty } else { LogFormat::Json });
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = match format {
        LogFormat::Json => {
            lines.fmt_fields(JsonFields::new()).event_format(json::Lines::new(Clock::system())).boxed()
        }
        LogFormat::Pretty => lines.with_ansi(is_terminal).with_timer(WallClock(Clock::system())).boxed(),
    };
    let filter = targets(level(&log.level, debug));
    tracing_subscriber::registry().with(otlp::layer()).with(lines.with_filter(filter)).try_init().is_ok()
}

/// The level of this name, in any case. The configuration's check lets no other name through; for a section made by hand, an
/// unknown one means `info`.
fn level(name: &str, debug: bool) -> LevelFilter {
    if debug { LevelFilter::DEBUG } else { name.trim().parse().unwrap_or(LevelFilter::INFO) }
}

fn targets(level: LevelFilter) -> Targets {
    let libraries = if level >= LevelFilter::DEBUG { level } else { level.min(LevelFilter::WARN) };
    // Spans that are exported are no part of the log: it has its own.
    let mut targets = Targets::new().with_default(level).with_target(traces::TARGET, LevelFilter::OFF);
    for library in NOISY {
        targets = targets.with_target(*library, libraries);
    }
    targets
}

/// The time on plain lines, from the one door to it.
struct WallClock(Clock);

impl FormatTime for WallClock {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", self.0.now())
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn installing_twice_changes_nothing() {
        let log = Log { level: "off".into(), ..Log::default() };
        install(&log, false);
        assert!(!install(&log, false));
    }

    #[test]
    fn libraries_are_quiet_until_someone_debugs() {
        let quiet = targets(level("INFO", false));
        assert!(quiet.would_enable("orchestrator_core", &Level::INFO));
        assert!(!quiet.would_enable("h2::client", &Level::INFO));
        assert!(quiet.would_enable("h2::client", &Level::WARN));

        let debugging = targets(level("error", true));
        assert!(debugging.would_enable("h2::client", &Level::DEBUG));
        assert!(
            !debugging.would_enable(traces::TARGET, &Level::INFO),
            "spans that are exported are not logged"
        );

        let silent = targets(level("Off", false));
        assert!(!silent.would_enable("h2::client", &Level::ERROR));
    }
}
