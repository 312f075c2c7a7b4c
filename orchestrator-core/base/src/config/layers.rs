//! Lays the sources over each other: what the file says, what `.env` says, what the environment says, what the command line
//! says. The result is text for each setting that somebody set, and where it comes from; `value.rs` makes values of it.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::{
    declared, env_file,
    problem::Problem,
    settings::{self, PREFIX, SETTINGS, Setting},
    sources::Sources,
};

/// What a setting was given, and by whom. No `Debug`: it may be a secret.
pub(super) struct Given {
    pub(super) text: String,
    pub(super) place: String,
}

/// What all layers give together.
#[derive(Default)]
pub(super) struct Layers {
    /// By setting.
    pub(super) given: BTreeMap<&'static str, Given>,
    /// The variables of the `.env` file: what `env:NAME` may name too.
    pub(super) env_file: BTreeMap<String, String>,
    /// The files that were read, as they were named.
    pub(super) files: Vec<PathBuf>,
    /// The declared catalog: file, noun and rows.
    pub(super) declared: Vec<(String, &'static str, toml::Value)>,
    /// Everything that was wrong so far.
    pub(super) problems: Vec<Problem>,
}

const DEFAULT_CONFIG_FILE: &str = "orchestrator.toml";
const DEFAULT_ENV_FILE: &str = ".env";
const CONFIG_VARIABLE: &str = "ORCHESTRATOR_CONFIG";
/// A configuration file above a mebibyte is something else.
const MOST_FILE_BYTES: u64 = 1 << 20;

/// Reads every layer, the lowest first.
pub(super) fn gather(sources: &Sources) -> Layers {
    let mut layers = Layers::default();
    let env_path = sources.env_file.clone();
    let env_text = layers.read_file(sources, env_path.as_deref(), DEFAULT_ENV_FILE);
    if let Some((file, text)) = &env_text {
        layers.parse_env_file(file, text);
    }

    // The `.env` file may name the configuration file, so it is read first, though it counts for more.
    let named = [&sources.environment, &layers.env_file]
        .into_iter()
        .find_map(|variables| set(variables, CONFIG_VARIABLE));
    let config_path = sources.config_file.clone().or_else(|| named.map(PathBuf::from));
    if let Some((file, text)) = layers.read_file(sources, config_path.as_deref(), DEFAULT_CONFIG_FILE) {
        layers.add_toml(&file, &text);
    }
    if let Some((file, _)) = &env_text {
        let variables = layers.env_file.clone();
        layers.add_variables(&variables, &format!(" in {file}"));
    }
    layers.add_variables(&sources.environment, "");
    layers.add_command_line(&sources.command_line);
    layers
}

/// One file alone, beside the `.env` file whose variables it may name.
pub(super) fn of_file(path: &Path, sources: &Sources) -> Layers {
    let mut layers = Layers::default();
    if let Some((file, text)) = layers.read_file(sources, sources.env_file.as_deref(), DEFAULT_ENV_FILE) {
        layers.parse_env_file(&file, &text);
    }
    if let Some((file, text)) = layers.read_file(sources, Some(path), DEFAULT_CONFIG_FILE) {
        layers.add_toml(&file, &text);
    }
    layers
}

/// A variable that is set to something: an empty one is as good as none, since that is what `${X:-}` leaves behind in compose files.
fn set<'a>(variables: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

impl Layers {
    /// The name and text of the file at `path`, or of the `default` one if no path is given and it exists.
    fn read_file(
        &mut self,
        sources: &Sources,
        path: Option<&Path>,
        default: &str,
    ) -> Option<(String, String)> {
        let file = path.unwrap_or(Path::new(default));
        match sources.read(file, MOST_FILE_BYTES) {
            Ok(text) => {
                self.files.push(file.to_owned());
                Some((file.display().to_string(), text))
            }
            Err(error) if path.is_none() && error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.problems.push(Problem::of_file(file.display(), format!("cannot be read: {error}")));
                None
            }
        }
    }

    fn parse_env_file(&mut self, file: &str, text: &str) {
        let (variables, unreadable) = env_file::parse(text);
        self.env_file = variables;
        for (line, why) in unreadable {
            self.problems.push(Problem::of_file(file, format!("line {line} {why}")));
        }
    }

