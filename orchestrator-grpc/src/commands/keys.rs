//! `keys rotate [--new-master-key-file FILE]`.
//!
//! Where the master key is a file that was generated, the new one is on disk beside it before the database is sealed with it, and takes
//! its place afterwards: whenever this breaks off, one of the two files has the database's key, and the next start finds it
//! (`boot/keys.rs`).

use std::{io, path::Path, process::ExitCode};

use orchestrator_base::{
    clock::Clock,
    config::{AppEnv, Config, KeysCommand, Sources, weakness},
    keyfile,
    random::{self, Random},
};
use orchestrator_core::{
    admin::{rotate, secrets::Vault},
    audit::{Actor, Stamp},
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Failed, Outcome, open, run as run_command, sources as known};
use crate::boot::{
    self,
    keys::{MASTER_FILE, NEXT_MASTER_FILE},
};

/// The variable that holds the new key.
const NEW_KEY: &str = "MASTER_KEY_NEW";

/// Works on the installation's keys.
pub fn run(config: &Config, sources: io::Result<Sources>, command: &KeysCommand) -> ExitCode {
    let KeysCommand::Rotate { new_master_key_file } = command;
    run_command(async {
        let sources = known(sources)?;
        let new = sources.secret(new_master_key_file.as_deref(), NEW_KEY).map_err(Failed::given)?;
        rotated(config, new).await
    })
}

pub(super) async fn rotated(config: &Config, new: Option<SecretString>) -> Outcome {
    let data_dir = boot::data_dir(&config.data.dir)?;
    let is_generated = config.keys.master.is_none();
    let new = match new {
        Some(new) => new,
        None if is_generated => random::secret_text("").into(),
        None => {
            let why = format!(
                "MASTER_KEY is given, so the new one must be: set {NEW_KEY}, or --new-master-key-file FILE"
            );
            return Err(Failed::given(why));
        }
    };
    if config.app.env == AppEnv::Production
        && let Some(fault) = weakness(new.expose_secret())
    {
        return Err(Failed::given(format!("the new master key {fault}")));
    }
    let master = boot::keys::master(config, &data_dir)?;
    let database = open(config).await?;
    let old = boot::keys::vault(config, &data_dir, &master, &database).await?;
    let (next, place) = (data_dir.join(NEXT_MASTER_FILE), data_dir.join(MASTER_FILE));
    let kept = |outcome: io::Result<()>, path: &Path| {
        outcome.map_err(|error| Failed::because(format!("{}: {error}", path.display())))
    };
    if is_generated {
        kept(keyfile::write(&next, new.expose_secret()), &next)?;
    }
    let (at, random) = (Clock::system().now(), Random::system());
    let stamp = Stamp { actor: Actor::cli(), at, random };
    let count = rotate::rotate(&database, &old, &Vault::new(&new), &stamp).await?;
    if is_generated {
        kept(keyfile::replace(&next, &place), &place)?;
    }
    database.close().await;
    let where_it_is = if is_generated {
        format!("The new master key is in {}.", place.display())
    } else {
        "Set MASTER_KEY to the new key before the next start; the old one opens nothing any more.".to_owned()
    };
    Ok(format!(
        "{count} stored secrets are sealed with the new master key.\n{where_it_is}\nCores that run go on with what they have loaded, \
         and take no changes until they are started again with the new key.\n"
    ))
}
