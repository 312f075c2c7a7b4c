//! Logs: one line an event, JSON for machines or plain text for a person at a terminal, on standard error and, if asked, in a file.
//!
//! Nobody who logs waits for whoever reads: lines go into a bounded buffer, and a thread of its own writes them (`sink.rs`). What
//! is logged can change while the program runs (`filter.rs`): the configuration says it, and Admin may overrule that for a while.

pub mod access;
pub mod context;
mod filter;
mod json;
pub mod otlp;
mod panics;
mod sink;
pub mod traces;

use std::{
    fmt,
    io::{self, IsTerminal as _},
    path::Path,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    Layer as _,
    filter::Targets,
    fmt::{MakeWriter, format::Writer, time::FormatTime},
    layer::SubscriberExt as _,
    reload,
    util::SubscriberInitExt as _,
};

pub use self::filter::Filter;
use self::sink::Sink;
use crate::{
    clock::Clock,
    config::{Log, LogFormat},
};

/// How long the end of the program waits for a reader of its logs.
const FLUSH: Duration = Duration::from_secs(1);

/// What can be changed of this process's logs. A process has one log, as it has one standard error.
static CONTROL: OnceLock<Control> = OnceLock::new();

struct Control {
    set: Box<dyn Fn(Targets) + Send + Sync>,
    sinks: Vec<Sink>,
    wanted: Mutex<Wanted>,
}

/// What is to be logged.
struct Wanted {
    configured: Filter,
    overruled: Option<Filter>,
}

/// The logs of this process. What is not written yet is written when it is dropped, if it can be within a second.
#[derive(Debug)]
#[must_use = "lines are lost if it is dropped before the end"]
pub struct Logs(());

/// How the writing of logs goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogHealth {
    /// Lines, those of the access log included, that were lost because nobody read or stored them fast enough.
    pub lost: u64,
    /// Bytes that wait to be written.
    pub waiting_bytes: u64,
    /// The latest write failed, or is stuck.
    pub failing: bool,
}

/// Makes this process log as `log` says; `debug` means level debug, whatever `log.level` says.
///
/// A process that logs already, as in tests, goes on as before.
///
/// # Errors
/// A file cannot be opened; the message names the setting.
pub fn install(log: &Log, debug: bool) -> io::Result<Logs> {
    let terminal = io::stderr().is_terminal();
    let format = log.format.unwrap_or(if terminal { LogFormat::Pretty } else { LogFormat::Json });
    let mut sinks = vec![Sink::stderr(format)?];
    if let Some(path) = &log.file {
        sinks.push(open(path, "log.file", log.format.unwrap_or(LogFormat::Json))?);
    }
    if let Some(path) = &log.access_file {
        access::install(open(path, "log.access_file", LogFormat::Json)?);
    }

    let configured = Filter::configured(&log.level, debug);
    let (filter, handle) = reload::Layer::new(configured.targets());
    let mut lines = lines(sinks[0].clone(), format, terminal);
    if let Some(file) = sinks.get(1) {
        let format = log.format.unwrap_or(LogFormat::Json);
        lines = lines.and_then(self::lines(file.clone(), format, false)).boxed();
    }
    let lines = lines.with_filter(filter);
    if tracing_subscriber::registry().with(otlp::layer()).with(lines).try_init().is_ok() {
        let set = Box::new(move |targets| {
            let _ = handle.reload(targets);
        });
        let wanted = Mutex::new(Wanted { configured, overruled: None });
        let _ = CONTROL.set(Control { set, sinks, wanted });
        panics::install();
    }
    Ok(Logs(()))
}

fn open(path: &Path, setting: &str, format: LogFormat) -> io::Result<Sink> {
    Sink::file(path, format)
        .map_err(|error| io::Error::new(error.kind(), format!("{setting}: {}: {error}", path.display())))
}

fn lines<S>(sink: Sink, format: LogFormat, ansi: bool) -> Box<dyn tracing_subscriber::Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(Pages(sink)).log_internal_errors(false);
    match format {
        LogFormat::Json => {
            lines.fmt_fields(json::SpanFields).event_format(json::Lines::new(Clock::system())).boxed()
        }
        LogFormat::Pretty => lines.with_ansi(ansi).with_timer(WallClock(Clock::system())).boxed(),
    }
}

/// What the configuration wants logged from now on.
pub fn configure(level: &str, debug: bool) {
    let Some(control) = CONTROL.get() else { return };
    control.want(|wanted| wanted.configured = Filter::configured(level, debug));
}

/// What is logged from now on, whatever the configuration says; `None`: what it says.
pub fn overrule(filter: Option<Filter>) {
    let Some(control) = CONTROL.get() else { return };
    control.want(|wanted| wanted.overruled = filter);
}

/// What the configuration wants logged; `None`: this process has no logs of its own.
pub fn configured() -> Option<String> {
    let wanted = CONTROL.get()?.wanted.lock().unwrap_or_else(PoisonError::into_inner);
    Some(wanted.configured.to_string())
}

/// Opens the files again by their names: whoever rotates them has moved the old ones away. The old ones are written to until then,
/// and on if the new ones cannot be opened.
pub fn reopen() {
    for sink in all_sinks() {
        sink.reopen();
    }
}

/// How the writing of logs goes.
pub fn health() -> LogHealth {
    all_sinks().fold(LogHealth::default(), |sum, sink| {
        let LogHealth { lost, waiting_bytes, failing } = sink.health();
        LogHealth {
            lost: sum.lost + lost,
            waiting_bytes: sum.waiting_bytes + waiting_bytes,
            failing: sum.failing || failing,
        }
    })
}

fn all_sinks() -> impl Iterator<Item = &'static Sink> {
    CONTROL.get().map(|control| control.sinks.iter()).into_iter().flatten().chain(access::sink())
}

impl Control {
    fn want(&self, change: impl FnOnce(&mut Wanted)) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let before = wanted.in_force().clone();
        change(&mut wanted);
        let now = wanted.in_force();
        if *now != before {
            (self.set)(now.targets());
        }
    }
}

impl Wanted {
    fn in_force(&self) -> &Filter {
        self.overruled.as_ref().unwrap_or(&self.configured)
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        for sink in all_sinks() {
            sink.flush(FLUSH);
        }
    }
}

/// Where a layer writes.
struct Pages(Sink);

/// One line of it.
struct Page<'a> {
    sink: &'a Sink,
    urgent: bool,
}

impl<'a> MakeWriter<'a> for Pages {
    type Writer = Page<'a>;

    fn make_writer(&'a self) -> Page<'a> {
        Page { sink: &self.0, urgent: false }
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Page<'a> {
        Page { sink: &self.0, urgent: *about.level() <= Level::WARN }
    }
}

/// The formatting layer writes a line in one call.
impl io::Write for Page<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.sink.push(line, self.urgent);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The time on plain lines, from the one door to it.
struct WallClock(Clock);

impl FormatTime for WallClock {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", self.0.now())
    }
}
