//! A request that has been admitted: all that an attempt needs to know of it.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

use crate::{
    call::{Facts, Input, Standing},
    dialect::{Dialect, HubRequest, Operation},
    error::{Error, Result},
    origins::Keeper,
};

/// An admitted request.
#[derive(Debug)]
pub struct Job {
    /// Traces it through logs.
    pub request_id: String,
    /// What is asked.
    pub input: Input,
    /// What one scan told of it.
    pub facts: Facts,
    /// What is to be done.
    pub operation: Operation,
    /// Headers that a provider of the same dialect is shown.
    pub headers: HeaderMap,
    /// What translation could not carry is an error.
    pub strict: bool,
    /// Remembers the answer's id where its provider stores it.
    pub keeper: Option<Keeper>,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// What the caller is told of its limits, if it is under any.
    pub limits: OnceLock<Standing>,
    /// The caller has left: what runs may be read to its end, but nobody else is asked.
    abandoned: AtomicBool,
    /// The request in the hub's words: decoded when the first candidate needs it, then kept for the others.
    hub: OnceLock<Result<HubRequest>>,
    /// Whether it can be told in another dialect.
    vetted: OnceLock<Result<()>>,
}

impl Job {
    /// An admitted request.
    pub fn new(request_id: String, input: Input, facts: Facts, operation: Operation) -> Self {
        Self {
            request_id,
            input,
            facts,
            operation,
            headers: HeaderMap::new(),
            strict: false,
            keeper: None,
            deadline: None,
            limits: OnceLock::new(),
            abandoned: AtomicBool::new(false),
            hub: OnceLock::new(),
            vetted: OnceLock::new(),
        }
    }

    /// The caller's dialect; `None` on the typed plane.
    pub fn dialect(&self) -> Option<Dialect> {
        match &self.input {
            Input::Native { dialect, .. } | Input::Models { dialect, .. } => Some(*dialect),
            Input::Stored { .. } => Some(Dialect::OpenAiResponses),
            Input::Chat(_) | Input::Embed(_) | Input::Count(_) => None,
        }
    }

    /// The request in the hub's words.
    ///
    /// Errors: 400 that names the path of the wrong field.
    pub fn hub(&self) -> Result<&HubRequest> {
        let decoded = self.hub.get_or_init(|| match &self.input {
            Input::Native { dialect, body, .. } => self.decoded(*dialect, body),
            Input::Chat(request) | Input::Count(request) => Ok(HubRequest::Chat(request.clone())),
            Input::Embed(request) => Ok(HubRequest::Embed(request.clone())),
            Input::Models { .. } | Input::Stored { .. } => {
                Err(Error::internal("what names no model is no request for a provider"))
            }
        });
        decoded.as_ref().map_err(Clone::clone)
    }

    /// Says whether the request can be told in another dialect than the caller's.
    ///
    /// Errors: 400 that names what cannot.
    pub fn vet(&self) -> Result<()> {
        let vetted = self.vetted.get_or_init(|| match &self.input {
            Input::Native { dialect, body, .. } => dialect.wire().vet_request(body),
            _ => Ok(()),
        });
        vetted.clone()
    }

    /// A body in the hub's words, with what its path said.
    fn decoded(&self, dialect: Dialect, body: &Bytes) -> Result<HubRequest> {
        let mut request = dialect.wire().decode_request(body)?;
        let taken = self.facts.wishes.iter().flat_map(|wishes| &wishes.fields);
        let taken = taken.map(|name| format!("{}.{name}", dialect.name()));
        match &mut request {
            HubRequest::Chat(chat) => {
                taken.for_each(|name| drop(chat.extras.remove(&name)));
                chat.model.clone_from(&self.facts.model);
                chat.stream = self.facts.stream;
            }
            HubRequest::Embed(embed) => {
                taken.for_each(|name| drop(embed.extras.remove(&name)));
                embed.model.clone_from(&self.facts.model);
            }
        }
        Ok(request)
    }

    /// What the caller is to be told of its limits: the first that is said.
    pub fn tell_limits(&self, standing: Standing) {
        if standing.is_news() {
            let _ = self.limits.set(standing);
        }
    }

    /// The caller has left.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// How long the caller still waits; `None`: no limit.
    pub fn time_left(&self) -> Option<Duration> {
        if self.abandoned.load(Ordering::Relaxed) {
            return Some(Duration::ZERO);
        }
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}
