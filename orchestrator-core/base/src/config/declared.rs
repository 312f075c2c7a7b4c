//! The declared catalog: `[[providers]]`, `[[models]]`, `[[model_providers]]`, `[[teams]]` and `[[api_keys]]` of a file.
//!
//! What a row may hold is the domain's to say, so rows are only carried here, as JSON. Secrets are resolved, since only the
//! configuration reads the environment: `api_key` and `keys[].secret` of a provider, `secret` of a caller's key.

use std::{fmt, sync::Arc};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Number, Value as Json};

use super::{
    layers::{self, Layers},
    problem::Problem,
    sources::Sources,
    value,
};

/// The arrays of tables that are no settings.
pub(super) const NOUNS: [&str; 5] = ["providers", "models", "model_providers", "teams", "api_keys"];

/// What a file declares. Its text holds secrets, and so does what it was read from: `Debug` shows nothing of them.
#[derive(Clone, Default)]
pub struct Declared {
    json: Option<SecretString>,
    /// Of a configuration: what it was loaded from.
    sources: Option<Arc<Sources>>,
}

impl Declared {
    /// A JSON object with an array for each noun that the file has; `None`: the file declares nothing.
    pub fn json(&self) -> Option<&str> {
        self.json.as_ref().map(ExposeSecret::expose_secret)
    }

    /// These rows, as a JSON object.
    pub fn of(json: SecretString) -> Self {
        Self { json: Some(json), sources: None }
    }

    /// What the configuration's files declare now. Settings are checked by name and otherwise left alone. Blocks.
    ///
    /// # Errors
    /// As [`read`].
    pub fn again(&self) -> Result<Self, Vec<Problem>> {
        let Some(sources) = &self.sources else { return Ok(self.clone()) };
        let mut layers = layers::gather(sources);
        let mut problems = std::mem::take(&mut layers.problems);
        let declared = resolve(&layers, sources, &mut problems).out_of(sources);
        if problems.is_empty() { Ok(declared) } else { Err(problems) }
    }

    /// These rows were read from these sources.
    pub(super) fn out_of(self, sources: &Sources) -> Self {
        Self { sources: Some(Arc::new(sources.clone())), ..self }
    }
}

impl fmt::Debug for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Declared").finish_non_exhaustive()
    }
}

/// What the file at `path` declares. Its settings are checked by name and otherwise ignored, so that it may be a whole
/// `orchestrator.toml`.
///
/// # Errors
/// Every problem with the file: names that are not known, secrets that cannot be found. What is wrong with a row is not seen here.
pub fn read(path: &std::path::Path, sources: &Sources) -> Result<Declared, Vec<Problem>> {
    let mut layers = layers::of_file(path, sources);
    let mut problems = std::mem::take(&mut layers.problems);
    let declared = resolve(&layers, sources, &mut problems);
    if problems.is_empty() { Ok(declared) } else { Err(problems) }
}

/// The rows that `layers` found, with their secrets in place.
pub(super) fn resolve(layers: &Layers, sources: &Sources, problems: &mut Vec<Problem>) -> Declared {
    let mut document = Map::new();
    for (file, noun, rows) in &layers.declared {
        let mut rows = json(rows);
        for (index, row) in rows.as_array_mut().into_iter().flatten().enumerate() {
            let mut secret = |place: &mut Json, name: &str| {
                let Json::String(text) = place else { return };
                match value::resolve(text, sources, layers) {
                    Ok(secret) => secret.expose_secret().clone_into(text),
                    Err(why) => problems.push(Problem::of(&format!("{noun}[{index}].{name}"), file, why)),
                }
            };
            match *noun {
                "providers" => {
                    row.get_mut("api_key").into_iter().for_each(|place| secret(place, "api_key"));
                    let keys = row.get_mut("keys").and_then(Json::as_array_mut).into_iter().flatten();
                    for (at, key) in keys.enumerate() {
                        let name = format!("keys[{at}].secret");
                        key.get_mut("secret").into_iter().for_each(|place| secret(place, &name));
                    }
                }
                "api_keys" => row.get_mut("secret").into_iter().for_each(|place| secret(place, "secret")),
                _ => {}
            }
        }
        document.insert((*noun).to_owned(), rows);
    }
    if document.is_empty() {
        return Declared::default();
    }
    Declared::of(Json::Object(document).to_string().into())
}

