//! Moving the configuration: decode, call, encode.

use orchestrator_core::{admin::Admin, error::Result};
use orchestrator_proto::v1;

use crate::convert::admin::transfer as convert;

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
