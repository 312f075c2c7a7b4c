//! Settings that change while the program runs: the files are read again, and what differs is handed to whoever can act on it.
//!
//! Whoever can says so with [`Reload::part`]: the settings, and what a new value does. A setting that nobody has named needs a restart,
//! and is told by its name. The process's own environment and its command line cannot change; `.env`, the configuration file and
//! the files of secrets can.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use toml::Value;

use super::{Config, Loaded, Problem, Role, Sources, load, settings::SETTINGS};

/// Settings that a first start puts into the database. What they say now is the database's to say.
const IN_DATABASE: [&str; 6] = [
    "log.retention_days",
    "log.bodies_retention_days",
    "health_check.enabled",
    "health_check.interval",
    "health_check.max_errors",
    "health_check.retry_hours",
];

/// Where a configuration came from, and what each setting was given. It holds secrets: `Debug` shows nothing of it.
#[derive(Clone, Default)]
pub struct Origin {
    sources: Option<(Arc<Sources>, Role)>,
    given: Arc<BTreeMap<&'static str, Value>>,
}

/// What became of a setting that differs from what the program runs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It holds from now on.
    Applied,
    /// It holds from the next start on.
    NeedsRestart,
    /// It is for a first start: the database holds it, and Admin changes it there.
    InDatabase,
}

/// A setting that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// `section.key`.
    pub name: &'static str,
    /// What became of it.
    pub effect: Effect,
}

/// Reads the settings again and applies them. Clones are the same.
#[derive(Clone)]
pub struct Reload(Arc<Shared>);

struct Shared {
    origin: Origin,
    parts: Mutex<Vec<Part>>,
    /// What the program runs with. Held while settings are read and applied, so that of two turns the later has the last word.
    running: Mutex<BTreeMap<&'static str, Value>>,
}

struct Part {
    names: &'static [&'static str],
    apply: Box<dyn Fn(&Config) + Send + Sync>,
}

impl Origin {
    /// Out of the table that a configuration is made of.
    pub(super) fn new(sources: &Sources, role: Role, table: &toml::Table) -> Self {
        let given =
            SETTINGS.iter().filter_map(|setting| Some((setting.name, find(table, setting.name)?.clone())));
        Self { sources: Some((Arc::new(sources.clone()), role)), given: Arc::new(given.collect()) }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").finish_non_exhaustive()
    }
}

impl Effect {
    /// What it is called in answers and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::NeedsRestart => "needs a restart",
            Self::InDatabase => "held by the database",
        }
    }
}

impl Reload {
    /// For a program that runs with `config`. Nobody can act on anything yet, but for what is logged.
    pub fn new(config: &Config) -> Self {
        let running = Mutex::new(effective(&config.origin));
        let reload =
            Self(Arc::new(Shared { origin: config.origin.clone(), parts: Mutex::default(), running }));
        reload.part(&["log.level", "app.debug"], |config| {
            crate::telemetry::configure(&config.log.level, config.app.debug);
        });
        reload
    }

    /// From now on a new value of one of these settings is applied by `apply`, which must not wait for anything.
    pub fn part(&self, names: &'static [&'static str], apply: impl Fn(&Config) + Send + Sync + 'static) {
        lock(&self.0.parts).push(Part { names, apply: Box::new(apply) });
    }

    /// Reads everything again, as a start does, lets `check` look at it, and applies what differs. Blocks while it reads files. Gives
    /// the new configuration and the settings that differ, in the order of the sections; a configuration that was not read from
    /// anywhere stays as it is.
    ///
    /// # Errors
    /// Every problem there is; then nothing is applied.
    pub fn again<E: From<Vec<Problem>>>(
        &self,
        check: impl FnOnce(&Config) -> Result<(), E>,
    ) -> Result<(Option<Config>, Vec<Change>), E> {
        let Some((sources, role)) = &self.0.origin.sources else { return Ok((None, Vec::new())) };
        let mut running = lock(&self.0.running);
        let Loaded { config, .. } = load(sources, *role)?;
        check(&config)?;
        let wanted = effective(&config.origin);
        let parts = lock(&self.0.parts);
        let mut changes = Vec::new();
        let mut due = vec![false; parts.len()];
        for setting in SETTINGS {
            let name = setting.name;
            let new = wanted.get(name);
            if running.get(name) == new {
                continue;
            }
            let mut effect =
                if IN_DATABASE.contains(&name) { Effect::InDatabase } else { Effect::NeedsRestart };
            for (_, due) in parts.iter().zip(&mut due).filter(|(part, _)| part.names.contains(&name)) {
                *due = true;
                effect = Effect::Applied;
            }
            if effect == Effect::Applied {
                match new {
                    Some(new) => running.insert(name, new.clone()),
                    None => running.remove(name),
                };
            }
            tracing::info!(setting = name, effect = effect.name(), "a setting differs");
            changes.push(Change { name, effect });
        }
        for (part, _) in parts.iter().zip(due).filter(|(_, due)| *due) {
            (part.apply)(&config);
        }
        Ok((Some(config), changes))
    }
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reload").finish_non_exhaustive()
    }
}