    fn add_toml(&mut self, file: &str, text: &str) {
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => {
                // Its `Display` would print the line, which may hold a secret.
                let start = error.span().map_or(0, |span| span.start);
                let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
                self.problems.push(Problem::of_file(file, format!("line {line}: {}", error.message())));
                return;
            }
        };
        for (section, content) in &table {
            let noun = declared::NOUNS.iter().find(|noun| **noun == section.as_str());
            if let (Some(noun), toml::Value::Array(_)) = (noun, content) {
                self.declared.push((file.to_owned(), noun, content.clone()));
                continue;
            }
            if let toml::Value::Table(keys) = content {
                let of_file = settings::FILE_SECTIONS.iter().find(|(_, in_file)| in_file == section);
                let section = of_file.map_or(section.as_str(), |(section, _)| section);
                self.add_section(file, section, keys);
                continue;
            }
            if content.is_array() {
                let nearest = settings::nearest(section, declared::NOUNS.map(str::to_owned).into_iter());
                let message = format!("no such table; the nearest is [[{nearest}]]");
                self.problems.push(Problem::of(section, file, message));
                continue;
            }
            let sections = SETTINGS.iter().filter_map(|setting| setting.name.split('.').next());
            let nearest = settings::nearest(section, sections.map(str::to_owned));
            let message = format!("no such section; the nearest is [{nearest}]");
            self.problems.push(Problem::of(section, file, message));
        }
    }

    fn add_section(&mut self, file: &str, section: &str, keys: &toml::Table) {
        for (key, value) in keys {
            let name = format!("{section}.{key}");
            let setting = match settings::find(&name, file) {
                Ok(setting) => setting,
                Err(problem) => {
                    self.problems.push(problem);
                    continue;
                }
            };
            match toml_text(setting, value) {
                Some(text) if text.is_empty() => {}
                Some(text) => self.insert(setting, text, file.to_owned()),
                None => {
                    let message = format!("cannot be of type {}", value.type_str());
                    self.problems.push(Problem::of(&name, file, message));
                }
            }
        }
    }

    /// Reads the variables of one layer. `within` says where they stand if not in the environment.
    fn add_variables(&mut self, variables: &BTreeMap<String, String>, within: &str) {
        for setting in SETTINGS {
            let mut found: Option<(String, String)> = None;
            for (variable, text) in forms(setting, variables) {
                match &found {
                    Some((first, value)) if *value != text => {
                        let message = format!("{variable} is set too, and differs; set one of them");
                        self.problems.push(Problem::of(setting.name, format!("{first}{within}"), message));
                    }
                    Some(_) => {}
                    None => found = Some((variable, text)),
                }
            }
            if let Some((variable, text)) = found {
                self.insert(setting, text, format!("{variable}{within}"));
            }
        }
        let known: Vec<String> = SETTINGS.iter().map(Setting::generic_variable).collect();
        for variable in variables.keys().filter(|name| name.starts_with(PREFIX) && !known.contains(name)) {
            let nearest = settings::nearest(variable, known.iter().cloned());
            let message = format!("no such setting; the nearest is {nearest}");
            self.problems.push(Problem::of_file(format!("{variable}{within}"), message));
        }
    }

    /// An empty value on the command line takes back what the layers below said.
    fn add_command_line(&mut self, settings: &[(String, String)]) {
        for (name, text) in settings {
            match settings::find(name, "command line") {
                Ok(setting) if text.is_empty() => {
                    self.given.remove(setting.name);
                }
                Ok(setting) => self.insert(setting, text.clone(), "command line".to_owned()),
                Err(problem) => self.problems.push(problem),
            }
        }
    }

    fn insert(&mut self, setting: &Setting, text: String, place: String) {
        self.given.insert(setting.name, Given { text, place });
    }
}

/// The variables that are set for `setting`, each with its text: the conventional one, the one that names a file, the generic.
fn forms(setting: &Setting, variables: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut forms = Vec::new();
    if let Some(variable) = setting.variable {
        if let Some(text) = set(variables, variable) {
            forms.push((variable.to_owned(), text.to_owned()));
        }
        let file_variable = format!("{variable}_FILE");
        if let Some(path) = set(variables, &file_variable).filter(|_| setting.shape.is_secret()) {
            forms.push((file_variable, format!("file:{path}")));
        }
    }
    let generic = setting.generic_variable();
    if let Some(text) = set(variables, &generic) {
        forms.push((generic.clone(), text.to_owned()));
    }
    forms
}

/// A value of the file as a variable would have it. Arrays are for lists; their elements hold no commas.
fn toml_text(setting: &Setting, value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(switch) => Some(switch.to_string()),
        toml::Value::Array(elements) if setting.shape.is_list() => {
            let text = |element: &toml::Value| match element {
                toml::Value::String(text) => Some(text.clone()),
                toml::Value::Integer(number) => Some(number.to_string()),
                _ => None,
            };
            let texts: Option<Vec<String>> = elements.iter().map(text).collect();
            texts.map(|texts| texts.join(","))
        }
        toml::Value::Array(_) | toml::Value::Table(_) | toml::Value::Datetime(_) => None,
    }
}
