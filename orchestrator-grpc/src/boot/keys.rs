//! The installation's own keys: given by the configuration, or, in development, generated into files that only their owner reads.

use std::path::Path;

use orchestrator_base::{
    config::{AppEnv, Config},
    keyfile, random,
};
use orchestrator_core::{
    admin::secrets::{self, Vault},
    error::{Error, ErrorKind, Result as CoreResult},
    store::Database,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::StartError;

/// What every core needs.
pub(super) struct Keys {
    pub(super) admin: SecretString,
    pub(super) master: SecretString,
}

/// The master key's file in `DATA_DIR`, where the configuration gives none.
pub(crate) const MASTER_FILE: &str = "master.key";
/// The next master key, from before the database is sealed with it until it has its place.
pub(crate) const NEXT_MASTER_FILE: &str = "master.key.new";

/// The admin key and the master key. The configuration's check has refused a production without them.
pub(super) fn resolve(config: &Config, data_dir: &Path) -> Result<Keys, StartError> {
    let admin =
        given_or_file(config, config.keys.admin.as_ref(), &data_dir.join("admin.key"), "llmo_admin_")?;
    Ok(Keys { admin, master: master(config, data_dir)? })
}

/// The master key: the configuration's or the file's.
pub(crate) fn master(config: &Config, data_dir: &Path) -> Result<SecretString, StartError> {
    given_or_file(config, config.keys.master.as_ref(), &data_dir.join(MASTER_FILE), "")
}

/// What opens the database's secrets. Another master key than the database's would make every one unreadable: better not to start.
///
/// A change of the generated key that broke off between database and file is brought to its end here.
pub(crate) async fn vault(
    config: &Config,
    data_dir: &Path,
    master: &SecretString,
    database: &Database,
) -> Result<Vault, StartError> {
    let vault = Vault::new(master);
    let Err(refused) = vault.check_fingerprint(database).await else { return Ok(vault) };
    let next = data_dir.join(NEXT_MASTER_FILE);
    if refused.kind == ErrorKind::Conflict && config.keys.master.is_none() && next.is_file() {
        let key = keyfile::read_or_create(&next, String::new).map_err(StartError::at("reading keys"))?;
        let vault = Vault::new(&key);
        if vault.check_fingerprint(database).await.is_ok() {
            keyfile::replace(&next, &data_dir.join(MASTER_FILE)).map_err(StartError::at("reading keys"))?;
            tracing::info!("A change of the master key that had broken off is complete");
            return Ok(vault);
        }
    }
    let configuration = refused.kind == ErrorKind::Conflict;
    Err(StartError { step: "checking MASTER_KEY", reason: refused.message, configuration })
}

fn given_or_file(
    config: &Config,
    given: Option<&SecretString>,
    file: &Path,
    prefix: &str,
) -> Result<SecretString, StartError> {
    match given {
        Some(given) => Ok(given.clone()),
        None if config.app.env == AppEnv::Production => Err(StartError {
            step: "reading keys",
            reason: "production needs ADMIN_KEY and MASTER_KEY: see `orchestrator-grpc init --env`".into(),
            configuration: true,
        }),
        None => keyfile::read_or_create(file, || random::secret_text(prefix))
            .map_err(StartError::at("reading keys")),
    }
}

/// The key of a first caller: the configuration's, or, in development, a generated one as long as nobody has any.
pub(super) fn first_client(
    config: &Config,
    data_dir: &Path,
    has_keys: bool,
) -> CoreResult<Option<SecretString>> {
    if config.keys.client.is_some() {
        return Ok(config.keys.client.clone());
    }
    if has_keys || config.app.env == AppEnv::Production {
        return Ok(None);
    }
    let make = || secrets::generate_api_key().expose_secret().to_owned();
    let key = keyfile::read_or_create(&data_dir.join("client.key"), make);
    key.map(Some).map_err(|error| Error::internal(format!("client.key: {error}")))
}
