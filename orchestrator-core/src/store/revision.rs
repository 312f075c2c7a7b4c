//! Table `catalog_revision`, and the catalog read and changed as a whole.

use async_trait::async_trait;

use super::{
    CatalogChange, CatalogReader, CatalogWriter, Database, StoreError,
    db::{Tries, Tx, damaged, unavailable},
    entity::{all, delete, insert, update},
    prices, transfer,
};
use crate::catalog::{ApiKey, CatalogRows, Model, ModelProvider, Provider, ProviderKey};

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
            prices: prices::in_force(&mut tx).await?,
            sealed_with: transfer::fingerprint(&mut tx).await?,
        })
    }
}

#[async_trait]
impl CatalogWriter for Database {
    async fn apply(&self, changes: Vec<CatalogChange>) -> Result<(), StoreError> {
        let mut tries = Tries::default();
        loop {
            let mut tx = self.db.write().await?;
            let outcome = make_all(&mut tx, &changes).await;
            if let Some(()) = tx.settle(outcome, &mut tries).await? {
                return Ok(());
            }
        }
    }
}

async fn make_all(tx: &mut Tx, changes: &[CatalogChange]) -> Result<(), StoreError> {
    // The revision first: its one row lets only one core at a time change the catalog.
    let count = "UPDATE catalog_revision SET revision = revision + 1 WHERE id = 1".to_owned();
    tx.execute(count, Vec::new()).await.map_err(unavailable)?;
    for change in changes {
        make(tx, change).await?;
    }
    Ok(())
}

async fn revision(tx: &mut Tx) -> Result<i64, StoreError> {
    let rows = tx.rows("SELECT revision FROM catalog_revision WHERE id = 1".to_owned(), Vec::new()).await?;
    match rows.first() {
        Some(row) => row.int("revision"),
        None => Err(damaged("catalog_revision.revision", "the row is missing")),
    }
}

async fn make(tx: &mut Tx, change: &CatalogChange) -> Result<(), StoreError> {
    match change {
        CatalogChange::InsertProvider(provider, key) => {
            insert(tx, &**provider).await?;
            match key {
                Some(key) => insert(tx, &**key).await,
                None => Ok(()),
            }
        }
        CatalogChange::UpdateProvider(provider) => update(tx, &**provider).await,
        CatalogChange::DeleteProvider(id) => delete::<Provider>(tx, id).await,
        CatalogChange::InsertProviderKey(key) => insert(tx, &**key).await,
        CatalogChange::UpdateProviderKey(key) => update(tx, &**key).await,
        CatalogChange::DeleteProviderKey(id) => delete::<ProviderKey>(tx, id).await,
        CatalogChange::InsertModel(model) => insert(tx, &**model).await,
        CatalogChange::UpdateModel(model) => update(tx, &**model).await,
        CatalogChange::DeleteModel(id) => delete::<Model>(tx, id).await,
        CatalogChange::InsertModelProvider(association) => insert(tx, &**association).await,
        CatalogChange::UpdateModelProvider(association) => update(tx, &**association).await,
        CatalogChange::DeleteModelProvider(id) => delete::<ModelProvider>(tx, id).await,
        CatalogChange::InsertApiKey(key) => insert(tx, &**key).await,
        CatalogChange::UpdateApiKey(key) => update(tx, &**key).await,
        CatalogChange::DeleteApiKey(id) => delete::<ApiKey>(tx, id).await,
        CatalogChange::SetPrice(price) => prices::set(tx, price).await,
        CatalogChange::SetHealthChecks(settings, now) => {
            transfer::set_health_settings(tx, settings, *now).await
        }
        CatalogChange::OnlyAt(revision) => transfer::only_at(tx, *revision).await,
        CatalogChange::SealedWith(fingerprint) => transfer::sealed_with(tx, fingerprint).await,
    }
}
