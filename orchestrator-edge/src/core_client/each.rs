//! Asking each core rather than any: for whoever wants to know how they all are.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::uri::PathAndQuery;
use orchestrator_base::task;
use tokio::time::{Instant, timeout};
use tonic::{Request, Status, metadata::MetadataMap};

use super::{CoreChannel, raw::unary_request};

/// The most cores that are asked.
const MOST: usize = 64;

/// What a request carries that is for one core alone: which, by its place among the addresses known.
#[derive(Clone, Debug)]
pub(super) struct Which {
    pub(super) place: usize,
    /// What the pool found. Nothing: the core is in this process, and there is no pool.
    pub(super) found: Arc<OnceLock<Found>>,
}

/// What the pool knows of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// How many addresses there are.
    pub(super) of: usize,
    /// The one that was meant.
    pub(super) at: Option<SocketAddr>,
}

/// What became of asking one core.
pub(crate) struct Asked {
    /// Its address; `None`: it is in this process, or no name resolves.
    pub(crate) at: Option<SocketAddr>,
    pub(crate) took: Duration,
    pub(crate) answer: Result<Bytes, Status>,
}

/// Calls `path` at every core that the channel knows, all at once, each for no longer than `within`. At least one is asked.
pub(crate) async fn ask_each(
    core: &CoreChannel,
    path: &PathAndQuery,
    metadata: &MetadataMap,
    within: Duration,
) -> Vec<Asked> {
    let (first, count) = ask(core.clone(), 0, path.clone(), metadata.clone(), within).await;
    let others: Vec<_> = (1..count.min(MOST))
        .map(|place| {
            task::spawn("asking a core", ask(core.clone(), place, path.clone(), metadata.clone(), within))
        })
        .collect();
    let mut asked = vec![first];
    for other in others {
        if let Ok(Some((other, _))) = other.await {
            asked.push(other);
        }
    }
    asked
}

/// Asks the core of that place; gives how many there are too.
async fn ask(
    core: CoreChannel,
    place: usize,
    path: PathAndQuery,
    metadata: MetadataMap,
    within: Duration,
) -> (Asked, usize) {
    let found = Arc::new(OnceLock::new());
    let mut request = Request::from_parts(metadata, tonic::Extensions::default(), Bytes::new());
    request.extensions_mut().insert(Which { place, found: Arc::clone(&found) });
    let began = Instant::now();
    let answer = timeout(within, unary_request(&core, path, request)).await;
    let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")));
    let found = found.get().copied();
    let asked = Asked { at: found.and_then(|found| found.at), took: began.elapsed(), answer };
    (asked, found.map_or(1, |found| found.of))
}
