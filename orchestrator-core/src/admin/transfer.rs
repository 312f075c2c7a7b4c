//! Moving the configuration: export, import, and what a file declares.
//!
//! An export is JSON with an envelope: `format`, `version`, `exported_at`, then a section for each noun. Sections may be missing.
//! Rows name each other by their names, and stand sorted, so that two exports can be compared. Secrets are in it only under a
//! passphrase ([`sealed`]): providers' keys, and of callers' keys the digests, with which they work on after an import.
//!
//! Reading is in steps: [`document`] reads fields, [`merge`] compares rows with what there is, and both collect every problem before
//! anything is refused. What remains is a list of changes, which one transaction makes only if nobody changed the catalog since
//! it was read.
//!
//! Adding a section: its rows in [`document`] and [`show`], its comparison in [`merge`], and its changes in the store.

mod document;
mod fields;
pub(super) mod merge;
mod owned;
mod problem;
mod report;
mod sealed;
mod show;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::Value as Json;

pub(super) use self::{
    document::{Document, Kind},
    problem::Problems,
};
use self::{
    document::{FORMAT, VERSION},
    merge::{Current, Plan, Policy, place_of_caller, place_of_key},
    sealed::{Header, Seal},
};
pub use self::{
    problem::Problem,
    report::{Action, Difference, FieldDifference, Report},
    sealed::LEAST_PASSPHRASE,
};
use super::{Admin, store_error};
use crate::{
    audit::{Event, action},
    catalog::{ApiKey, CatalogRows, Provider},
    error::{Error, ErrorKind, Result},
    store::CatalogChange,
};

/// How often the catalog is read again when others change it meanwhile.
const TRIES: usize = 5;

/// What an import does with rows that are there under the same name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// They stay as they are.
    #[default]
    Skip,
    /// They become as the file has them.
    Replace,
}

impl OnConflict {
    /// The choice of that public name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "skip" => Some(Self::Skip),
            "replace" => Some(Self::Replace),
            _ => None,
        }
    }
}

/// How to import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// What is to be done with rows that are there.
    pub on_conflict: OnConflict,
    /// Only says what would change.
    pub dry_run: bool,
    /// Opens the file's secrets, where it has any.
    pub passphrase: Option<SecretString>,
}

/// An export, in the order in which it is written.
#[derive(Serialize)]
struct Export<'a> {
    format: &'static str,
    version: u64,
    exported_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    secrets: Option<&'a Header>,
    providers: Vec<Json>,
    models: Vec<Json>,
    model_providers: Vec<Json>,
    teams: Vec<Json>,
    api_keys: Vec<Json>,
    /// The operators' own. Without any the section is missing: programs before it read no such section.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prices: Vec<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health_check: Option<Json>,
}

impl Admin {
    /// The configuration as JSON text; with a passphrase, its secrets sealed under that.
    ///
    /// Errors: a passphrase that is too short.
    pub async fn export_config(&self, passphrase: Option<SecretString>) -> Result<String> {
        let seal = match passphrase {
            Some(passphrase) => Some(slowly(move || Seal::new(&passphrase)).await?),
            None => None,
        };
        let seal = seal.as_ref();
        if seal.is_some() {
            self.record(Event::new(action::EXPORT_SECRETS, "config")).await?;
        }
        let Current { rows, health } = self.current().await?;
        let models = names(rows.models.iter().map(|row| (&row.id, &row.name)));
        let providers = names(rows.providers.iter().map(|row| (&row.id, &row.name)));
        let name = |names: &HashMap<&str, &str>, id: &str| (*names.get(id).unwrap_or(&"")).to_owned();
        let associations = rows.model_providers.iter().map(|row| {
            let (model, provider) = (name(&models, &row.model_id), name(&providers, &row.provider_id));
            (
                (model.clone(), provider.clone(), row.provider_model.clone()),
                show::model_provider(row, &model, &provider),
            )
        });
        let export = Export {
            format: FORMAT,
            version: VERSION,
            exported_at: self.clock.now().to_string(),
            secrets: seal.map(Seal::header),
            providers: self.exported_providers(&rows, seal)?,
            models: sorted(rows.models.iter().map(|row| (row.name.clone(), show::model(row)))),
            model_providers: sorted(associations),
            teams: sorted(rows.teams.iter().map(|row| (row.name.clone(), show::team(row)))),
            api_keys: exported_callers(&rows.api_keys, seal)?,
            prices: sorted(
                rows.prices
                    .iter()
                    .map(|row| ((row.kind.clone(), row.upstream_model.clone()), show::price(row))),
            ),
            health_check: health.as_ref().map(show::health_check),
        };
        let text = serde_json::to_string_pretty(&export);
        text.map(|text| text + "\n")
            .map_err(|error| Error::internal(format!("the export cannot be written: {error}")))
    }

