//! The subcommands that work on the database without serving: each in a file of its own, called by `main`.
//!
//! They open the database as the program does, and may run beside a core. Exit codes: 0, 1 for a failure, 2 where the configuration or a
//! file that was given is to blame.

pub mod apply;
pub mod backup;
pub mod export;
pub mod import;
pub mod keys;
pub mod migrate;
pub mod stats;

use std::{
    fmt::Write as _,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use orchestrator_base::{
    clock::Clock,
    config::{Config, Loaded, Role, Sources},
    process,
    random::Random,
    runtime::Background,
    tls,
};
use orchestrator_core::{
    admin::{Admin, transfer::Report},
    audit::Actor,
    catalog::snapshot::SharedCatalog,
    error::{Error, ErrorKind},
    refresher::Reloader,
    store::{Database, StoreError},
};

use crate::boot::{self, StartError};

/// A file above this is no configuration.
const MOST_BYTES: u64 = 32 << 20;

/// Why a command failed: what is printed, and the exit code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    message: String,
    code: u8,
}

impl Failed {
    /// Trying again may help.
    fn because(message: impl ToString) -> Self {
        Self { message: message.to_string(), code: 1 }
    }

    /// What was given has to change.
    fn given(message: impl ToString) -> Self {
        Self { message: message.to_string(), code: 2 }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        if error.kind == ErrorKind::InvalidRequest {
            Self::given(error.message)
        } else {
            Self::because(error.message)
        }
    }
}

impl From<StartError> for Failed {
    fn from(error: StartError) -> Self {
        if error.configuration { Self::given(error) } else { Self::because(error) }
    }
}

/// What a command prints, or why it failed.
type Outcome = Result<String, Failed>;

/// `check-config`: the effective configuration, and what is wrong with what it declares.
pub fn check_config(loaded: &Loaded) -> ExitCode {
    if let Some(json) = loaded.config.declared.json()
        && let Err(error) = orchestrator_core::admin::declared::check(&json.into())
    {
        return finish(Err(Failed::given(format!("the declared catalog has problems:\n{}", error.message))));
    }
    process::check_config(loaded, Role::Core)
}

/// Runs a command on a thread of its own runtime.
fn run(work: impl Future<Output = Outcome>) -> ExitCode {
    // A server's database may ask for it.
    tls::install_crypto();
    let background = match Background::start() {
        Ok(background) => background,
        Err(error) => return finish(Err(Failed::because(error))),
    };
    let outcome = background.block_on(work);
    background.stop();
    finish(outcome)
}

fn finish(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(text) => process::print(text),
        Err(Failed { message, code }) => {
            process::complain(&message);
            ExitCode::from(code)
        }
    }
}

fn sources(sources: io::Result<Sources>) -> Result<Sources, Failed> {
    sources.map_err(|error| Failed::given(format!("configuration: {error}")))
}

/// The database, up to date.
async fn open(config: &Config) -> Result<Database, Failed> {
    let waits = |attempt, tries, error: &StoreError| {
        process::complain(&format!("the database does not answer yet (try {attempt} of {tries}): {error}"));
    };
    Ok(boot::database::open(config, waits).await?)
}

/// Admin over the database, as a core has it. A core that runs sees what is changed here within a second.
async fn admin(config: &Config) -> Result<(Admin, Database), Failed> {
    let data_dir = boot::data_dir(&config.data.dir)?;
    let master = boot::keys::master(config, &data_dir)?;
    let database = open(config).await?;
    let vault = Arc::new(boot::keys::vault(config, &data_dir, &master, &database).await?);
    let store = Arc::new(database.clone());
    let reloader =
        Reloader::new(store.clone(), Arc::clone(&vault), Arc::new(SharedCatalog::default()), config.timeouts);
    let (clock, random) = (Clock::system(), Random::system());
    let admin = Admin::new(store, vault, Arc::new(reloader), clock, random, config.providers.clone());
    Ok((admin.acting_as(Actor::cli()), database))
}

/// The text of a file, or of standard input for `-`.
fn read(path: &Path) -> Result<String, Failed> {
    let told = |error: io::Error| Failed::given(format!("{}: {error}", path.display()));
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(MOST_BYTES + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text))
    };
    read.map_err(told)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(told(io::Error::other(format!("is larger than {MOST_BYTES} bytes"))));
    }
    Ok(text)
}

/// What changed, a line each, notes, and the counts.
fn told(report: &Report) -> String {
    let mut text: String = report.differences.iter().map(ToString::to_string).collect();
    for note in &report.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text.push_str(&report.summary());
    text.push('\n');
    text
}

/// `x` and `.part` make `x.part`.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
