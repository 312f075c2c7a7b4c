//! The command lines of both binaries. They only say what was typed; `Sources` and the binaries' mains do something with it.

use std::{io, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use super::sources::Sources;

/// What both binaries understand, before or after the subcommand.
#[derive(Args, Clone, Default)]
pub struct CommonArgs {
    /// Configuration file [default: $ORCHESTRATOR_CONFIG, else orchestrator.toml if it exists]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// File of environment variables [default: .env if it exists]
    #[arg(long, value_name = "FILE", global = true)]
    pub env_file: Option<PathBuf>,
    /// Sets one setting, over everything else; an empty value means the default.
    /// Repeatable, all before the subcommand or all after it
    #[arg(long, value_name = "SECTION.KEY=VALUE", value_parser = assignment, global = true)]
    pub set: Vec<(String, String)>,
}

/// `orchestrator-grpc`.
#[derive(Parser)]
#[command(
    name = "orchestrator-grpc",
    version,
    about = "The core of LLM Orchestrator: gRPC to model providers"
)]
pub struct CoreArgs {
    /// What both binaries understand.
    #[command(flatten)]
    pub common: CommonArgs,
    /// What to do; see [`CoreArgs::command`].
    #[command(subcommand)]
    pub subcommand: Option<CoreCommand>,
}

/// What the core can do.
#[derive(Subcommand, Clone, Debug, Default, PartialEq, Eq)]
pub enum CoreCommand {
    /// Serve gRPC (the default)
    #[default]
    Serve,
    /// Print the effective configuration, secrets masked, or every problem with it
    CheckConfig,
    /// Write what a new installation needs
    #[command(name = "init")]
    InitEnv {
        /// Print a production `.env` with new keys
        #[arg(long, required = true)]
        env: bool,
    },
    /// Write the descriptor set of the gRPC contract
    Descriptor {
        /// Where to [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Bring the database's tables up to date, as every start does, and say what was done
    Migrate {
        /// Change nothing: list each migration, and whether it is applied
        #[arg(long)]
        status: bool,
    },
    /// Ask the running core whether it is healthy; exit code 0 if so
    Health,
    /// Statistics
    Stats {
        /// What to do with them.
        #[command(subcommand)]
        what: StatsCommand,
    },
    /// Write the configuration into a file (`-`: standard output), for `import`
    Export(ExportArgs),
    /// Take in a configuration that `export` wrote
    Import(ImportArgs),
    /// Make the catalog what a file declares in `[[providers]]`, `[[models]]`, `[[model_providers]]`, `[[teams]]` and `[[api_keys]]`
    Apply(ApplyArgs),
    /// Copy the database into a new file, while it is in use
    Backup {
        /// Where to; it must not be there
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Work on the installation's own keys
    #[command(subcommand)]
    Keys(KeysCommand),
}

/// What can be done with statistics.
#[derive(Subcommand, Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatsCommand {
    /// Add up anew what the logs cover, while cores run
    Rebuild,
}

/// `export`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ExportArgs {
    /// Where to
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// With providers' keys and the digests of callers' keys, sealed under a passphrase: $CONFIG_PASSPHRASE, or --passphrase-file
    #[arg(long)]
    pub secrets: bool,
    /// File whose first line is the passphrase
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// `import`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ImportArgs {
    /// What `export` wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What to do with rows that are there under the same name
    #[arg(long, value_name = "WHAT", default_value = "skip", value_parser = ["skip", "replace"])]
    pub on_conflict: String,
    /// Change nothing, and say what would change
    #[arg(long)]
    pub dry_run: bool,
    /// File whose first line is the passphrase [default: $CONFIG_PASSPHRASE]
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// `apply`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ApplyArgs {
    /// TOML; a whole orchestrator.toml will do
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Change nothing, and say what would change
    #[arg(long)]
    pub dry_run: bool,
    /// Delete what a file owned and this one does not have
    #[arg(long)]
    pub prune: bool,
    /// Take over rows of the same names that Admin manages
    #[arg(long)]
    pub adopt: bool,
}

/// `keys`.
#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum KeysCommand {
    /// Seal every stored secret anew, under another master key: $MASTER_KEY_NEW, or --new-master-key-file, or, where the old one was
    /// generated, a generated one
    Rotate {
        /// File with the new master key
        #[arg(long, value_name = "FILE")]
        new_master_key_file: Option<PathBuf>,
    },
}