    /// Takes in an export, whole or not at all.
    ///
    /// Errors: every problem of the file, a line each; a passphrase that is missing or is another.
    pub async fn import_config(&self, text: &str, options: ImportOptions) -> Result<Report> {
        let mut problems = Problems::default();
        let document = Document::read(text, Kind::Export, &mut problems);
        let seal = match (document.header.clone(), options.passphrase) {
            (None, _) => None,
            (Some(header), Some(passphrase)) => Some(slowly(move || Seal::open(&passphrase, header)).await?),
            (Some(_), None) => {
                let message = "passphrase is required: the file's secrets are sealed";
                return Err(Error::invalid("passphrase".to_owned(), message));
            }
        };
        let policy = match options.on_conflict {
            OnConflict::Skip => Policy::Skip,
            OnConflict::Replace => Policy::Replace,
        };
        self.carry_out(text, Kind::Export, seal, policy, options.dry_run).await
    }

    /// Compares a document with the catalog, and makes it so unless this is a dry run. A catalog that others change meanwhile is
    /// compared again.
    pub(super) async fn carry_out(
        &self,
        text: &str,
        kind: Kind,
        seal: Option<Seal>,
        policy: Policy,
        dry_run: bool,
    ) -> Result<Report> {
        let _alone = self.alone().await?;
        let mut tries = 1;
        loop {
            let mut problems = Problems::default();
            let document = Document::read(text, kind, &mut problems);
            let current = self.current().await?;
            let plan = merge::plan(self, &document, seal.as_ref(), &current, policy, problems)?;
            let Plan { mut changes, mut report } = plan;
            report.dry_run = dry_run;
            if dry_run || changes.is_empty() {
                return Ok(report);
            }
            changes.insert(0, CatalogChange::OnlyAt(current.rows.revision));
            match self.commit(changes).await {
                Ok(()) => return Ok(report),
                Err(error) if error.kind == ErrorKind::Conflict && tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn current(&self) -> Result<Current> {
        let rows = self.store.load().await.map_err(store_error)?;
        let health = self.store.health_settings().await.map_err(store_error)?;
        Ok(Current { rows, health })
    }

    fn exported_providers(&self, rows: &CatalogRows, seal: Option<&Seal>) -> Result<Vec<Json>> {
        let mut exported = Vec::new();
        for row in &rows.providers {
            let mut shown = show::provider(row);
            if seal.is_none() {
                shown["headers"] = serde_json::json!(orchestrator_base::mask::headers(&row.headers));
            }
            shown["keys"] = self.exported_keys(row, rows, seal)?.into();
            exported.push((row.name.clone(), shown));
        }
        Ok(sorted(exported.into_iter()))
    }

    fn exported_keys(
        &self,
        provider: &Provider,
        rows: &CatalogRows,
        seal: Option<&Seal>,
    ) -> Result<Vec<Json>> {
        let mut exported = Vec::new();
        for key in rows.provider_keys.iter().filter(|key| key.provider_id == provider.id) {
            let mut shown = show::provider_key(key);
            if let Some(seal) = seal {
                let secret = self.vault.open(key).map_err(|error| {
                    let why = format!(
                        "provider key {}/{} cannot be exported: {}",
                        provider.name, key.label, error.message
                    );
                    Error::new(ErrorKind::Conflict, why)
                })?;
                let place = place_of_key(&provider.name, &key.label);
                shown["secret"] = seal.seal(&place, secret.expose_secret())?.into();
            }
            exported.push(((key.label.clone(), key.id.clone()), shown));
        }
        Ok(sorted(exported.into_iter()))
    }
}

fn exported_callers(rows: &[ApiKey], seal: Option<&Seal>) -> Result<Vec<Json>> {
    let mut exported = Vec::new();
    for row in rows {
        let mut shown = show::api_key(row);
        if let Some(seal) = seal {
            shown["digest"] = seal.seal(&place_of_caller(&row.name), &hex::encode(row.digest))?.into();
        }
        exported.push((row.name.clone(), shown));
    }
    Ok(sorted(exported.into_iter()))
}

fn names<'a>(rows: impl Iterator<Item = (&'a String, &'a String)>) -> HashMap<&'a str, &'a str> {
    rows.map(|(id, name)| (id.as_str(), name.as_str())).collect()
}

/// By their keys, which are left behind.
fn sorted<K: Ord>(rows: impl Iterator<Item = (K, Json)>) -> Vec<Json> {
    let mut rows: Vec<(K, Json)> = rows.collect();
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    rows.into_iter().map(|(_, row)| row).collect()
}

/// What takes a processor long must not hold up a request thread.
async fn slowly<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::internal("the passphrase could not be worked on")),
    }
}
