//! Teams, and whether the teams that keys name are there.

use std::collections::HashMap;

use super::{Merge, Policy};
use crate::{
    admin::transfer::{
        document::{self, Document, Kind, Placed},
        problem::Problems,
        show,
    },
    catalog::{ApiKey, ManagedBy},
    store::CatalogChange,
};

impl Merge<'_> {
    pub(super) fn merge_teams(&mut self, document: &Document) {
        let mut seen = HashMap::new();
        for Placed { path, raw, row } in &document.teams {
            let admin = self.admin;
            let read = |raw, problems: &mut Problems| document::team(raw, path, problems);
            let check = |change| admin.new_team(change);
            let Some(new) = self.checked(path, raw, row.clone(), read, check) else { continue };
            if self.is_double(&mut seen, &new.name, path, "name") {
                continue;
            }
            let current = self.current;
            let old = self.standing(&current.rows.teams, |row| row.name == new.name);
            let name = new.name.clone();
            self.settle(path, &name, new, old, Vec::new(), show::team);
        }
    }

    /// A key's team must be there. A label from before there were teams may stay where it is; an export may bring some with it.
    pub(super) fn check_team(&mut self, document: &Document, path: &str, new: &ApiKey, old: Option<&ApiKey>) {
        let is_named = |name: Option<&String>| name == Some(&new.team);
        let is_there = new.team.is_empty()
            || document.teams.iter().any(|team| is_named(team.row.name.as_ref()))
            || self.current.rows.teams.iter().any(|team| {
                team.name == new.team && !self.goes_with_the_file(document, team.managed_by, &team.name)
            });
        if is_there {
            return;
        }
        let was_label = !self.current.rows.teams.iter().any(|team| team.name == new.team)
            && old.is_some_and(|old| old.team == new.team);
        if was_label || self.kind == Kind::Export {
            let note = format!("{path}.team: names no team, and is a label alone: {}", new.team);
            self.plan.report.notes.push(note);
        } else {
            self.problems.add(format!("{path}.team"), format!("names no team: {}", new.team));
        }
    }

    /// Teams that the file owned and has no more. They go last: keys of theirs have got another team, or are gone, only then.
    pub(super) fn prune_teams(&mut self, document: &Document) {
        let rows = &self.current.rows;
        for team in &rows.teams {
            if !self.goes_with_the_file(document, team.managed_by, &team.name) {
                continue;
            }
            let is_declared = |key: &ApiKey| {
                document.api_keys.iter().any(|row| row.row.change.name.as_ref() == Some(&key.name))
            };
            let of_team = rows.api_keys.iter().filter(|key| key.team == team.name);
            let mut left = of_team.filter(|key| !self.pruned.contains(key.id.as_str()) && !is_declared(key));
            if let Some(key) = left.next() {
                let why =
                    format!("team {} is not in the file, and API key {} still names it", team.name, key.name);
                self.problems.add("teams", why);
                continue;
            }
            self.goes(&team.id, "team", &team.name, CatalogChange::DeleteTeam(team.id.clone()));
        }
    }

    fn goes_with_the_file(&self, document: &Document, owner: ManagedBy, name: &str) -> bool {
        matches!(self.policy, Policy::Declare { prune: true, .. })
            && owner == ManagedBy::File
            && !document.teams.iter().any(|team| team.row.name.as_deref() == Some(name))
    }
}