/// Times become their text; numbers that JSON has not become `null`.
fn json(value: &toml::Value) -> Json {
    match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        toml::Value::Boolean(switch) => (*switch).into(),
        toml::Value::Datetime(moment) => moment.to_string().into(),
        toml::Value::Array(elements) => elements.iter().map(json).collect(),
        toml::Value::Table(table) => {
            Json::Object(table.iter().map(|(key, value)| (key.clone(), json(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Role, load};

    fn sources(text: &str) -> (tempfile::TempDir, Sources) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("orchestrator.toml"), text).unwrap();
        std::fs::write(folder.path().join("key.txt"), "sk-from-file\n").unwrap();
        let environment = [("VENDOR_KEY".to_owned(), "sk-from-environment".to_owned())].into();
        let sources = Sources { environment, working_dir: folder.path().to_owned(), ..Sources::default() };
        (folder, sources)
    }

    #[test]
    fn rows_are_carried_with_their_secrets_resolved() {
        let (_folder, sources) = sources(
            "[app]\nenv = \"development\"\n[provider_rules]\ndeny_private_networks = true\n\
             [[providers]]\nname = \"a\"\napi_key = \"env:VENDOR_KEY\"\nkeys = [{ label = \"b\", secret = \"file:key.txt\" }]\n\
             [[api_keys]]\nname = \"c\"\nsecret = \"plain\"\nexpires_at = 2030-01-01T00:00:00Z\n",
        );
        let loaded = load(&sources, Role::Core).unwrap();
        assert!(loaded.config.providers.deny_private_networks);
        let json = loaded.config.declared.json().unwrap();
        assert_eq!(
            json,
            r#"{"api_keys":[{"expires_at":"2030-01-01T00:00:00Z","name":"c","secret":"plain"}],"providers":[{"api_key":"sk-from-environment","keys":[{"label":"b","secret":"sk-from-file"}],"name":"a"}]}"#
        );
        assert!(!format!("{loaded:?}").contains("sk-from"));
        let same = read("orchestrator.toml".as_ref(), &sources).unwrap();
        assert_eq!(same.json(), Some(json));
    }

    #[test]
    fn a_secret_that_cannot_be_found_is_named_with_its_row() {
        let (_folder, sources) = sources(
            "[[providers]]\nname = \"a\"\n[[providers]]\nname = \"b\"\napi_key = \"env:MISSING\"\n[[modells]]\nx = 1\n",
        );
        let problems = read("orchestrator.toml".as_ref(), &sources).unwrap_err();
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "modells (orchestrator.toml): no such table; the nearest is [[models]]",
                "providers[1].api_key (orchestrator.toml): names the variable \"MISSING\", which is not set",
            ]
        );
        // An edge in front of a core keeps no catalog, and may not have its secrets.
        let edge =
            Sources { command_line: vec![("edge.core_endpoint".into(), "http://core:1".into())], ..sources };
        let problems = load(&edge, Role::Edge).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
    }

    #[test]
    fn what_a_file_declares_can_be_read_again() {
        let (folder, sources) = sources("[[providers]]\nname = \"a\"\napi_key = \"env:VENDOR_KEY\"\n");
        let first = load(&sources, Role::Core).unwrap().config.declared;
        let path = folder.path().join("orchestrator.toml");
        std::fs::write(&path, "[[models]]\nname = \"m\"\n").unwrap();
        let second = first.again().unwrap();
        assert_eq!(second.json(), Some(r#"{"models":[{"name":"m"}]}"#));
        std::fs::write(&path, "[[models]]\nname = \n").unwrap();
        assert_eq!(second.again().unwrap_err().len(), 1);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(second.again().unwrap().json(), None);
        assert!(!format!("{first:?}").contains("sk-from"));
    }

    #[test]
    fn the_old_section_is_understood_where_nothing_is_declared() {
        let (_folder, sources) = sources("[providers]\ndeny_private_networks = true\n");
        let loaded = load(&sources, Role::Core).unwrap();
        assert!(loaded.config.providers.deny_private_networks && loaded.config.declared.json().is_none());
    }
}
