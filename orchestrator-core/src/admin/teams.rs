//! Teams: keys that may use so much together.
//!
//! A key names its team. The name must be a team's when it is set; a name that stood in a key before there were teams is a label, which
//! stays what it is: in logs and statistics, without limits, until a team of that name is made.

use super::{Admin, LimitsChange, Listed, Page, editable, found, providers::set, store_error, validate};
use crate::{
    catalog::{ManagedBy, Team, limits::Limits},
    error::{Error, Result},
    store::CatalogChange,
};

/// The fields of a team that may be set.
#[derive(Clone, Debug, Default)]
pub struct TeamChange {
    /// [`Team::name`].
    pub name: Option<String>,
    /// [`Team::remark`].
    pub remark: Option<String>,
    /// [`Team::enabled`].
    pub enabled: Option<bool>,
    /// [`Team::limits`].
    pub limits: LimitsChange,
}

impl TeamChange {
    fn make(self, row: &mut Team) -> Result<()> {
        set(&mut row.name, self.name);
        set(&mut row.remark, self.remark);
        set(&mut row.enabled, self.enabled);
        self.limits.make(&mut row.limits)
    }
}

impl Admin {
    /// A page of teams.
    pub async fn list_teams(&self, page: &Page) -> Result<Listed<Team>> {
        let rows = self.store.teams(&page.slice()?).await.map_err(store_error)?;
        Ok(page.listed(rows, |row| &row.id))
    }

    /// A team, by its id or its name.
    pub async fn team(&self, id_or_name: &str) -> Result<Team> {
        found(self.store.team(id_or_name).await, "team", id_or_name)
    }

    /// Makes a team. Keys that name it already are its keys from now on.
    pub async fn create_team(&self, change: TeamChange) -> Result<Team> {
        let row = self.new_team(change)?;
        self.commit(vec![CatalogChange::InsertTeam(Box::new(row.clone()))]).await?;
        Ok(row)
    }

    /// Changes a team. A new name is the name that its keys have then.
    ///
    /// Errors: a new name, where a file owns one of its keys: the file says the old one.
    pub async fn update_team(&self, id: &str, change: TeamChange) -> Result<Team> {
        let _alone = self.alone().await?;
        let mut row = self.editable_team(id).await?;
        change.make(&mut row)?;
        validate::team(&row)?;
        row.updated_at = self.clock.now();
        self.commit(vec![CatalogChange::UpdateTeam(Box::new(row.clone()))]).await?;
        Ok(row)
    }

    /// Deletes a team that has no keys.
    pub async fn delete_team(&self, id: &str) -> Result<()> {
        let _alone = self.alone().await?;
        self.editable_team(id).await?;
        self.commit(vec![CatalogChange::DeleteTeam(id.to_owned())]).await
    }

    /// A team's row that is not stored yet.
    pub(super) fn new_team(&self, change: TeamChange) -> Result<Team> {
        let now = self.clock.now();
        let mut row = Team {
            id: self.new_id(now),
            name: String::new(),
            remark: String::new(),
            enabled: true,
            limits: Limits::default(),
            managed_by: ManagedBy::Admin,
            created_at: now,
            updated_at: now,
        };
        change.make(&mut row)?;
        validate::team(&row)?;
        Ok(row)
    }

    /// That a key may name this team: checked now, and again when the change is made.
    pub(super) async fn team_is_there(&self, name: &str) -> Result<Option<CatalogChange>> {
        if name.is_empty() {
            return Ok(None);
        }
        let team = self.store.team(name).await.map_err(store_error)?;
        if team.is_none_or(|team| team.name != name) {
            return Err(Error::invalid("team".to_owned(), format!("team names no team: {name}")));
        }
        Ok(Some(CatalogChange::TeamIsThere(name.to_owned())))
    }

    /// The team with this id, if Admin may change it.
    async fn editable_team(&self, id: &str) -> Result<Team> {
        let row = self.store.team(id).await.map(|row| row.filter(|row| row.id == id));
        let row = found(row, "team", id)?;
        editable(row.managed_by, "team", &row.name)?;
        Ok(row)
    }
}
