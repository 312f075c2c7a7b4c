//! Everything that can be set, as plain structs with their defaults, and how it is read.
//!
//! Defaults < `orchestrator.toml` < `.env` < environment < command line. [`load()`] is a function of its [`Sources`]: it reads
//! the files they name and nothing else, so that a test says what the environment is. All problems are reported at once.
//!
//! Adding a setting: a field in its section's struct whose doc names its variable and default, a row in the table of
//! [`settings`] (a test says so if it is missing), its effect, and a test of that effect. Deep code takes a section's struct
//! (or a value out of it) as an argument; nothing but `config*` reads the environment.

pub mod sections;

pub mod cli;
mod database;
pub mod declared;
mod env_file;
pub mod init_env;
mod layers;
mod load;
mod problem;
mod reload;
mod settings;
mod show;
mod sources;
mod strength;
mod supervision;
mod value;

pub use cli::{
    ApplyArgs, CommonArgs, CoreArgs, CoreCommand, EdgeArgs, EdgeCommand, ExportArgs, ImportArgs, KeysCommand,
    StatsCommand,
};
pub use database::{DatabaseTarget, ServerUrl};
pub use declared::Declared;
pub use load::{Loaded, Role, load};
pub use problem::Problem;
pub use reload::{Change, Effect, Origin, Reload};
pub use sections::*;
pub use show::show;
pub use sources::Sources;
pub use strength::weakness;
pub use supervision::Supervision;
pub use value::pairs;
