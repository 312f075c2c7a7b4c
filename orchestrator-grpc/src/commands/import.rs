//! `import FILE [--on-conflict skip|replace] [--dry-run]`.

use std::{io, process::ExitCode};

use orchestrator_base::config::{Config, ImportArgs, Sources};
use orchestrator_core::admin::transfer::{ImportOptions, OnConflict};

use super::{Failed, Outcome, admin, export::PASSPHRASE, read, run as run_command, sources as known, told};

/// Takes in a configuration.
pub fn run(config: &Config, sources: io::Result<Sources>, args: &ImportArgs) -> ExitCode {
    run_command(async { import(config, &known(sources)?, args).await })
}

pub(super) async fn import(config: &Config, sources: &Sources, args: &ImportArgs) -> Outcome {
    let text = read(&args.file)?;
    let passphrase = sources.secret(args.passphrase_file.as_deref(), PASSPHRASE).map_err(Failed::given)?;
    let on_conflict = OnConflict::named(&args.on_conflict).unwrap_or_default();
    let options = ImportOptions { on_conflict, dry_run: args.dry_run, passphrase };
    let (admin, database) = admin(config).await?;
    let report = admin.import_config(&text, options).await?;
    database.close().await;
    Ok(told(&report))
}
