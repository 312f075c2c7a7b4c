//! `export FILE [--secrets]`.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::ExitCode,
};

use orchestrator_base::config::{Config, ExportArgs, Sources};

use super::{Failed, Outcome, admin, beside, run as run_command, sources as known};

/// The variable that holds the passphrase.
pub(super) const PASSPHRASE: &str = "CONFIG_PASSPHRASE";

/// Writes the configuration.
pub fn run(config: &Config, sources: io::Result<Sources>, args: &ExportArgs) -> ExitCode {
    run_command(async { export(config, &known(sources)?, args).await })
}

pub(super) async fn export(config: &Config, sources: &Sources, args: &ExportArgs) -> Outcome {
    let passphrase = if args.secrets {
        let given = sources.secret(args.passphrase_file.as_deref(), PASSPHRASE).map_err(Failed::given)?;
        let why = format!("--secrets needs a passphrase: set {PASSPHRASE}, or give --passphrase-file FILE");
        Some(given.ok_or_else(|| Failed::given(why))?)
    } else {
        None
    };
    let (admin, database) = admin(config).await?;
    let text = admin.export_config(passphrase).await?;
    database.close().await;
    if args.file == Path::new("-") {
        return Ok(text);
    }
    write(&args.file, &text).map_err(|error| Failed::because(format!("{}: {error}", args.file.display())))?;
    let secrets = if args.secrets { "with secrets, sealed under the passphrase" } else { "without secrets" };
    Ok(format!("exported to {}, {secrets}\n", args.file.display()))
}

/// Whole or not at all, for the owner alone.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let partial = beside(path, ".partial");
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&partial, path)
}
