//! Where a configuration comes from, apart from the defaults.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use secrecy::SecretString;

use super::cli::CommonArgs;

/// A file that holds one secret and is larger holds something else.
const MOST_SECRET_BYTES: u64 = 64 * 1024;

/// Everything that [`load`](super::load()) looks at. No `Debug`: the environment holds secrets.
#[derive(Clone, Default)]
pub struct Sources {
    /// `--config`. Otherwise `ORCHESTRATOR_CONFIG`, otherwise `orchestrator.toml` in the working directory, if it is there.
    pub config_file: Option<PathBuf>,
    /// `--env-file`. Otherwise `.env` in the working directory, if it is there.
    pub env_file: Option<PathBuf>,
    /// The process environment.
    pub environment: BTreeMap<String, String>,
    /// What relative paths of files to read start from. (`data.dir` and the database's path are left as they are.)
    pub working_dir: PathBuf,
    /// Settings of the command line: `section.key` and value. Of equal keys the last counts.
    pub command_line: Vec<(String, String)>,
}

impl Sources {
    /// What this process was started with: the one place that reads its environment.
    ///
    /// # Errors
    /// The working directory does not exist any more, or may not be read.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn from_process(common: &CommonArgs) -> io::Result<Self> {
        let mut environment = BTreeMap::new();
        for (name, value) in env::vars_os() {
            // A name that is not text is none of ours. A value that is not text becomes one that its check refuses.
            if let Ok(name) = name.into_string() {
                environment.insert(name, value.to_string_lossy().into_owned());
            }
        }
        // For the test that shows what masking is for; release builds do not know it.
        #[cfg(debug_assertions)]
        if environment.contains_key("ORCHESTRATOR_DEBUG_BUILD_SHOWS_SECRETS") {
            crate::mask::show_secrets();
        }
        Ok(Self {
            config_file: common.config.clone(),
            env_file: common.env_file.clone(),
            environment,
            working_dir: env::current_dir()?,
            command_line: common.set.clone(),
        })
    }

    /// A secret of the command line: the first line of `file`, else the variable `name`. It is no setting, for it is needed once.
    ///
    /// # Errors
    /// The file cannot be read, or its first line is empty.
    pub fn secret(&self, file: Option<&Path>, name: &str) -> io::Result<Option<SecretString>> {
        let Some(file) = file else {
            let given = self.environment.get(name).filter(|secret| !secret.is_empty());
            return Ok(given.map(|secret| SecretString::from(secret.as_str())));
        };
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
        let text = self.read(file, MOST_SECRET_BYTES).map_err(told)?;
        match text.lines().next().filter(|line| !line.is_empty()) {
            Some(line) => Ok(Some(line.into())),
            None => Err(told(io::Error::other("its first line is empty"))),
        }
    }

    /// The text of a file, whose path may be relative to the working directory, of at most `most` bytes.
    pub(super) fn read(&self, path: &Path, most: u64) -> io::Result<String> {
        let mut text = String::new();
        fs::File::open(self.working_dir.join(path))?.take(most + 1).read_to_string(&mut text)?;
        if text.len() as u64 > most {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("is larger than {most} bytes")));
        }
        Ok(text)
    }
}
