//! Moving the configuration: decode, call, encode.

use orchestrator_base::config::{Change, Config, Declared, Problem, Reload};
use orchestrator_core::{
    admin::{
        Admin,
        declared::{self, ApplyOptions},
        transfer::Report,
    },
    audit::{Event, action},
    error::{Error, Result},
};
use orchestrator_proto::v1;
use serde_json::Value;

use crate::convert::admin::transfer as convert;

/// What secrets are called in documents; the first is an export's envelope for them.
const SECRETS: [&str; 4] = ["secrets", "secret", "api_key", "digest"];

/// Whether a document brings secrets along: sealed under a passphrase, as digests, or in the clear.
pub(super) fn has_secrets(document_json: &str) -> bool {
    // What is no JSON is refused when it is read.
    serde_json::from_str(document_json).is_ok_and(|document: Value| holds_secret(&document))
}

fn holds_secret(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            (SECRETS.contains(&name.as_str()) && !value.is_null()) || holds_secret(value)
        }),
        Value::Array(values) => values.iter().any(holds_secret),
        _ => false,
    }
}

pub(super) async fn export(admin: &Admin, request: v1::ExportConfigRequest) -> Result<v1::ConfigDocument> {
    let document_json = admin.export_config(request.passphrase.map(Into::into)).await?;
    Ok(v1::ConfigDocument { document_json })
}

pub(super) async fn import(admin: &Admin, request: v1::ImportConfigRequest) -> Result<v1::ConfigReport> {
    let document = request.document_json.clone();
    let options = convert::import_options(request)?;
    admin.import_config(&document, options).await.map(convert::report)
}

pub(super) async fn apply(admin: &Admin, request: v1::ApplyConfigRequest) -> Result<v1::ConfigReport> {
    let (document, options) = convert::declared(request);
    declared::refuse_references(&document)?;
    admin.apply_declared(&document, options).await.map(convert::report)
}

/// What reading the configuration again has changed.
pub(crate) struct Reloaded {
    pub(crate) catalog: Report,
    pub(crate) settings: Vec<Change>,
}

/// Reads the configuration's files again, applies the settings that can change, and makes the catalog what they declare. What they
/// no longer declare stays.
///
/// Errors: every problem with the files, a line each, and then nothing is changed; as [`Admin::apply_declared`], and then the settings
/// are applied all the same.
pub(crate) async fn reload(admin: &Admin, reload: &Reload, declared: &Declared) -> Result<Reloaded> {
    let (again, declared) = (reload.clone(), declared.clone());
    let read = tokio::task::spawn_blocking(move || read_again(&again, &declared)).await;
    let (declared, settings) =
        read.map_err(|_| Error::internal("the configuration's files could not be read"))??;
    if !settings.is_empty() {
        let shown = settings.iter().map(|change| (change.name.to_owned(), change.effect.name().into()));
        let event = Event::new(action::UPDATE, "settings").after(Value::Object(shown.collect()));
        // The files were changed by somebody who needed nobody's leave.
        if let Err(error) = admin.record(event).await {
            tracing::warn!(
                error = error.message,
                "the audit log does not have which settings were read again"
            );
        }
    }
    let catalog = match declared.json() {
        Some(json) => admin.apply_declared(&json.into(), ApplyOptions::default()).await?,
        None => Report::default(),
    };
    Ok(Reloaded { catalog, settings })
}

/// Blocks.
fn read_again(reload: &Reload, before: &Declared) -> Result<(Declared, Vec<Change>)> {
    let check = |config: &Config| match config.declared.json() {
        Some(json) => declared::check(&json.into()).map_err(Refused::Rows),
        None => Ok(()),
    };
    let (config, settings) = reload.again(check).map_err(Error::from)?;
    let declared = match config {
        Some(config) => config.declared,
        None => before.again().map_err(|problems| Error::from(Refused::Files(problems)))?,
    };
    Ok((declared, settings))
}

/// Why the files are not taken.
enum Refused {
    Files(Vec<Problem>),
    Rows(Error),
}

impl From<Vec<Problem>> for Refused {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Files(problems)
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Rows(error) => error,
            Refused::Files(problems) => {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                let message = format!("the configuration's file has problems:\n{}", lines.join("\n"));
                Self::invalid("file".to_owned(), message)
            }
        }
    }
}
