//! `backup FILE`.

use std::{path::Path, process::ExitCode};

use orchestrator_base::config::{Config, DatabaseTarget};
use orchestrator_core::{admin::backup, store::Database};

use super::{Failed, Outcome, run as run_command};

/// What no copy of the database holds, and without which it is worth little.
const NOT_INSIDE: &str = "The master key is not inside: keep MASTER_KEY (or DATA_DIR/master.key) in another safe place; without it no \
                          provider's key can be read.\n";

/// Copies the database.
pub fn run(config: &Config, file: &Path) -> ExitCode {
    run_command(copy(config, file))
}

pub(super) async fn copy(config: &Config, file: &Path) -> Outcome {
    let path = match config.database_target().map_err(Failed::given)? {
        DatabaseTarget::Sqlite { path } => path,
        DatabaseTarget::MySql { url } | DatabaseTarget::Postgres { url } => {
            let command = backup::dump_command(url.expose(), file).unwrap_or_default();
            let why =
                format!("this database is a server's, which copies it itself:\n  {command}\n{NOT_INSIDE}");
            return Err(Failed::because(why.trim_end()));
        }
    };
    // Not as the program opens it: a copy is often wanted just before a newer program brings the tables up to date.
    let database = Database::connect_for_copy(&path).await.map_err(Failed::because)?;
    let bytes = backup::copy(&database, file).await?;
    database.close().await;
    Ok(format!("{} copied to {}, {bytes} bytes\n{NOT_INSIDE}", path.display(), file.display()))
}
