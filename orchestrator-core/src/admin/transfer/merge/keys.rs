//! Keys: those of providers, and callers'. What is special about them is their secret.

use std::collections::HashMap;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value as Json;

use super::{Merge, Outcome, Policy};
use crate::{
    admin::{
        secrets::{mask, prefix},
        transfer::{
            document::{self, Caller, Document, Key, Kind, Placed},
            problem::Problems,
            report::{Action, FieldDifference, fields},
            show,
        },
        validate,
    },
    catalog::{ApiKey, Provider, ProviderKey, defaults, keys::digest},
    store::CatalogChange,
};

/// The longest beginning of a secret that is shown.
const LONGEST_PREFIX: usize = 16;

/// A caller's secret as far as it is kept.
struct Credential {
    prefix: String,
    digest: [u8; 32],
}

impl Merge<'_> {
    /// The keys of a provider that is settled, or is about to be.
    pub(super) fn keys_of(&mut self, provider: &Provider, is_there: bool, keys: &[Key]) {
        let current = self.current;
        let of_provider = |row: &&ProviderKey| is_there && row.provider_id == provider.id;
        let mut labels = HashMap::new();
        for key in keys {
            if self.is_double(&mut labels, &key.label, &key.path, "label") {
                continue;
            }
            let secret_path = key.secret_path();
            let secret =
                self.secret(&place_of_key(&provider.name, &key.label), &secret_path, key.secret.as_deref());
            if let Some(secret) = &secret
                && let Err(error) = validate::provider_secret("secret", secret)
            {
                let why = error.message.trim_start_matches("secret ");
                self.problems.add(secret_path, why);
                continue;
            }
            let old =
                current.rows.provider_keys.iter().filter(of_provider).find(|row| row.label == key.label);
            self.key(provider, key, secret, old);
        }
        if matches!(self.policy, Policy::Declare { prune: true, .. }) {
            let of_provider = current.rows.provider_keys.iter().filter(of_provider);
            for row in of_provider.filter(|row| !labels.contains_key(&row.label)) {
                let change = CatalogChange::DeleteProviderKey(row.id.clone());
                let name = format!("{}/{}", provider.name, row.label);
                self.change(Action::Delete, "provider key", &name, Vec::new(), change);
            }
        }
    }

    fn key(
        &mut self,
        provider: &Provider,
        key: &Key,
        secret: Option<SecretString>,
        old: Option<&ProviderKey>,
    ) {
        let name = format!("{}/{}", provider.name, key.label);
        let made = match (old, &secret) {
            (Some(old), None) => Ok(old.clone()),
            (Some(old), Some(secret)) => self.resealed(old, secret),
            (None, Some(secret)) => self.admin.new_provider_key(&provider.id, &key.label, secret),
            (None, None) => return self.without_secret("provider key", &name, &key.secret_path()),
        };
        let mut new = match made {
            Ok(new) => new,
            Err(error) => return self.problems.add(&key.path, error.message),
        };
        new.weight = key.weight.unwrap_or(defaults::WEIGHT);
        new.enabled = key.enabled.unwrap_or(true);
        if let Err(error) = validate::provider_key(&new) {
            return self.problems.add_refusal(&key.path, &error);
        }
        let Some(old) = old else {
            let fields = fields(None, &show::provider_key(&new));
            let change = CatalogChange::InsertProviderKey(Box::new(new));
            return self.change(Action::Create, "provider key", &name, fields, change);
        };
        if new == *old {
            self.plan.report.unchanged += 1;
            return;
        }
        let mut fields = fields(Some(&show::provider_key(old)), &show::provider_key(&new));
        if new.sealed != old.sealed && new.masked == old.masked {
            fields.push(hidden("secret"));
        }
        new.updated_at = self.admin.clock.now();
        let change = CatalogChange::UpdateProviderKey(Box::new(new));
        self.change(Action::Update, "provider key", &name, fields, change);
    }

    /// The row with this secret. One that has it already stays as it is, since a secret looks different each time it is sealed.
    fn resealed(&self, old: &ProviderKey, secret: &SecretString) -> crate::error::Result<ProviderKey> {
        let vault = &self.admin.vault;
        let same = vault.open(old).is_ok_and(|before| before.expose_secret() == secret.expose_secret());
        if same {
            return Ok(old.clone());
        }
        Ok(ProviderKey { sealed: vault.seal(&old.id, secret)?, masked: mask(secret), ..old.clone() })
    }

    pub(super) fn merge_callers(&mut self, document: &Document) {
        let current = self.current;
        let standing = current.rows.api_keys.iter().filter(|row| !self.pruned.contains(row.id.as_str()));
        let mut holders: HashMap<[u8; 32], String> =
            standing.map(|row| (row.digest, row.name.clone())).collect();
        let mut seen = HashMap::new();
        for Placed { path, raw, row } in &document.api_keys {
            let name = row.change.name.clone().unwrap_or_default();
            let old = self.standing(&current.rows.api_keys, |row| row.name == name);
            let given = self.credential(path, &name, row);
            let there = old.map(|old| Credential { prefix: old.prefix.clone(), digest: old.digest });
            let known = given.is_some() || there.is_some();
            let Credential { prefix, digest } =
                given.or(there).unwrap_or_else(|| Credential { prefix: String::new(), digest: digest("") });
            let (kind, admin) = (self.kind, self.admin);
            let read = |raw: Json, problems: &mut Problems| {
                document::caller(raw, path, kind, problems).map(|row| row.change)
            };
            let check = |change| admin.new_api_key(change, prefix.clone(), digest);
            let Some(new) = self.checked(path, raw, row.change.clone(), read, check) else { continue };
            if self.is_double(&mut seen, &name, path, "name") {
                continue;
            }
            if !known {
                self.without_secret("API key", &name, &format!("{path}.secret"));
                continue;
            }
            if let Some(holder) = holders.get(&digest).filter(|holder| **holder != name) {
                let why = format!("has the same secret as API key {holder}");
                self.problems.add(path, why);
                continue;
            }
            holders.insert(digest, name.clone());
            self.check_team(document, path, &new, old);
            self.caller(path, new, old);
        }
    }

    fn caller(&mut self, path: &str, new: ApiKey, old: Option<&ApiKey>) -> Outcome {
        let differs = old.is_some_and(|old| old.digest != new.digest);
        let more = if differs { vec![hidden("secret")] } else { Vec::new() };
        let name = new.name.clone();
        self.settle(path, &name, new, old, more, show::api_key)
    }

    /// What the document says of a caller's secret, if it does.
    fn credential(&mut self, path: &str, name: &str, caller: &Caller) -> Option<Credential> {
        if let Some(secret) = &caller.secret {
            let secret = SecretString::from(secret.as_str());
            if let Err(error) = validate::provider_secret("secret", &secret) {
                self.problems.add_refusal(path, &error);
            }
            return Some(Credential { prefix: prefix(&secret), digest: digest(secret.expose_secret()) });
        }
        let digest_path = format!("{path}.digest");
        let opened = self.secret(&place_of_caller(name), &digest_path, caller.digest.as_deref())?;
        let mut digest = [0; 32];
        if hex::decode_to_slice(opened.expose_secret(), &mut digest).is_err() {
            self.problems.add(digest_path, "is not a digest");
            return None;
        }
        let prefix = caller.prefix.clone().unwrap_or_default();
        if prefix.chars().count() > LONGEST_PREFIX || prefix.chars().any(char::is_control) {
            self.problems
                .add(format!("{path}.prefix"), format!("must be at most {LONGEST_PREFIX} characters"));
        }
        Some(Credential { prefix, digest })
    }

    /// A secret of the document in the clear.
    fn secret(&mut self, place: &str, path: &str, given: Option<&str>) -> Option<SecretString> {
        let given = given?;
        if self.kind == Kind::Declaration {
            return Some(given.into());
        }
        let Some(seal) = self.seal else {
            self.problems.add(path, "is sealed, and the file does not say how: its field secrets is missing");
            return None;
        };
        let opened = seal.unseal(place, given);
        if opened.is_none() {
            self.problems.add(path, "is damaged, or was sealed for another place");
        }
        opened
    }

    fn without_secret(&mut self, noun: &str, name: &str, path: &str) {
        if self.kind == Kind::Declaration {
            return self.problems.add(path, "is required");
        }
        self.plan.report.left_out += 1;
        let note = format!("{noun} {name} is left out: the file does not have its secret");
        self.plan.report.notes.push(note);
    }
}

/// A difference that shows nothing.
fn hidden(field: &str) -> FieldDifference {
    let hidden = || Some("\"…\"".to_owned());
    FieldDifference { field: field.to_owned(), before: hidden(), after: hidden() }
}

/// What the secret of a provider's key is bound to in a file.
pub(in crate::admin::transfer) fn place_of_key(provider: &str, label: &str) -> String {
    format!("provider_keys/{provider}/{label}")
}

/// What the digest of a caller's key is bound to in a file.
pub(in crate::admin::transfer) fn place_of_caller(name: &str) -> String {
    format!("api_keys/{name}")
}