/// `orchestrator-edge`.
#[derive(Parser)]
#[command(name = "orchestrator-edge", version, about = "The REST edge of LLM Orchestrator")]
pub struct EdgeArgs {
    /// What both binaries understand.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Core to use, http://HOST:PORT, several comma-separated [default: $CORE_ENDPOINT, else one in this process]
    #[arg(long, value_name = "URI", global = true)]
    pub core: Option<String>,
    /// What to do; see [`EdgeArgs::command`].
    #[command(subcommand)]
    pub subcommand: Option<EdgeCommand>,
}

/// What the edge can do.
#[derive(Subcommand, Clone, Debug, Default, PartialEq, Eq)]
pub enum EdgeCommand {
    /// Serve REST (the default)
    #[default]
    Serve,
    /// Print the effective configuration, secrets masked, or every problem with it
    CheckConfig,
    /// Ask the running edge whether it is healthy; exit code 0 if so
    Health,
}

impl CoreArgs {
    /// The subcommand, by default `serve`.
    pub fn command(&self) -> CoreCommand {
        self.subcommand.clone().unwrap_or_default()
    }

    /// What the process was started with: see [`Sources::from_process`].
    pub fn sources(&self) -> io::Result<Sources> {
        Sources::from_process(&self.common)
    }
}

impl EdgeArgs {
    /// The subcommand, by default `serve`.
    pub fn command(&self) -> EdgeCommand {
        self.subcommand.clone().unwrap_or_default()
    }

    /// What the process was started with, `--core` included: see [`Sources::from_process`].
    pub fn sources(&self) -> io::Result<Sources> {
        let mut common = self.common.clone();
        if let Some(core) = &self.core {
            common.set.push(("edge.core_endpoint".to_owned(), core.clone()));
        }
        Sources::from_process(&common)
    }
}

fn assignment(argument: &str) -> Result<(String, String), &'static str> {
    let (name, value) = argument.split_once('=').ok_or("must be of the form SECTION.KEY=VALUE")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        <CoreArgs as CommandFactory>::command().debug_assert();
        <EdgeArgs as CommandFactory>::command().debug_assert();
    }

    #[test]
    fn serving_is_what_a_bare_name_means() {
        assert_eq!(CoreArgs::parse_from(["orchestrator-grpc"]).command(), CoreCommand::Serve);
        assert_eq!(EdgeArgs::parse_from(["orchestrator-edge"]).command(), EdgeCommand::Serve);
    }

    #[test]
    fn options_may_stand_on_either_side_of_the_subcommand() {
        let line =
            "orchestrator-edge --set edge.port=1 check-config --set log.level=a=b --core http://core:1";
        let args = EdgeArgs::parse_from(line.split(' '));
        assert_eq!(args.command(), EdgeCommand::CheckConfig);
        assert_eq!(args.core.as_deref(), Some("http://core:1"));
        // clap keeps the innermost occurrences of a global option, so one side must be chosen for a repeated one.
        assert_eq!(args.common.set, [("log.level".to_owned(), "a=b".to_owned())]);
    }

    #[test]
    fn the_core_knows_its_subcommands() {
        let command = |line: &str| CoreArgs::try_parse_from(line.split(' ')).map(|args| args.command());
        assert_eq!(command("core init --env").unwrap(), CoreCommand::InitEnv { env: true });
        assert!(command("core init").is_err());
        let out = Some("api.protoset".into());
        assert_eq!(command("core descriptor --out api.protoset").unwrap(), CoreCommand::Descriptor { out });
        assert_eq!(command("core health").unwrap(), CoreCommand::Health);
        let rebuild = CoreCommand::Stats { what: StatsCommand::Rebuild };
        assert_eq!(command("core stats rebuild").unwrap(), rebuild);
        assert!(command("core stats").is_err());
        assert_eq!(command("core migrate").unwrap(), CoreCommand::Migrate { status: false });
        assert_eq!(command("core migrate --status").unwrap(), CoreCommand::Migrate { status: true });
        assert!(command("core --set edge.port").is_err());
        let apply = ApplyArgs { file: "x.toml".into(), dry_run: true, prune: true, adopt: false };
        assert_eq!(command("core apply x.toml --dry-run --prune").unwrap(), CoreCommand::Apply(apply));
        let rotate = CoreCommand::Keys(KeysCommand::Rotate { new_master_key_file: None });
        assert_eq!(command("core keys rotate").unwrap(), rotate);
        assert!(command("core import x.json --on-conflict merge").is_err());
    }

    #[test]
    fn the_edges_core_option_is_a_setting() {
        let args = EdgeArgs::parse_from(["orchestrator-edge", "--core", "http://core:1"]);
        let sources = args.sources().unwrap();
        assert_eq!(sources.command_line, [("edge.core_endpoint".to_owned(), "http://core:1".to_owned())]);
    }
}
