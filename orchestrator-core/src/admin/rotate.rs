//! Another master key: every stored secret is sealed anew, in one transaction, together with the fingerprint.
//!
//! What is sealed today are providers' keys. Cores that still run with the old key see another fingerprint when they load the catalog;
//! they go on from their last snapshot (`refresher.rs`) and refuse changes ([`CatalogChange::SealedWith`]).
//!
//! [`CatalogChange::SealedWith`]: crate::store::CatalogChange::SealedWith

use super::{secrets::Vault, store_error};
use crate::{
    audit::Stamp,
    error::{Error, Result},
    store::{MasterKeyStore, StoreError},
};

/// Seals every secret that `old` sealed with `new` instead. Says how many there were.
///
/// Errors, and nothing is changed: `old` is not the database's master key; a secret that `old` does not open, named by its row; `new`
/// is the same key.
pub async fn rotate(store: &dyn MasterKeyStore, old: &Vault, new: &Vault, stamp: &Stamp) -> Result<usize> {
    if old.fingerprint() == new.fingerprint() {
        return Err(Error::invalid("new_master_key".to_owned(), "the new master key is the old one"));
    }
    let rewrap = |key: &crate::catalog::ProviderKey| {
        let resealed = old.open(key).and_then(|secret| new.seal(&key.id, &secret));
        resealed.map_err(|error| {
            StoreError::Conflict(format!(
                "provider key {} ({}): {}; delete or replace it first",
                key.id, key.label, error.message
            ))
        })
    };
    store.rotate(old.fingerprint(), new.fingerprint(), &rewrap, stamp).await.map_err(store_error)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::{
        audit::AuditFilter,
        catalog::samples,
        error::ErrorKind,
        store::{AuditStore as _, CatalogChange, CatalogReader as _, CatalogWriter as _, Database, Slice},
    };

    fn vault(master: &str) -> Vault {
        Vault::new(&master.into())
    }

    async fn sealed_with(master: &Vault) -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("x.db")).await.unwrap();
        master.check_fingerprint(&database).await.unwrap();
        let key = |id: &str| {
            let secret = format!("sk-{id}").into();
            CatalogChange::InsertProviderKey(Box::new(samples::provider_key(
                id,
                "p1",
                &master.seal(id, &secret).unwrap(),
            )))
        };
        let provider = CatalogChange::InsertProvider(Box::new(samples::provider("p1", "one")), None);
        database
            .apply(vec![provider, key("k1"), key("k2")], &crate::audit::Stamp::for_tests())
            .await
            .unwrap();
        (folder, database)
    }

    #[tokio::test]
    async fn every_secret_opens_with_the_new_key_and_none_with_the_old() {
        let (old, new) = (vault("old"), vault("new"));
        let (_folder, database) = sealed_with(&old).await;
        let before = database.revision().await.unwrap();
        assert_eq!(rotate(&database, &old, &new, &Stamp::for_tests()).await.unwrap(), 2);
        let rows = database.load().await.unwrap();
        assert_eq!(rows.sealed_with.as_deref(), Some(new.fingerprint()));
        assert!(rows.revision > before, "other cores are told");
        let rotated = AuditFilter { noun: Some("master_key".to_owned()), ..AuditFilter::default() };
        let log = database.audit_log(&rotated, &Slice { after: None, limit: 9 }).await.unwrap();
        assert_eq!(log.len(), 1);
        assert_eq!((log[0].action.as_str(), log[0].state_after.as_str()), ("rotate", r#"{"secrets":2}"#));
        for key in &rows.provider_keys {
            assert_eq!(new.open(key).unwrap().expose_secret(), format!("sk-{}", key.id));
            assert!(old.open(key).is_err());
        }
        new.check_fingerprint(&database).await.unwrap();
        assert_eq!(old.check_fingerprint(&database).await.unwrap_err().kind, ErrorKind::Conflict);
    }

    #[tokio::test]
    async fn a_wrong_key_or_a_secret_that_does_not_open_changes_nothing() {
        let (old, new) = (vault("old"), vault("new"));
        let (_folder, database) = sealed_with(&old).await;
        let before = database.load().await.unwrap();
        let refused = rotate(&database, &vault("neither"), &new, &Stamp::for_tests()).await.unwrap_err();
        assert!(refused.message.contains("not the one this database was sealed with"), "{refused}");
        assert!(rotate(&database, &old, &old, &Stamp::for_tests()).await.is_err());
        assert_eq!(database.load().await.unwrap(), before);

        // The second of two does not open: the first one's new seal must not stay either.
        let damaged = samples::provider_key("k2", "p1", "v1:00000000:AAAA");
        database
            .apply(
                vec![CatalogChange::UpdateProviderKey(Box::new(damaged))],
                &crate::audit::Stamp::for_tests(),
            )
            .await
            .unwrap();
        let before = database.load().await.unwrap();
        let refused = rotate(&database, &old, &new, &Stamp::for_tests()).await.unwrap_err();
        assert!(refused.message.contains("k2"), "{refused}");
        assert_eq!(database.load().await.unwrap(), before);
    }

    #[tokio::test]
    async fn a_core_with_the_old_key_changes_nothing_any_more() {
        let (old, new) = (vault("old"), vault("new"));
        let (_folder, database) = sealed_with(&old).await;
        rotate(&database, &old, &new, &Stamp::for_tests()).await.unwrap();
        let condition = |vault: &Vault| CatalogChange::SealedWith(vault.fingerprint().to_owned());
        let delete = CatalogChange::DeleteProviderKey("k1".to_owned());
        let refused = database
            .apply(vec![condition(&old), delete.clone()], &crate::audit::Stamp::for_tests())
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("master key was changed"), "{refused}");
        database.apply(vec![condition(&new), delete], &crate::audit::Stamp::for_tests()).await.unwrap();
    }
}
