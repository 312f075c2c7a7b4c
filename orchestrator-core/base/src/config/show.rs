//! The effective configuration as a file would have it, for `check-config`: secrets masked, and for each value that is not the
//! default, where it comes from.

use std::fmt::Write as _;

use toml::Value;

use super::{
    load::Loaded,
    settings::{SETTINGS, in_file},
};

/// TOML text with a line for every setting; what is not set and has no default is a comment.
pub fn show(loaded: &Loaded) -> String {
    // The sections hold nothing that TOML cannot say; a default in place of an error would only hide a mistake in them.
    let table = match Value::try_from(&loaded.config) {
        Ok(table) => table,
        Err(error) => return format!("# the configuration cannot be shown: {error}\n"),
    };
    let mut text = String::new();
    let mut current = "";
    for setting in SETTINGS {
        let (section, key) = setting.name.split_once('.').unwrap_or((setting.name, ""));
        if section != current {
            let blank = if current.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{blank}[{}]", in_file(section));
            current = section;
        }
        let _ = match table.get(section).and_then(|keys| keys.get(key)) {
            Some(value) => write!(text, "{key} = {value}"),
            None => write!(text, "# {key} ="),
        };
        let _ = match loaded.places.get(setting.name) {
            Some(place) => writeln!(text, "  # {}", place.replace(['\r', '\n'], " ")),
            None => writeln!(text),
        };
    }
    text
}
