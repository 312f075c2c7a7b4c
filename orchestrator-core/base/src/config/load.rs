//! Loads a configuration: gathers the layers, reads every value, checks what must fit together, and reports every problem at
//! once, since a person who mends one a start needs as many starts as there are problems.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use secrecy::{ExposeSecret as _, SecretString};

use super::{
    AppEnv, Config, declared,
    layers::{self, Layers},
    problem::Problem,
    reload::Origin,
    settings::SETTINGS,
    sources::Sources,
    strength, value,
};

/// Which program asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The REST edge. With no `edge.core_endpoint` it embeds a core, and a core's rules hold.
    Edge,
    /// The core.
    Core,
}

/// A configuration without problems.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is set, and the defaults for the rest.
    pub config: Config,
    /// For each setting that is not left to its default, where its value comes from.
    pub places: BTreeMap<&'static str, String>,
    /// The files that were read, as they were named.
    pub files: Vec<PathBuf>,
}

/// The configuration that `sources` make for `role`. Reads the files that they name, and nothing else.
///
/// # Errors
/// Every problem there is, first those of files and names, then those of values in the order of the sections.
pub fn load(sources: &Sources, role: Role) -> Result<Loaded, Vec<Problem>> {
    let mut layers = layers::gather(sources);
    let mut problems = std::mem::take(&mut layers.problems);
    let mut refused = BTreeSet::new();
    let mut table = toml::Table::new();
    for setting in SETTINGS {
        let Some(given) = layers.given.get(setting.name) else { continue };
        match value::parse(setting.shape, &given.text, sources, &layers) {
            Ok(value) => insert(&mut table, setting.name, value),
            Err(message) => {
                problems.push(Problem::of(setting.name, &given.place, message));
                refused.insert(setting.name);
            }
        }
    }

    let origin = Origin::new(sources, role, &table);
    let mut config: Config = match table.try_into() {
        Ok(config) => config,
        Err(error) => {
            // Only a row of the table that disagrees with its field leads here; a test sets every one of them.
            problems.push(Problem::of_file("configuration", error.message()));
            return Err(problems);
        }
    };
    config.origin = origin;
    // An edge in front of a core keeps no catalog, and may not have its secrets.
    if runs_core(role, &layers) {
        config.declared = declared::resolve(&layers, sources, &mut problems).out_of(sources);
    }
    check_production(&config, role, &layers, &refused, &mut problems);
    if !refused.contains("database.url")
        && let Err(problem) = config.database_target()
    {
        problems.push(problem);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let places = layers.given.into_iter().map(|(name, given)| (name, given.place)).collect();
    Ok(Loaded { config, places, files: layers.files })
}

fn insert(table: &mut toml::Table, name: &str, value: toml::Value) {
    let (section, key) = name.split_once('.').unwrap_or((name, ""));
    let section = table.entry(section).or_insert_with(|| toml::Table::new().into());
    if let toml::Value::Table(keys) = section {
        keys.insert(key.to_owned(), value);
    }
}

/// An edge in front of a core holds no keys. A refused endpoint still says which of the two it is meant to be.
fn runs_core(role: Role, layers: &Layers) -> bool {
    role == Role::Core || !layers.given.contains_key("edge.core_endpoint")
}

/// Production invents nothing: the keys that guard everything must be given, and be worth the name.
fn check_production(
    config: &Config,
    role: Role,
    layers: &Layers,
    refused: &BTreeSet<&str>,
    problems: &mut Vec<Problem>,
) {
    if config.app.env != AppEnv::Production || !runs_core(role, layers) {
        return;
    }
    let needed =
        [("keys.admin", "ADMIN_KEY", &config.keys.admin), ("keys.master", "MASTER_KEY", &config.keys.master)];
    for (name, variable, key) in needed {
        if refused.contains(name) {
            continue;
        }
        if let Some(fault) = fault(key.as_ref()) {
            let place = layers.given.get(name).map_or(variable, |given| &given.place);
            let message = format!("{fault}; `orchestrator-grpc init --env` makes a good one");
            problems.push(Problem::of(name, place, message));
        }
    }
}

fn fault(key: Option<&SecretString>) -> Option<String> {
    match key {
        None => Some("is not set, and production generates no keys".to_owned()),
        Some(key) => strength::weakness(key.expose_secret()),
    }
}

#[cfg(test)]
mod tests;
