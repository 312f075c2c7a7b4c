//! What a file declares: its rows are made so, and belong to it from then on.
//!
//! Applying is idempotent: rows are compared first, and where nothing differs nothing is written, so several cores may apply the
//! same file at the same moment. Of two that write, one finds the catalog changed and compares again.
//!
//! A row of Admin's that has the name of a declared one is not taken over in silence: that would undo what somebody did there.
//! It is a problem that names the row, until the file is applied once with `adopt`.

use secrecy::{ExposeSecret as _, SecretString};

use super::{
    Admin,
    transfer::{Document, Kind, Problems, Report, merge::Policy},
};
use crate::error::Result;

/// How to apply.
#[derive(Clone, Copy, Debug, Default)]
pub struct ApplyOptions {
    /// Only says what would change.
    pub dry_run: bool,
    /// What a file owned and this one does not have is deleted.
    pub prune: bool,
    /// Rows of Admin's with the same names become the file's.
    pub adopt: bool,
}

impl Admin {
    /// Makes the catalog what `declared` says: JSON with the arrays `providers`, `models`, `model_providers`, `teams` and
    /// `api_keys`, secrets in the clear.
    ///
    /// Errors: every problem, a line each; among them rows that Admin manages, unless they are to be adopted.
    pub async fn apply_declared(&self, declared: &SecretString, options: ApplyOptions) -> Result<Report> {
        let policy = Policy::Declare { prune: options.prune, adopt: options.adopt };
        self.carry_out(declared.expose_secret(), Kind::Declaration, None, policy, options.dry_run).await
    }
}

/// Refuses a document that came by a call and names secrets instead of holding them: only what reads a file looks them up.
///
/// Errors: every problem, a line each.
pub fn refuse_references(declared: &SecretString) -> Result<()> {
    let mut problems = Problems::default();
    let document = Document::read(declared.expose_secret(), Kind::Declaration, &mut problems);
    for path in document.references() {
        problems.add(
            path,
            "names a variable or a file (env:, file:), which is looked up in a configuration file and by the command `apply` alone; \
             send the secret itself",
        );
    }
    problems.refuse()
}

/// Finds fields that are not known and values of the wrong type. What they may hold is seen when they are applied, in a dry run too.
///
/// Errors: every problem, a line each.
pub fn check(declared: &SecretString) -> Result<()> {
    let mut problems = Problems::default();
    Document::read(declared.expose_secret(), Kind::Declaration, &mut problems);
    problems.refuse()
}
