//! A scriptable provider on `127.0.0.1`: the other end of every test that sends something upstream.
//!
//! It is written on bare sockets, because what it is for is what an HTTP library exists to prevent: cuts inside a code
//! point, resets, chunked bodies without their last chunk, wrong content lengths.
//!
//! ```ignore
//! let provider = Provider::start().await;
//! provider.route("chat/completions", Script::sequence([Answer::error(503), Answer::sse(["{}"])]));
//! let gateway = start_gateway(&provider.base_url()).await;
//! // … one request through the gateway …
//! assert_eq!(provider.seen().len(), 2);
//! ```
//!
//! One listener plays as many providers as a test needs: [`Provider::named`] gives each its own base URL
//! (`http://127.0.0.1:PORT/p/NAME/v1`), routes and memory. Dropping the [`Provider`] closes every connection.
//!
//! A gateway asks each of its providers for its models on its own account and whenever it likes: that is not what a test is
//! about. So `GET …/models` is answered with an empty list, and is neither judged, remembered, complained of nor counted, unless
//! there is a route whose path ends with `models` (the route `""` does not count as one).

mod answer;
mod connection;
mod cut;
mod reader;
mod script;
mod seen;
mod state;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, task::JoinSet};

use self::state::State;
pub use self::{
    answer::{Answer, BodyPlan, Piece},
    cut::Cut,
    script::Script,
    seen::Seen,
};
use crate::judge::Judge;

/// A running provider. Its methods without a name speak of the provider at the listener's root.
#[derive(Debug)]
pub struct Provider {
    root: Endpoint,
    // Holds the accept loop, which holds the connections: dropping it ends them all.
    _accepting: JoinSet<()>,
}

impl Provider {
    /// Listens on a free port of `127.0.0.1` and serves on the current runtime.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free local port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let state = Arc::new(State::default());
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&state)));
        Self { root: Endpoint { state, address, name: String::new() }, _accepting: accepting }
    }

    /// Another provider on the same listener, with its own base URL, routes and memory.
    pub fn named(&self, name: &str) -> Endpoint {
        Endpoint { name: name.to_owned(), ..self.root.clone() }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.root.address
    }

    /// What a catalog stores as the provider's base URL: `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        self.root.base_url()
    }

    /// See [`Endpoint::route`].
    pub fn route(&self, path: &str, script: impl Into<Script>) {
        self.root.route(path, script);
    }

    /// See [`Endpoint::judge`].
    pub fn judge(&self, path: &str, judge: Judge) {
        self.root.judge(path, judge);
    }

    /// See [`Endpoint::seen`].
    pub fn seen(&self) -> Vec<Seen> {
        self.root.seen()
    }

    /// See [`Endpoint::complaints`].
    pub fn complaints(&self) -> Vec<String> {
        self.root.complaints()
    }

    /// See [`Endpoint::wait_for`].
    pub async fn wait_for(&self, count: usize, within: Duration) -> Vec<Seen> {
        self.root.wait_for(count, within).await
    }

    /// TCP connections over which something was asked so far, over all names.
    pub fn connections_opened(&self) -> usize {
        self.root.state.connections().0
    }

    /// Those of them that are open now.
    pub fn connections_open(&self) -> usize {
        self.root.state.connections().1
    }
}

/// One provider of a listener: what is asked below its base URL.
#[derive(Clone, Debug)]
pub struct Endpoint {
    state: Arc<State>,
    address: SocketAddr,
    name: String,
}

impl Endpoint {
    /// What a catalog stores as the provider's base URL.
    pub fn base_url(&self) -> String {
        if self.name.is_empty() {
            format!("http://{}/v1", self.address)
        } else {
            format!("http://{}/p/{}/v1", self.address, self.name)
        }
    }

    /// Answers requests whose path ends with `path` (whole segments: `chat/completions`) by `script`; `""` answers what no
    /// other route does. The longest path wins; a second script for the same path replaces the first.
    pub fn route(&self, path: &str, script: impl Into<Script>) {
        self.state.route(&self.name, path, script.into());
    }

    /// Lets `judge` read each request whose path ends with `path` before it is answered. What it refuses gets a 400 that
    /// says why, and is kept in [`Endpoint::complaints`].
    pub fn judge(&self, path: &str, judge: Judge) {
        self.state.judge(&self.name, path, judge);
    }

    /// The requests received so far, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen(&self.name)
    }

    /// What was wrong with the requests received so far: the judges' words, requests without a route, broken HTTP.
    pub fn complaints(&self) -> Vec<String> {
        self.state.complaints(&self.name)
    }

    /// Waits until `count` requests have been received, then gives all of them.
    ///
    /// Panics when that takes longer than `within`: the test has failed.
    pub async fn wait_for(&self, count: usize, within: Duration) -> Vec<Seen> {
        let mut arrivals = self.state.arrivals();
        let arrived = async {
            while self.seen().len() < count {
                arrivals.changed().await.expect("the provider lives as long as its endpoint");
            }
        };
        let in_time = tokio::time::timeout(within, arrived).await;
        assert!(in_time.is_ok(), "{} of {count} requests came within {within:?}", self.seen().len());
        self.seen()
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An accept error is the peer's (it went away before we looked) or passes by itself.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection::serve(stream, Arc::clone(&state)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
