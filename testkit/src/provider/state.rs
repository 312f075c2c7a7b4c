//! What all connections of a provider share: routes, judges and memory.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{Answer, Script, Seen};
use crate::judge::Judge;

/// The last segment of the path at which a provider lists its models.
const LIST: &str = "models";

/// Shared by the connections and by the test that looks at them. The lock is held for moments, never over an `await`.
#[derive(Debug, Default)]
pub(super) struct State {
    inner: Mutex<Inner>,
    arrivals: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Inner {
    endpoints: HashMap<String, Memory>,
    opened: usize,
    open: usize,
}

/// One virtual provider.
#[derive(Debug, Default)]
struct Memory {
    routes: Vec<Route>,
    judges: Vec<(String, Judge)>,
    seen: Vec<Seen>,
    complaints: Vec<String>,
}

#[derive(Debug)]
struct Route {
    path: String,
    script: Script,
    answered: usize,
}

impl State {
    pub(super) fn route(&self, name: &str, path: &str, script: Script) {
        let mut inner = self.lock();
        let routes = &mut inner.endpoints.entry(name.to_owned()).or_default().routes;
        routes.retain(|route| route.path != path);
        routes.push(Route { path: path.to_owned(), script, answered: 0 });
    }

    pub(super) fn judge(&self, name: &str, path: &str, judge: Judge) {
        let mut inner = self.lock();
        let judges = &mut inner.endpoints.entry(name.to_owned()).or_default().judges;
        judges.retain(|(known, _)| known != path);
        judges.push((path.to_owned(), judge));
    }

    pub(super) fn seen(&self, name: &str) -> Vec<Seen> {
        self.lock().endpoints.get(name).map(|memory| memory.seen.clone()).unwrap_or_default()
    }

    pub(super) fn complaints(&self, name: &str) -> Vec<String> {
        self.lock().endpoints.get(name).map(|memory| memory.complaints.clone()).unwrap_or_default()
    }

    /// Changes whenever a request has been remembered.
    pub(super) fn arrivals(&self) -> watch::Receiver<usize> {
        self.arrivals.subscribe()
    }

    /// Opened so far, and open now.
    pub(super) fn connections(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.opened, inner.open)
    }

    /// Counts a connection, over which something is asked for the first time, and gives its number.
    pub(super) fn connected(&self) -> usize {
        let mut inner = self.lock();
        inner.opened += 1;
        inner.open += 1;
        inner.opened
    }

    pub(super) fn disconnected(&self) {
        self.lock().open -= 1;
    }

    /// Keeps what is wrong with a request that could not even be read.
    pub(super) fn complain(&self, complaint: String) {
        self.lock().endpoints.entry(String::new()).or_default().complaints.push(complaint);
    }

    /// The answer to a request for the list of models where the test has no route for one.
    pub(super) fn unrouted_list(&self, name: &str, method: &str, path: &str) -> Option<Answer> {
        if method != "GET" || !ends_with(path, LIST) {
            return None;
        }
        let inner = self.lock();
        let routed = |route: &Route| ends_with(&route.path, LIST) && ends_with(path, &route.path);
        if inner.endpoints.get(name).is_some_and(|memory| memory.routes.iter().any(routed)) {
            return None;
        }
        Some(Answer::json(200, &serde_json::json!({"object": "list", "data": []})))
    }

    /// Judges a request, remembers it, and chooses its answer.
    pub(super) fn answer(&self, name: &str, seen: &Seen) -> Answer {
        let chosen = self.lock().endpoints.entry(name.to_owned()).or_default().choose(seen);
        self.arrivals.send_modify(|count| *count += 1);
        // A script may look at this state again, so it is asked without the lock.
        match chosen {
            Ok((script, n)) => script.answer(n, seen),
            Err(refusal) => refusal,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A test that panicked while it held the lock has failed already; what it left is whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// The script that answers, and for which time; or a refusal.
    fn choose(&mut self, seen: &Seen) -> Result<(Script, usize), Answer> {
        self.seen.push(seen.clone());
        let judge = longest(self.judges.iter(), &seen.path, |(path, _)| path);
        if let Some((_, judge)) = judge {
            let complaints = judge.complaints(seen);
            if !complaints.is_empty() {
                let refusal = judge.refusal(&complaints.join("; "));
                self.complaints.extend(complaints);
                return Err(Answer::json(400, &refusal));
            }
        }
        let Some(route) = longest(self.routes.iter_mut(), &seen.path, |route| &route.path) else {
            let complaint = format!("no route for {} {}", seen.method, seen.path);
            self.complaints.push(complaint.clone());
            return Err(unrouted(&complaint));
        };
        route.answered += 1;
        Ok((route.script.clone(), route.answered - 1))
    }
}

/// Of the items whose path the request's path ends with, the one with the longest.
fn longest<T>(items: impl Iterator<Item = T>, path: &str, path_of: impl Fn(&T) -> &String) -> Option<T> {
    items.filter(|item| ends_with(path, path_of(item))).max_by_key(|item| path_of(item).len())
}

/// Whether `path` ends with the whole segments of `suffix`.
fn ends_with(path: &str, suffix: &str) -> bool {
    let suffix = suffix.trim_matches('/');
    let path = path.trim_end_matches('/');
    suffix.is_empty()
        || path.strip_suffix(suffix).is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

fn unrouted(complaint: &str) -> Answer {
    let error =
        serde_json::json!({"message": complaint, "type": "unknown_path", "param": null, "code": null});
    Answer::json(404, &serde_json::json!({ "error": error }))
}
