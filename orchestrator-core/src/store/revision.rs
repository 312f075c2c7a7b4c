//! Table `catalog_revision`, and the catalog read and changed as a whole.

use async_trait::async_trait;

use super::{
    CatalogChange, CatalogReader, CatalogWriter, Database, StoreError, api_keys,
    audit_log::append,
    db::{Tries, Tx, damaged, unavailable},
    entity::{Entity, all, delete, find, insert, update},
    health_checks, log_level, prices, teams, transfer,
};
use crate::{
    audit::{
        Event, Stamp, action,
        shown::{self, Shown},
    },
    catalog::{
        ApiKey, CatalogRows, Model, ModelProvider, OwnPrice, Provider, ProviderKey, Team,
        admin_keys::AdminKey,
    },
};

#[async_trait]
impl CatalogReader for Database {
    async fn revision(&self) -> Result<i64, StoreError> {
        let mut tx = self.db.read().await?;
        revision(&mut tx).await
    }

    async fn load(&self) -> Result<CatalogRows, StoreError> {
        let mut tx = self.db.read().await?;
        Ok(CatalogRows {
            revision: revision(&mut tx).await?,
            providers: all(&mut tx).await?,
            provider_keys: all(&mut tx).await?,
            models: all(&mut tx).await?,
            model_providers: all(&mut tx).await?,
            api_keys: all(&mut tx).await?,
            teams: all(&mut tx).await?,
            prices: prices::in_force(&mut tx).await?,
            sealed_with: transfer::fingerprint(&mut tx).await?,
            admin_keys: all(&mut tx).await?,
            log_level: log_level::read(&mut tx).await?,
        })
    }
}

#[async_trait]
impl CatalogWriter for Database {
    async fn apply(&self, changes: Vec<CatalogChange>, stamp: &Stamp) -> Result<(), StoreError> {
        let mut tries = Tries::default();
        loop {
            let mut tx = self.db.write().await?;
            let outcome = make_all(&mut tx, &changes, stamp).await;
            if let Some(()) = tx.settle(outcome, &mut tries).await? {
                return Ok(());
            }
        }
    }
}

/// The audit log's rows are made anew each time: what another try left behind is gone with its transaction.
async fn make_all(tx: &mut Tx, changes: &[CatalogChange], stamp: &Stamp) -> Result<(), StoreError> {
    // The revision first: its one row lets only one core at a time change the catalog.
    let count = "UPDATE catalog_revision SET revision = revision + 1 WHERE id = 1".to_owned();
    tx.execute(count, Vec::new()).await.map_err(unavailable)?;
    let mut events = Vec::new();
    for change in changes {
        make(tx, change, &mut events).await?;
    }
    append(tx, &stamp.entries(events)).await
}

/// The catalog's revision, as this transaction sees it.
pub(super) async fn revision(tx: &mut Tx) -> Result<i64, StoreError> {
    let rows = tx.rows("SELECT revision FROM catalog_revision WHERE id = 1".to_owned(), Vec::new()).await?;
    match rows.first() {
        Some(row) => row.int("revision"),
        None => Err(damaged("catalog_revision.revision", "the row is missing")),
    }
}

