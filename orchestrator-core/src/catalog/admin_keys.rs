//! Operators' keys: who may do what in Admin, and the table of their digests that a sign-in is checked against.
//!
//! The table is part of the snapshot: a sign-in reads no database, works while it is away, and a key that was deleted opens
//! nothing in any core within a second. So are the sessions that were ended: all that is kept of a session.

use std::collections::HashSet;

use orchestrator_base::clock::UnixMicros;
use subtle::ConstantTimeEq as _;

use super::keys::digest;

/// What an operator may do. Each may all that those before it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// May look, at what holds no secret.
    #[default]
    Viewer,
    /// May change what requests meet: providers, models, callers' keys, prices.
    Operator,
    /// May everything: operators' keys, the audit log, secrets and bodies.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// Its name in the contract and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// What an operator holds; the secret itself only as a digest.
#[derive(Clone, Debug, PartialEq)]
pub struct AdminKey {
    /// UUID v7.
    pub id: String,
    /// Unique: the actor's name in the audit log.
    pub name: String,
    /// What it opens.
    pub role: Role,
    /// The secret's beginning: enough to recognise it, too little to use it.
    pub prefix: String,
    /// SHA-256 of the secret.
    pub digest: [u8; 32],
    /// Disabled keys are refused.
    pub enabled: bool,
    /// From when on it is refused.
    pub expires_at: Option<UnixMicros>,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

/// A session that may not be used any more, although its time is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedSession {
    /// UUID v7.
    pub id: String,
    /// When it would have been over anyway; then this row says nothing new.
    pub expires_at: UnixMicros,
}

/// Every operator's key, disabled and expired ones too, and the sessions that were ended.
#[derive(Clone, Debug, Default)]
pub struct AdminKeyTable {
    keys: Vec<AdminKey>,
    ended: HashSet<String>,
}

impl AdminKeyTable {
    /// The table of these keys, and of these sessions.
    pub fn new(keys: Vec<AdminKey>, ended: Vec<EndedSession>) -> Self {
        Self { keys, ended: ended.into_iter().map(|session| session.id).collect() }
    }

    /// The key that this secret opens. It takes as long for every secret: each digest is compared, in constant time.
    pub fn find(&self, secret: &str) -> Option<&AdminKey> {
        let digest = digest(secret);
        let mut found = None;
        for key in &self.keys {
            if bool::from(key.digest.ct_eq(&digest)) {
                found = Some(key);
            }
        }
        found
    }

    /// The key with this id.
    pub fn by_id(&self, id: &str) -> Option<&AdminKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Whether the session with this id was ended before its time.
    pub fn has_ended(&self, session: &str) -> bool {
        self.ended.contains(session)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