/// Each setting's value: what it was given, else its default. What has neither is not in it.
fn effective(origin: &Origin) -> BTreeMap<&'static str, Value> {
    let defaults = toml::Table::try_from(Config::default()).unwrap_or_default();
    let of = |name: &'static str| {
        let value = origin.given.get(name).or_else(|| find(&defaults, name));
        value.map(|value| (name, value.clone()))
    };
    SETTINGS.iter().filter_map(|setting| of(setting.name)).collect()
}

fn find<'a>(table: &'a toml::Table, name: &str) -> Option<&'a Value> {
    let (section, key) = name.split_once('.')?;
    table.get(section)?.get(key)
}

/// Nothing panics while it is held, and what it guards is whole between any two calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::atomic::{AtomicU32, Ordering},
    };

    use super::*;

    struct House {
        folder: tempfile::TempDir,
        reload: Reload,
        threshold: Arc<AtomicU32>,
    }

    /// A program that can change its breakers.
    fn house(text: &str) -> House {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("orchestrator.toml"), text).unwrap();
        let sources = Sources { working_dir: folder.path().to_owned(), ..Sources::default() };
        let config = load(&sources, Role::Core).unwrap().config;
        let reload = Reload::new(&config);
        let threshold = Arc::new(AtomicU32::new(config.breaker.threshold));
        let applied = Arc::clone(&threshold);
        reload.part(&["breaker.threshold", "breaker.timeout"], move |config| {
            applied.store(config.breaker.threshold, Ordering::Relaxed);
        });
        House { folder, reload, threshold }
    }

    impl House {
        fn write(&self, text: &str) {
            fs::write(self.folder.path().join("orchestrator.toml"), text).unwrap();
        }

        fn again(&self) -> Result<Vec<(&'static str, &'static str)>, Vec<Problem>> {
            let (_, changes) = self.reload.again(|_| Ok::<_, Vec<Problem>>(()))?;
            Ok(changes.iter().map(|change| (change.name, change.effect.name())).collect())
        }
    }

    #[test]
    fn what_somebody_can_act_on_is_applied_and_the_rest_is_named() {
        let house = house("[breaker]\nthreshold = 3\n");
        assert_eq!(house.again().unwrap(), []);
        // A default that is spelled out is no change.
        house.write(
            "[breaker]\nthreshold = 7\n[grpc]\nport = 50051\n[edge]\nport = 1\n[log]\nretention_days = 1\n[keys]\nclient = \"c-secret\"\n",
        );
        let changes = house.again().unwrap();
        assert_eq!(
            changes,
            [
                ("edge.port", "needs a restart"),
                ("keys.client", "needs a restart"),
                ("log.retention_days", "held by the database"),
                ("breaker.threshold", "applied"),
            ]
        );
        assert_eq!(house.threshold.load(Ordering::Relaxed), 7);
        // What needs a restart still does; what was applied is not told again.
        assert_eq!(house.again().unwrap(), changes[..3]);
        house.write("");
        assert_eq!(house.again().unwrap(), [("breaker.threshold", "applied")]);
        assert_eq!(house.threshold.load(Ordering::Relaxed), 5);
    }

    #[test]
    fn a_bad_file_changes_nothing() {
        let house = house("");
        house.write("[breaker]\nthreshold = 9\n[edge]\nport = \"x\"\n");
        assert_eq!(house.again().unwrap_err().len(), 1);
        house.write("[breaker]\nthreshold = 9\n");
        let refused = house.reload.again(|_| Err(vec![Problem::of_file("orchestrator.toml", "no")]));
        assert_eq!(refused.map(|_| ()).unwrap_err().len(), 1);
        assert_eq!(house.threshold.load(Ordering::Relaxed), 5);
        assert_eq!(house.again().unwrap(), [("breaker.threshold", "applied")]);
        assert!(!format!("{:?}{:?}", house.reload, house.reload.0.origin).contains("threshold"));
    }

    #[test]
    fn a_configuration_from_nowhere_stays() {
        let reload = Reload::new(&Config::default());
        let (config, changes) = reload.again(|_| Ok::<_, Vec<Problem>>(())).unwrap();
        assert!(config.is_none() && changes.is_empty());
    }
}
