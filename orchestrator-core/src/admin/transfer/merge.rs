//! What a document changes in a catalog: compared first, row by row, by name. Nothing is written here.
//!
//! A row of the document is made as Admin makes rows, from the defaults and what the document says, and validated alike. A row
//! that is there under the same name gives it its id and its age; what then differs is the change.

mod keys;
mod prices;
mod prune;
mod teams;

use std::collections::{HashMap, HashSet};

use orchestrator_base::mask;
use serde_json::Value as Json;

pub(super) use self::keys::{place_of_caller, place_of_key};
use super::{
    document::{self, Document, Kind, Placed},
    owned::Owned,
    problem::Problems,
    report::{Action, Difference, FieldDifference, Report, fields},
    sealed::Seal,
    show,
};
use crate::{
    admin::Admin,
    admin::providers::{ProviderChange, keep_hidden},
    catalog::{CatalogRows, ManagedBy, ModelProvider},
    error::Result,
    health::Settings,
    policy::glob,
    store::CatalogChange,
};

/// What becomes of rows that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// They stay as they are.
    Skip,
    /// They become as the document has them.
    Replace,
    /// The document owns them.
    Declare {
        /// What the document owned and has no more goes.
        prune: bool,
        /// Rows of Admin's with the same names become the document's.
        adopt: bool,
    },
}

/// What there is.
#[derive(Default)]
pub(crate) struct Current {
    pub(crate) rows: CatalogRows,
    pub(crate) health: Option<Settings>,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) changes: Vec<CatalogChange>,
    pub(crate) report: Report,
}

/// What a row's comparison came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is as the document has it, or becomes so.
    Settled,
    /// It is left as it is, with all that belongs to it.
    Left,
}

/// Compares a document that was read with what there is.
///
/// Errors: every problem, those of reading included.
pub(crate) fn plan(
    admin: &Admin,
    document: &Document,
    seal: Option<&Seal>,
    current: &Current,
    policy: Policy,
    problems: Problems,
) -> Result<Plan> {
    let kind = if matches!(policy, Policy::Declare { .. }) { Kind::Declaration } else { Kind::Export };
    let mut merge = Merge {
        admin,
        current,
        seal,
        policy,
        kind,
        problems,
        plan: Plan::default(),
        providers: HashMap::new(),
        models: HashMap::new(),
        pruned: HashSet::new(),
    };
    merge.prune(document);
    for row in &current.rows.providers {
        if !merge.pruned.contains(row.id.as_str()) {
            merge.providers.insert(row.name.clone(), row.id.clone());
        }
    }
    for row in &current.rows.models {
        if !merge.pruned.contains(row.id.as_str()) {
            merge.models.insert(row.name.clone(), row.id.clone());
        }
    }
    // A row that is refused is refused once, not again by each that names it.
    for name in document.providers.iter().filter_map(|row| row.row.change.name.clone()) {
        merge.providers.entry(name).or_default();
    }
    for name in document.models.iter().filter_map(|row| row.row.name.clone()) {
        merge.models.entry(name).or_default();
    }
    merge.merge_providers(document);
    merge.merge_models(document);
    merge.merge_associations(document);
    merge.merge_teams(document);
    merge.merge_callers(document);
    merge.prune_teams(document);
    merge.merge_prices(document);
    merge.merge_health(document);
    merge.note_fallbacks(document);
    merge.problems.refuse()?;
    Ok(merge.plan)
}

struct Merge<'a> {
    admin: &'a Admin,
    current: &'a Current,
    seal: Option<&'a Seal>,
    policy: Policy,
    kind: Kind,
    problems: Problems,
    plan: Plan,
    /// Ids by name, of what there will be.
    providers: HashMap<String, String>,
    models: HashMap<String, String>,
    /// Ids of what goes.
    pruned: HashSet<&'a str>,
}

impl<'a> Merge<'a> {
    fn merge_providers(&mut self, document: &Document) {
        let mut seen = HashMap::new();
        for Placed { path, raw, row } in &document.providers {
            let (kind, admin) = (self.kind, self.admin);
            let read = |raw, problems: &mut Problems| {
                document::provider(raw, path, kind, problems).map(|row| row.change)
            };
            let check = |change| admin.new_provider(change, None).map(|(row, _)| row);
            let mut change = row.change.clone();
            self.fill_in_headers(&mut change, path);
            let Some(new) = self.checked(path, raw, change, read, check) else { continue };
            if self.is_double(&mut seen, &new.name, path, "name") {
                continue;
            }
            let current = self.current;
            let old = self.standing(&current.rows.providers, |row| row.name == new.name);
            let mut row_now = new.clone();
            if let Some(old) = old {
                row_now.replace(old);
            }
            self.providers.insert(new.name.clone(), row_now.id.clone());
            let name = new.name.clone();
            if self.settle(path, &name, new, old, Vec::new(), show::provider) == Outcome::Settled {
                self.keys_of(&row_now, old.is_some(), &row.keys);
            }
        }
    }

