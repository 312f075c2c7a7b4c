//! Moving the configuration: decode, call, encode.

use orchestrator_core::{admin::Admin, error::Result};
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
    let (declared, options) = convert::declared(request);
    admin.apply_declared(&declared, options).await.map(convert::report)
}
