//! Table `teams`, and the name of a team in its keys.
//!
//! Keys name their team, so a new name is written into them too, and a team that keys name stays. No other change can come between: whoever
//! changes the catalog holds its revision.

use super::{
    StoreError,
    db::{Row, Tx, Value, unavailable},
    entity::{Entity, Table, find, owner},
    limits,
};
use crate::catalog::{ManagedBy, Team};

/// How many keys are named of those that stand in the way.
const NAMED: usize = 3;

/// Gives a team's keys the name that it is about to have.
pub(super) async fn rename_in_keys(tx: &mut Tx, team: &Team) -> Result<(), StoreError> {
    let before: Option<Team> = find(tx, "id", &team.id).await?;
    let Some(before) = before.filter(|before| before.name != team.name) else { return Ok(()) };
    let of_files = keys_of(tx, &before.name, Some(ManagedBy::File)).await?;
    if let Some(names) = of_files {
        let why = format!(
            "team {} cannot be renamed: a file says that it is the team of {names}; change it there",
            before.name
        );
        return Err(StoreError::Conflict(why));
    }
    let sql = "UPDATE api_keys SET team = ?, updated_at = ? WHERE team = ?".to_owned();
    let values = vec![(&team.name).into(), team.updated_at.into(), (&before.name).into()];
    tx.execute(sql, values).await.map_err(unavailable).map(|_| ())
}

/// Fails where keys name this team.
pub(super) async fn has_no_keys(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    let Some(team) = find::<Team>(tx, "id", id).await? else { return Ok(()) };
    match keys_of(tx, &team.name, None).await? {
        None => Ok(()),
        Some(names) => {
            let why = format!("team {} has keys: {names}; give them another team or delete them", team.name);
            Err(StoreError::Conflict(why))
        }
    }
}

/// Fails where there is no team of this name.
pub(super) async fn is_there(tx: &mut Tx, name: &str) -> Result<(), StoreError> {
    match find::<Team>(tx, "name", name).await? {
        Some(_) => Ok(()),
        None => Err(StoreError::Conflict(format!("team {name} was deleted or renamed meanwhile"))),
    }
}

/// The names of the keys of a team, a few of them; `None`: there is none.
async fn keys_of(tx: &mut Tx, team: &str, owner: Option<ManagedBy>) -> Result<Option<String>, StoreError> {
    let mut sql = "SELECT name FROM api_keys WHERE team = ?".to_owned();
    let mut values = vec![team.into()];
    if let Some(owner) = owner {
        sql.push_str(" AND managed_by = ?");
        values.push(owner.name().into());
    }
    sql.push_str(" ORDER BY id");
    let rows = tx.rows(sql, values).await?;
    let mut names = rows.iter().take(NAMED).map(|row| row.text("name")).collect::<Result<Vec<_>, _>>()?;
    if rows.len() > NAMED {
        names.push(format!("{} more", rows.len() - NAMED));
    }
    Ok((!names.is_empty()).then(|| names.join(", ")))
}

impl Entity for Team {
    const TABLE: Table = Table {
        name: "teams",
        noun: "team",
        columns: &[
            "id",
            "name",
            "remark",
            "enabled",
            "requests_per_minute",
            "tokens_per_minute",
            "max_concurrency",
            "budget_nanos",
            "budget_period",
            "managed_by",
            "created_at",
            "updated_at",
        ],
    };

    fn label(&self) -> &str {
        &self.name
    }

    fn values(&self) -> Result<Vec<Value>, StoreError> {
        let mut values: Vec<Value> =
            vec![(&self.id).into(), (&self.name).into(), (&self.remark).into(), self.enabled.into()];
        values.extend(limits::values(&self.limits)?);
        values.extend([self.managed_by.name().into(), self.created_at.into(), self.updated_at.into()]);
        Ok(values)
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            remark: row.text("remark")?,
            enabled: row.bit("enabled")?,
            limits: limits::read(row)?,
            managed_by: owner(row)?,
            created_at: row.moment("created_at")?,
            updated_at: row.moment("updated_at")?,
        })
    }
}
