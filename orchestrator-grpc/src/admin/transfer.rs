//! Moving the configuration: decode, call, encode.

use orchestrator_base::config::Declared;
use orchestrator_core::{
    admin::{
        Admin,
        declared::{self, ApplyOptions},
        transfer::Report,
    },
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

/// Reads again what the configuration's files declare, and makes the catalog so. What they no longer have stays.
///
/// Errors: every problem with the files, a line each, and then nothing is changed; as [`Admin::apply_declared`].
pub(crate) async fn reload(admin: &Admin, declared: &Declared) -> Result<Report> {
    let declared = declared.clone();
    let read = tokio::task::spawn_blocking(move || declared.again()).await;
    let read = read.map_err(|_| Error::internal("the configuration's files could not be read"))?;
    let declared = read.map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Error::invalid(
            "file".to_owned(),
            format!("the configuration's file has problems:\n{}", lines.join("\n")),
        )
    })?;
    match declared.json() {
        Some(json) => admin.apply_declared(&json.into(), ApplyOptions::default()).await,
        None => Ok(Report::default()),
    }
}