    /// Values that an export has not shown are those of the row that is there, or are left out.
    fn fill_in_headers(&mut self, change: &mut ProviderChange, path: &str) {
        let Some(headers) = &mut change.headers else { return };
        if let Some(old) =
            self.standing(&self.current.rows.providers, |row| Some(&row.name) == change.name.as_ref())
        {
            keep_hidden(headers, &old.headers);
        }
        for (name, _) in headers.extract_if(.., |_, value| *value == mask::HIDDEN) {
            let note =
                format!("{path}.headers: the value of {name} is not in the document; the header is left out");
            self.plan.report.notes.push(note);
        }
    }

    fn merge_models(&mut self, document: &Document) {
        let mut seen = HashMap::new();
        for Placed { path, raw, row } in &document.models {
            let admin = self.admin;
            let read = |raw, problems: &mut Problems| document::model(raw, path, problems);
            let check = |change| admin.new_model(change);
            let Some(new) = self.checked(path, raw, row.clone(), read, check) else { continue };
            if self.is_double(&mut seen, &new.name, path, "name") {
                continue;
            }
            let current = self.current;
            let old = self.standing(&current.rows.models, |row| row.name == new.name);
            let (name, id) = (new.name.clone(), old.map_or(&new.id, |old| &old.id).clone());
            self.models.insert(name.clone(), id);
            self.settle(path, &name, new, old, Vec::new(), show::model);
        }
    }

    fn merge_associations(&mut self, document: &Document) {
        let mut seen = HashMap::new();
        for Placed { path, raw, row } in &document.model_providers {
            let ends = [
                ("model", &row.model, self.models.get(&row.model).cloned()),
                ("provider", &row.provider, self.providers.get(&row.provider).cloned()),
            ];
            for (noun, name, id) in &ends {
                if id.is_none() && !name.is_empty() {
                    self.problems.add(format!("{path}.{noun}"), format!("names no {noun}: {name}"));
                }
            }
            let [(_, _, model_id), (_, _, provider_id)] = ends;
            let admin = self.admin;
            let read = |raw, problems: &mut Problems| {
                document::association(raw, path, problems).map(|row| row.change)
            };
            let check = |change| admin.new_model_provider(change);
            let Some(mut new) = self.checked(path, raw, row.change.clone(), read, check) else { continue };
            let (Some(model_id), Some(provider_id)) = (model_id, provider_id) else { continue };
            (new.model_id, new.provider_id) = (model_id, provider_id);
            let name = association_name(&row.model, &row.provider, &new.provider_model);
            if self.is_double(&mut seen, &name, path, "provider_model") {
                continue;
            }
            let current = self.current;
            let old = self.standing(&current.rows.model_providers, |old| same_ends(old, &new));
            let shown = |new: &ModelProvider| show::model_provider(new, &row.model, &row.provider);
            self.settle(path, &name, new, old, Vec::new(), shown);
        }
    }

    fn merge_health(&mut self, document: &Document) {
        let Some(settings) = document.health_check else { return };
        if let Err(error) = settings.check() {
            return self.problems.add_refusal("health_check", &error);
        }
        let old = self.current.health;
        if old == Some(settings) {
            self.plan.report.unchanged += 1;
        } else if old.is_some() && self.policy == Policy::Skip {
            self.plan.report.skipped += 1;
        } else {
            let action = if old.is_some() { Action::Update } else { Action::Create };
            let before = old.map(|old| show::health_check(&old));
            let fields = fields(before.as_ref(), &show::health_check(&settings));
            let change = CatalogChange::SetHealthChecks(settings, self.admin.clock.now());
            self.change(action, "health check", "settings", fields, change);
        }
    }

    /// A fallback that nobody knows is skipped when it is needed. That is no reason to refuse: a model that was deleted leaves its
    /// name behind in others, and their export must come in again.
    fn note_fallbacks(&mut self, document: &Document) {
        for Placed { path, row, .. } in &document.models {
            for (index, name) in row.fallbacks.iter().flatten().enumerate() {
                let of_provider =
                    name.split_once('/').is_some_and(|(name, _)| self.providers.contains_key(name));
                if !of_provider && !self.models.keys().any(|known| glob::matches(known, name)) {
                    let note = format!("{path}.fallbacks[{index}]: names no model: {name}");
                    self.plan.report.notes.push(note);
                }
            }
        }
    }

