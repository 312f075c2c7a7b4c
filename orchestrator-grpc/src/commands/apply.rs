//! `apply FILE [--dry-run] [--prune] [--adopt]`.

use std::{io, process::ExitCode};

use orchestrator_base::config::{ApplyArgs, Config, Sources, declared};
use orchestrator_core::admin::declared::ApplyOptions;

use super::{Failed, Outcome, admin, run as run_command, sources as known, told};

/// Makes the catalog what a file declares.
pub fn run(config: &Config, sources: io::Result<Sources>, args: &ApplyArgs) -> ExitCode {
    run_command(async { apply(config, &known(sources)?, args).await })
}

pub(super) async fn apply(config: &Config, sources: &Sources, args: &ApplyArgs) -> Outcome {
    let declared = declared::read(&args.file, sources).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failed::given(lines.join("\n"))
    })?;
    // A file that declares nothing owns nothing: with --prune, all that it owned goes.
    let json = declared.json().unwrap_or("{}").into();
    let options = ApplyOptions { dry_run: args.dry_run, prune: args.prune, adopt: args.adopt };
    let (admin, database) = admin(config).await?;
    let report = admin.apply_declared(&json, options).await?;
    database.close().await;
    Ok(told(&report))
}
