//! The audit log's words: who acts, what was done, and the row that says so.
//!
//! Every change of the catalog makes its rows itself, in its own transaction (`store/revision.rs`), with the state before and after
//! as [`shown`] writes it: without secrets. What is no row of the catalog (a breaker's reset, an export, a refused sign-in) is an
//! [`Event`] that Admin records. Rows are only ever added: there is no statement that changes or deletes one.

pub mod shown;

use orchestrator_base::{clock::UnixMicros, random::Random};
use serde_json::Value;

use crate::catalog::admin_keys::Role;

/// The actor of `ADMIN_KEY`.
pub const BOOTSTRAP: &str = "bootstrap";
/// The actor of what the program does by itself.
pub const SYSTEM: &str = "system";

/// The actor of the commands that work on the database without serving.
pub const CLI: &str = "cli";

/// What was done.
pub mod action {
    /// A row was made.
    pub const CREATE: &str = "create";
    /// A row was changed.
    pub const UPDATE: &str = "update";
    /// A row was deleted.
    pub const DELETE: &str = "delete";
    /// A key got a new secret.
    pub const ROTATE: &str = "rotate";
    /// Breakers were closed.
    pub const RESET: &str = "reset";
    /// A provider was asked how it is.
    pub const FORCE_CHECK: &str = "force_check";
    /// A provider's model was asked to call a tool.
    pub const TEST_TOOLS: &str = "test_tools";
    /// Records were deleted before their time.
    pub const PURGE: &str = "purge";
    /// A session began.
    pub const SIGN_IN: &str = "sign_in";
    /// A session was ended by who held it.
    pub const SIGN_OUT: &str = "sign_out";
    /// A key was presented that opens nothing.
    pub const SIGN_IN_FAILED: &str = "sign_in_failed";
    /// A key was presented whose role is too small.
    pub const DENIED: &str = "denied";
    /// Secrets left the gateway.
    pub const EXPORT_SECRETS: &str = "export_secrets";
    /// Bodies of requests were read.
    pub const READ_BODIES: &str = "read_bodies";
}

/// Who acts, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The admin key's name, [`BOOTSTRAP`], [`SYSTEM`] or [`CLI`]; empty where no key was accepted.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The client's address: `ADDRESS`, or `ADDRESS via PEER` where the peer, an edge, said it. Empty: unknown.
    pub address: String,
    /// The request that it acts in.
    pub request_id: String,
}

impl Actor {
    /// The program itself.
    pub fn system() -> Self {
        Self::named(SYSTEM)
    }

    /// Whoever runs a command on the program's own machine.
    pub fn cli() -> Self {
        Self::named(CLI)
    }

    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), role: Role::Admin, address: String::new(), request_id: String::new() }
    }
}

/// Something that was done, or tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// One of [`action`]'s.
    pub action: &'static str,
    /// What kind of thing it was done to: `provider`.
    pub noun: &'static str,
    /// Its id; empty where there is none.
    pub target: String,
    /// Its name.
    pub target_name: String,
    /// `ok` or `refused`.
    pub outcome: &'static str,
    /// How it was, without secrets.
    pub before: Option<Value>,
    /// How it is, without secrets.
    pub after: Option<Value>,
}

impl Event {
    /// Something that was done to nothing in particular.
    pub fn new(action: &'static str, noun: &'static str) -> Self {
        Self {
            action,
            noun,
            target: String::new(),
            target_name: String::new(),
            outcome: "ok",
            before: None,
            after: None,
        }
    }

    /// Says to what.
    pub fn on(mut self, id: &str, name: &str) -> Self {
        id.clone_into(&mut self.target);
        name.clone_into(&mut self.target_name);
        self
    }

    /// Says how it was.
    pub fn before(mut self, state: Value) -> Self {
        self.before = Some(state);
        self
    }

    /// Says how it is, or what was asked for.
    pub fn after(mut self, state: Value) -> Self {
        self.after = Some(state);
        self
    }

    /// It was tried, and refused.
    pub fn refused(mut self) -> Self {
        self.outcome = "refused";
        self
    }
}

/// Who does it, and when: makes events the log's rows.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: UnixMicros,
    /// What ids are made of.
    pub random: Random,
}