/// Makes a change, and says in `events` what it was.
async fn make(tx: &mut Tx, change: &CatalogChange, events: &mut Vec<Event>) -> Result<(), StoreError> {
    let event = match change {
        CatalogChange::InsertProvider(provider, key) => {
            events.push(add(tx, &**provider).await?);
            let Some(key) = key else { return Ok(()) };
            add(tx, &**key).await?
        }
        CatalogChange::UpdateProvider(provider) => alter(tx, action::UPDATE, &**provider).await?,
        CatalogChange::DeleteProvider(id) => remove::<Provider>(tx, id).await?,
        CatalogChange::InsertProviderKey(key) => add(tx, &**key).await?,
        CatalogChange::UpdateProviderKey(key) => alter(tx, action::UPDATE, &**key).await?,
        CatalogChange::DeleteProviderKey(id) => remove::<ProviderKey>(tx, id).await?,
        CatalogChange::InsertModel(model) => add(tx, &**model).await?,
        CatalogChange::UpdateModel(model) => alter(tx, action::UPDATE, &**model).await?,
        CatalogChange::DeleteModel(id) => remove::<Model>(tx, id).await?,
        CatalogChange::InsertModelProvider(association) => add(tx, &**association).await?,
        CatalogChange::UpdateModelProvider(association) => alter(tx, action::UPDATE, &**association).await?,
        CatalogChange::DeleteModelProvider(id) => remove::<ModelProvider>(tx, id).await?,
        CatalogChange::InsertApiKey(key) => add(tx, &**key).await?,
        CatalogChange::UpdateApiKey(key) => alter(tx, action::UPDATE, &**key).await?,
        CatalogChange::RotateApiKey(key) => alter(tx, action::ROTATE, &**key).await?,
        CatalogChange::DeleteApiKey(id) => remove::<ApiKey>(tx, id).await?,
        CatalogChange::InsertTeam(team) => add(tx, &**team).await?,
        CatalogChange::UpdateTeam(team) => {
            teams::rename_in_keys(tx, team).await?;
            alter(tx, action::UPDATE, &**team).await?
        }
        CatalogChange::DeleteTeam(id) => {
            teams::has_no_keys(tx, id).await?;
            remove::<Team>(tx, id).await?
        }
        CatalogChange::InsertAdminKey(key) => add(tx, &**key).await?,
        CatalogChange::UpdateAdminKey(key) => alter(tx, action::UPDATE, &**key).await?,
        CatalogChange::RotateAdminKey(key) => alter(tx, action::ROTATE, &**key).await?,
        CatalogChange::DeleteAdminKey(id) => remove::<AdminKey>(tx, id).await?,
        CatalogChange::SetPrice(price) => set_price(tx, price).await?,
        CatalogChange::SetHealthChecks(settings, now) => {
            let before = health_checks::settings(tx).await?;
            transfer::set_health_settings(tx, settings, *now).await?;
            shown::changed(action::UPDATE, before.as_ref(), settings)
        }
        CatalogChange::SetLogLevel(level) => log_level::set(tx, level.as_ref()).await?,
        CatalogChange::ApiKeyIsAsOf(id, at) => return api_keys::is_as_of(tx, id, *at).await,
        CatalogChange::TeamIsThere(name) => return teams::is_there(tx, name).await,
        CatalogChange::OnlyAt(revision) => return transfer::only_at(tx, *revision).await,
        CatalogChange::SealedWith(fingerprint) => return transfer::sealed_with(tx, fingerprint).await,
    };
    events.push(event);
    Ok(())
}

async fn add<E: Entity + Shown>(tx: &mut Tx, entity: &E) -> Result<Event, StoreError> {
    insert(tx, entity).await?;
    Ok(shown::created(entity))
}

/// The state before is read in the change's own transaction: no other change can stand between the two.
async fn alter<E: Entity + Shown>(
    tx: &mut Tx,
    action: &'static str,
    entity: &E,
) -> Result<Event, StoreError> {
    let before: Option<E> = find(tx, "id", entity.shown().id).await?;
    update(tx, entity).await?;
    Ok(shown::changed(action, before.as_ref(), entity))
}

async fn remove<E: Entity + Shown>(tx: &mut Tx, id: &str) -> Result<Event, StoreError> {
    let before: Option<E> = find(tx, "id", id).await?;
    delete::<E>(tx, id).await?;
    before.as_ref().map(shown::deleted).ok_or(StoreError::NotFound(E::TABLE.noun))
}

/// To the log a price is one row, whose fields change; what is stored is another row.
async fn set_price(tx: &mut Tx, price: &OwnPrice) -> Result<Event, StoreError> {
    let before = prices::in_force_for(tx, &price.kind, &price.upstream_model).await?;
    prices::set(tx, price).await?;
    Ok(match &before {
        Some(before) if price.deleted => shown::deleted(before),
        Some(before) => shown::changed(action::UPDATE, Some(before), price),
        None => shown::created(price),
    })
}