    /// The row that `first` makes. What is refused is told field by field: the row is read again without it.
    fn checked<C, T>(
        &mut self,
        path: &str,
        raw: &Json,
        first: C,
        read: impl Fn(Json, &mut Problems) -> Option<C>,
        check: impl Fn(C) -> Result<T>,
    ) -> Option<T> {
        let (mut told, mut left, mut change) = (Vec::new(), raw.clone(), first);
        loop {
            let error = match check(change) {
                Ok(row) => return told.is_empty().then_some(row),
                Err(error) => error,
            };
            let param = error.param.clone().unwrap_or_default();
            let field = param.split(['.', '[']).next().unwrap_or_default().to_owned();
            if told.contains(&field) {
                return None;
            }
            self.problems.add_refusal(path, &error);
            left = document::without(&left, &field);
            told.push(field);
            change = read(left.clone(), &mut Problems::default())?;
        }
    }

    /// The row of this identity that is there and stays.
    fn standing<R: Owned>(&self, rows: &'a [R], is_it: impl Fn(&R) -> bool) -> Option<&'a R> {
        rows.iter().find(|row| is_it(row) && !self.pruned.contains(row.id()))
    }

    fn is_double(&mut self, seen: &mut HashMap<String, String>, name: &str, path: &str, field: &str) -> bool {
        match seen.insert(name.to_owned(), path.to_owned()) {
            None => false,
            Some(first) => {
                self.problems.add(format!("{path}.{field}"), format!("{name} stands in {first} already"));
                true
            }
        }
    }

    /// Makes `new` what there is, unless it is so already, or may not be. `more` are fields that differ and are not shown.
    fn settle<R: Owned>(
        &mut self,
        path: &str,
        name: &str,
        mut new: R,
        old: Option<&R>,
        mut more: Vec<FieldDifference>,
        shown: impl Fn(&R) -> Json,
    ) -> Outcome {
        let declares = matches!(self.policy, Policy::Declare { .. });
        let Some(old) = old else {
            if declares {
                new.set_owner(ManagedBy::File);
            }
            let mut fields = fields(None, &shown(&new));
            fields.append(&mut more);
            self.change(Action::Create, R::NOUN, name, fields, new.insert());
            return Outcome::Settled;
        };
        if self.policy == Policy::Skip {
            self.plan.report.skipped += 1;
            return Outcome::Left;
        }
        new.replace(old);
        if declares && old.owner() == ManagedBy::Admin {
            if !matches!(self.policy, Policy::Declare { adopt: true, .. }) {
                let why = format!(
                    "{} {name} exists and is managed by admin; delete it there, or let the file take it over with `apply FILE \
                     --adopt`",
                    R::NOUN
                );
                self.problems.add(path, why);
                return Outcome::Left;
            }
            new.set_owner(ManagedBy::File);
        }
        if new == *old {
            self.plan.report.unchanged += 1;
            return Outcome::Settled;
        }
        if !declares && old.owner() == ManagedBy::File {
            let why = format!("{} {name} is managed by a file; change it there", R::NOUN);
            self.problems.add(path, why);
            return Outcome::Left;
        }
        let mut fields = fields(Some(&shown(old)), &shown(&new));
        fields.append(&mut more);
        if new.owner() != old.owner() {
            let (before, after) = (Some("\"admin\"".to_owned()), Some("\"file\"".to_owned()));
            fields.push(FieldDifference { field: "managed_by".to_owned(), before, after });
        }
        new.set_updated(self.admin.clock.now());
        self.change(Action::Update, R::NOUN, name, fields, new.update());
        Outcome::Settled
    }

    fn change(
        &mut self,
        action: Action,
        noun: &'static str,
        name: &str,
        fields: Vec<FieldDifference>,
        change: CatalogChange,
    ) {
        self.plan.report.differences.push(Difference { action, noun, name: name.to_owned(), fields });
        self.plan.changes.push(change);
    }
}

fn same_ends(one: &ModelProvider, other: &ModelProvider) -> bool {
    one.model_id == other.model_id
        && one.provider_id == other.provider_id
        && one.provider_model == other.provider_model
}

/// `gpt -> openai/gpt-4o`
fn association_name(model: &str, provider: &str, provider_model: &str) -> String {
    format!("{model} -> {provider}/{provider_model}")
}
