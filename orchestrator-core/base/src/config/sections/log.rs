//! Section `log`: what the program says, and how long the account of requests is kept.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Section `log`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `LOG_LEVEL`, default `info`, in any case: `error`, `warn`, `info`, `debug`, `trace`, `off`.
    pub level: String,
    /// `LOG_FORMAT`, default `json` when not a terminal, else `pretty`.
    pub format: Option<LogFormat>,
    /// `LOG_FILE`, default none: lines go there too. Opened again at SIGHUP.
    pub file: Option<PathBuf>,
    /// `ACCESS_LOG_FILE`, default none: the edge writes a line a request there. Opened again at SIGHUP.
    pub access_file: Option<PathBuf>,
    /// `LOG_RETENTION_DAYS`, default 30: how long request logs are kept, at first; 0 is for ever. Afterwards the database holds it.
    pub retention_days: u32,
    /// How long what was said is kept, at first, default 0: as long as its request's log.
    pub bodies_retention_days: u32,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: None,
            file: None,
            access_file: None,
            retention_days: 30,
            bodies_retention_days: 0,
        }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a person at a terminal.
    Pretty,
}
