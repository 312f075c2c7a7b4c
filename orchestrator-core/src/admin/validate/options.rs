//! What a provider's options may hold.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;

use super::{at_most, refuse, text};
use crate::{
    catalog::{PROBES, Provider},
    dialect::Dialect,
    error::Result,
    provider::preset::{PRESETS, preset},
};

/// The body's fields that say what is asked; no option of a provider overrides them.
const OWN_FIELDS: [&str; 3] = ["model", "stream", "messages"];

/// All of them.
pub(super) fn check(provider: &Provider) -> Result<()> {
    let options = &provider.options;
    for name in &options.dialects {
        if Dialect::from_name(name).is_none() {
            let known = Dialect::ALL.map(Dialect::name).join(", ");
            let why = format!("{name:?} is no dialect; there are {known}");
            return refuse("options.dialects", &why);
        }
    }
    at_most("options.dialects", options.dialects.len(), 16)?;
    overrides(&options.body_overrides)?;
    if let Some(name) = &options.preset {
        if provider.kind != "openai_compatible" {
            return refuse("options.preset", "is only for the kind openai_compatible");
        }
        if preset(name).is_none() {
            let known = PRESETS.map(|preset| preset.name).join(", ");
            return refuse("options.preset", &format!("must be one of {known}"));
        }
    }
    if let Some(version) = &options.api_version {
        if provider.kind != "azure_openai" {
            return refuse("options.api_version", "is only for the kind azure_openai");
        }
        text("options.api_version", version, 1, 64)?;
    }
    if let Some(probe) = &options.probe
        && !PROBES.contains(&probe.as_str())
    {
        return refuse("options.probe", &format!("must be one of {}", PROBES.join(", ")));
    }
    Ok(())
}

fn overrides(overrides: &BTreeMap<String, String>) -> Result<()> {
    const PARAM: &str = "options.body_overrides_json";
    at_most(PARAM, overrides.len(), 32)?;
    for (name, json) in overrides {
        if OWN_FIELDS.contains(&name.as_str()) {
            return refuse(PARAM, &format!("must not override {name:?}"));
        }
        text(PARAM, name, 1, 128)?;
        if json.len() > 16 * 1024 {
            return refuse(PARAM, &format!("{name:?} is longer than 16 KiB"));
        }
        if serde_json::from_str::<IgnoredAny>(json).is_err() {
            return refuse(PARAM, &format!("{name:?} is not valid JSON; a string needs its quotes"));
        }
    }
    Ok(())
}
