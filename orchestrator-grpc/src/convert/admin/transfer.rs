//! Imports, declarations, and what they changed.

use orchestrator_base::config::Change;
use orchestrator_core::{
    admin::{
        declared::ApplyOptions,
        transfer::{Action, Difference, FieldDifference, ImportOptions, OnConflict, Report},
    },
    error::{Error, Result},
};
use orchestrator_proto::v1;
use secrecy::SecretString;

use crate::admin::transfer::Reloaded;

/// Out of the contract.
pub(crate) fn import_options(request: v1::ImportConfigRequest) -> Result<ImportOptions> {
    let on_conflict = match request.on_conflict.as_str() {
        "" => OnConflict::default(),
        name => OnConflict::named(name).ok_or_else(|| {
            Error::invalid("on_conflict".to_owned(), "on_conflict must be \"skip\" or \"replace\"")
        })?,
    };
    let passphrase = request.passphrase.filter(|passphrase| !passphrase.is_empty()).map(Into::into);
    Ok(ImportOptions { on_conflict, dry_run: request.dry_run, passphrase })
}

/// Out of the contract.
pub(crate) fn declared(request: v1::ApplyConfigRequest) -> (SecretString, ApplyOptions) {
    let v1::ApplyConfigRequest { document_json, dry_run, prune, adopt } = request;
    (document_json.into(), ApplyOptions { dry_run, prune, adopt })
}

/// Into the contract.
pub(crate) fn report(report: Report) -> v1::ConfigReport {
    v1::ConfigReport {
        created: report.count(Action::Create),
        replaced: report.count(Action::Update),
        deleted: report.count(Action::Delete),
        unchanged: report.unchanged,
        skipped: report.skipped,
        left_out: report.left_out,
        dry_run: report.dry_run,
        differences: report.differences.into_iter().map(difference).collect(),
        notes: report.notes,
        settings: Vec::new(),
    }
}

/// Into the contract.
pub(crate) fn reloaded(reloaded: Reloaded) -> v1::ConfigReport {
    let change = |Change { name, effect }| v1::SettingChange {
        name: name.to_owned(),
        effect: effect.name().to_owned(),
    };
    v1::ConfigReport {
        settings: reloaded.settings.into_iter().map(change).collect(),
        ..report(reloaded.catalog)
    }
}

fn difference(difference: Difference) -> v1::ConfigDifference {
    let Difference { action, noun, name, fields } = difference;
    let field = |FieldDifference { field, before, after }| v1::ConfigFieldDifference { field, before, after };
    v1::ConfigDifference {
        action: action.name().to_owned(),
        noun: noun.to_owned(),
        name,
        fields: fields.into_iter().map(field).collect(),
    }
}
