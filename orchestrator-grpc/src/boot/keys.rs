//! The installation's own keys: given by the configuration, or, in development, generated into files that only their owner reads.

use std::path::Path;

use orchestrator_base::{
    config::{AppEnv, Config},
    keyfile, random,
};
use orchestrator_core::{
    admin::secrets,
    error::{Error, Result as CoreResult},
};
use secrecy::{ExposeSecret as _, SecretString};

use super::StartError;

/// What every core needs.
pub(super) struct Keys {
    pub(super) admin: SecretString,
    pub(super) master: SecretString,
}

/// The admin key and the master key. The configuration's check has refused a production without them.
pub(super) fn resolve(config: &Config, data_dir: &Path) -> Result<Keys, StartError> {
    let given_or_file = |given: &Option<SecretString>, file: &str, prefix: &str| match given {
        Some(given) => Ok(given.clone()),
        None if config.app.env == AppEnv::Production => Err(StartError {
            step: "reading keys",
            reason: "production needs ADMIN_KEY and MASTER_KEY: see `orchestrator-grpc init --env`".into(),
            configuration: true,
        }),
        None => keyfile::read_or_create(&data_dir.join(file), || random::secret_text(prefix))
            .map_err(StartError::at("reading keys")),
    };
    Ok(Keys {
        admin: given_or_file(&config.keys.admin, "admin.key", "llmo_admin_")?,
        master: given_or_file(&config.keys.master, "master.key", "")?,
    })
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