impl Stamp {
    /// The rows of these events, in their order.
    pub fn entries(&self, events: impl IntoIterator<Item = Event>) -> Vec<AuditEntry> {
        let entry = |(place, event)| self.entry(place, event);
        (0_i64..).zip(events).map(entry).collect()
    }

    /// The program's own, at the beginning of time.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self { actor: Actor::system(), at: UnixMicros(1), random: Random::system() }
    }

    fn entry(&self, place: i64, event: Event) -> AuditEntry {
        let state = |state: Option<Value>| state.map(|state| state.to_string()).unwrap_or_default();
        AuditEntry {
            // Of events at one moment the later one sorts later.
            id: id_at(UnixMicros(self.at.0.saturating_add(place)), &self.random),
            at: self.at,
            actor: self.actor.name.clone(),
            address: self.actor.address.clone(),
            request_id: self.actor.request_id.clone(),
            action: event.action.to_owned(),
            noun: event.noun.to_owned(),
            target: event.target,
            target_name: event.target_name,
            outcome: event.outcome.to_owned(),
            state_before: state(event.before),
            state_after: state(event.after),
        }
    }
}

/// A UUID v7 that sorts by the microsecond: the twelve bits after the milliseconds say which part of one (RFC 9562, 6.2, method 3).
fn id_at(at: UnixMicros, random: &Random) -> String {
    let mut bytes = random.uuid(at).into_bytes();
    let [high, low] = part_of_a_millisecond(at).to_be_bytes();
    bytes[6] = 0x70 | high;
    bytes[7] = low;
    uuid::Uuid::from_bytes(bytes).to_string()
}

/// The smallest id that a row of this moment can have: where a walk along the ids may begin or end.
pub fn least_id(at: UnixMicros) -> String {
    let millis = u64::try_from(at.0.div_euclid(1000)).unwrap_or(0);
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    let [high, low] = part_of_a_millisecond(at).to_be_bytes();
    bytes[6] = 0x70 | high;
    bytes[7] = low;
    uuid::Uuid::from_bytes(bytes).to_string()
}

/// In 4096ths.
fn part_of_a_millisecond(at: UnixMicros) -> u16 {
    u16::try_from(at.0.rem_euclid(1000) * 4096 / 1000).unwrap_or(0)
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// UUID v7: the log's order.
    pub id: String,
    /// When.
    pub at: UnixMicros,
    /// [`Actor::name`].
    pub actor: String,
    /// [`Actor::address`].
    pub address: String,
    /// [`Actor::request_id`].
    pub request_id: String,
    /// [`Event::action`].
    pub action: String,
    /// [`Event::noun`].
    pub noun: String,
    /// [`Event::target`].
    pub target: String,
    /// [`Event::target_name`].
    pub target_name: String,
    /// [`Event::outcome`].
    pub outcome: String,
    /// JSON; empty where there was nothing.
    pub state_before: String,
    /// JSON; empty where there is nothing.
    pub state_after: String,
}

/// Which rows of the log; `None`: all.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// By this actor.
    pub actor: Option<String>,
    /// This action.
    pub action: Option<String>,
    /// To this kind of thing.
    pub noun: Option<String>,
    /// To the thing with this id.
    pub target: Option<String>,
    /// From this moment on.
    pub from: Option<UnixMicros>,
    /// Before this moment.
    pub to: Option<UnixMicros>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_sort_by_the_microsecond_and_within_it_by_their_order() {
        let random = Random::seeded(1);
        let at = UnixMicros(1_700_000_000_000_998);
        let stamp = |at| Stamp { actor: Actor::system(), at, random: random.clone() };
        let one = Event::new(action::RESET, "breaker");
        let mut rows = stamp(at).entries([one.clone(), one.clone(), one.clone()]);
        rows.extend(stamp(UnixMicros(at.0 + 3)).entries([one]));
        let ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
        assert!(ids.is_sorted(), "{ids:?}");
        assert!(least_id(at) <= ids[0] && least_id(UnixMicros(at.0 + 3)) > ids[2], "{ids:?}");
        assert_eq!(ids[0].as_bytes()[14], b'7');
    }
}
