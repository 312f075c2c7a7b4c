//! The front door. Reads like the life of a request.
//!
//! A [`Call`] of either plane is *prepared* (one scan for its facts, the caller's key, the route, the plan), *admitted* (it waits
//! for a place when too many run at once), *driven* (`attempt.rs`) and *delivered*: on the native plane as bytes of the caller's
//! dialect, failures included, on the typed plane as the hub's words or an [`Error`].

mod around;
mod asking;
mod count;
mod keyed;
mod leaving;
mod limits;
pub mod native;
pub mod prepare;
mod stored;
pub mod typed;

use std::{fmt, pin::pin, sync::Arc, time::Duration};

use orchestrator_base::{
    clock::Clock,
    config::{Limits, Stream},
    curfew::Curfew,
    live::Live,
    random::Random,
};
use secrecy::SecretString;

pub use keyed::typed::{Form, Retelling, WriteEvents};
pub use leaving::Drains;
pub use native::{NativeBody, NativePart, NativeReply, NativeStream};
pub use typed::{Answered, ChatStream, TypedEvent};

use crate::{
    admission::{self, gate::Gate},
    attempt::{self, Asker, Committed, Job},
    call::{Call, Input, ModelInfo},
    catalog::snapshot::SharedCatalog,
    chat::ChatReply,
    condition::Conditions,
    dialect::{Dialect, Operation},
    embedding::EmbedReply,
    error::{Error, ErrorKind, Result},
    ledger::{Entry, Ledger},
    origins::Origins,
    policy::estimate::Estimates,
    provider::http::{HttpClient, Transport},
    recording::claims::Claims,
    routing::Plan,
    shared_state::SharedState,
};

/// The core, as one request thread sees it. What outlives a call holds the thread's own [`Arc`] of it, whose count no other thread
/// writes to.
pub struct Orchestrator {
    shared: Arc<Shared>,
    asker: Asker,
}

/// What all request threads share.
#[derive(Debug)]
pub struct Shared {
    /// Snapshots of the catalog and of the callers' keys.
    pub catalog: Arc<SharedCatalog>,
    /// The account.
    pub ledger: Ledger,
    /// How much of their limits callers have used.
    pub shared_state: SharedState,
    /// What requests are taken to use before it is known.
    pub estimates: Live<Estimates>,
    /// How many requests for models run at once.
    pub gate: Arc<Gate>,
    /// Answers that are made or read on whether or not their callers are still there.
    pub drains: Drains,
    /// Who holds which idempotency key.
    pub claims: Arc<Claims>,
    /// Where stored responses are.
    pub origins: Arc<dyn Origins>,
    /// What is known of the providers.
    pub conditions: Conditions,
    /// Wall-clock time.
    pub clock: Clock,
    /// Choices and ids.
    pub random: Random,
    /// What a request may weigh.
    pub limits: Limits,
    /// How streams begin and keep alive.
    pub stream: Live<Stream>,
    /// Refuse private addresses as providers.
    pub deny_private: bool,
    /// When what runs is to end, for the process does.
    pub curfew: Curfew,
}

impl Shared {
    /// What asking providers needs, with connections of its own: they belong to the runtime that it is called on.
    pub fn asker(&self) -> Asker {
        Asker {
            http: Arc::new(HttpClient::new(self.deny_private)),
            clock: self.clock.clone(),
            random: self.random.clone(),
            conditions: self.conditions.for_thread(),
            shared_state: self.shared_state.clone(),
            max_event_bytes: self.limits.max_event_bytes,
            max_answer_bytes: self.limits.max_answer_bytes,
            curfew: self.curfew.for_thread(),
        }
    }
}

impl Orchestrator {
    /// The core for one request thread, with connections to providers of its own. Call it on that thread's runtime.
    pub fn for_thread(shared: Arc<Shared>) -> Arc<Self> {
        let asker = shared.asker();
        Arc::new(Self { shared, asker })
    }

    /// The core with another way to the providers.
    pub fn over(http: Arc<dyn Transport>, shared: Arc<Shared>) -> Arc<Self> {
        let asker = Asker { http, ..shared.asker() };
        Arc::new(Self { shared, asker })
    }

    /// One request in a public dialect: whole or streamed, as the request says. Failures come in the dialect's own shape.
    pub async fn invoke(self: &Arc<Self>, call: Call) -> NativeReply {
        let dialect = match &call.input {
            Input::Native { dialect, .. } => dialect,
            Input::Stored { .. } => return stored::stored(self, call).await,
            Input::Models { .. } | Input::Chat(_) | Input::Embed(_) | Input::Count(_) => {
                return self.invoke_models(&call);
            }
        };
        let (dialect, wire) = (*dialect, dialect.wire());
        let mut prepared = match self.prepare(call) {
            Ok(prepared) => prepared,
            Err(refusal) => return native::refused(&refusal, dialect),
        };
        if let Some(wish) = prepared.wish.take() {
            return Box::pin(keyed::native::reply(self, prepared, wish, dialect)).await;
        }
        match self.enter(prepared).await {
            Ok(admitted) if admitted.job.facts.stream => native::stream(self, admitted, wire).await,
            Ok(admitted) => native::whole(self, admitted, wire).await,
            Err(refusal) => native::refused(&refusal, dialect),
        }
    }

    /// One chat completion in the hub's words, whole.
    pub async fn chat(self: &Arc<Self>, call: Call) -> Result<Answered<ChatReply>> {
        typed::chat(self, self.admit(call).await?).await
    }

    /// One chat completion in the hub's words, as it is made. Returns when the first content is there.
    pub async fn stream_chat(self: &Arc<Self>, call: Call) -> Result<ChatStream> {
        typed::stream_chat(self, self.admit(call).await?).await
    }

    /// Embeddings in the hub's words.
    pub async fn embed(self: &Arc<Self>, call: Call) -> Result<Answered<EmbedReply>> {
        typed::embed(self, self.admit(call).await?).await
    }

    /// The tokens of a prompt, as a provider counts them or as they are estimated.
    ///
    /// Errors: those of any request for the same model by the same caller.
    pub async fn count_tokens(self: &Arc<Self>, call: Call) -> Result<Answered<u64>> {
        typed::count(self, self.admit(call).await?).await
    }

    /// The models that the holder of these keys may use: the catalog's own, then those that providers list, each sorted by id.
    pub fn list_models(&self, keys: &[SecretString]) -> Result<Vec<ModelInfo>> {
        let view = self.shared.catalog.load();
        let caller = admission::authenticate(keys, &view.keys, self.shared.clock.now())?;
        admission::may_do(caller, Operation::Models)?;
        Ok(view.catalog.models_for(&caller.models))
    }

    fn invoke_models(&self, call: &Call) -> NativeReply {
        let Input::Models { dialect, id } = &call.input else {
            let error = Error::internal("typed requests have methods of their own");
            return native::refusal(&error, &call.request_id, Dialect::OpenAiChat.wire());
        };
        let wire = dialect.wire();
        let listed = self.list_models(&call.keys).and_then(|models| match id {
            None => Ok(wire.render_models(&models)),
            Some(id) => models
                .iter()
                .find(|model| model.id == *id)
                .map(|model| wire.render_model(model))
                .ok_or_else(|| unknown_model(id, &[])),
        });
        match listed {
            Ok(body) => native::json(body, &call.request_id),
            Err(error) => native::refusal(&error, &call.request_id, wire),
        }
    }

    /// Gets an answer.
    async fn drive(&self, job: &Job, plan: Plan, entry: &mut Entry) -> Result<Box<Committed>> {
        if job.operation == Operation::CountTokens {
            let counting = pin!(count::drive(self, job, plan, entry));
            return self.until_curfew(counting).await;
        }
        // Lent, not moved: it is large.
        let driving = pin!(attempt::drive(&self.asker, job, plan, entry));
        self.until_curfew(driving).await
    }

    /// What `work` comes to, or the refusal of a gateway that ends.
    async fn until_curfew<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.asker.curfew.unless(work).await.unwrap_or_else(|| Err(Error::stopping()))
    }

    pub(crate) fn early_head(&self) -> Duration {
        Duration::from_millis(self.shared.stream.load().early_head_ms)
    }

    pub(crate) fn idle_bytes(&self) -> Duration {
        Duration::from_millis(self.shared.stream.load().idle_bytes_ms.max(1))
    }
}

impl fmt::Debug for Orchestrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orchestrator").finish_non_exhaustive()
    }
}

/// No such model, with the names that come near.
pub(crate) fn unknown_model(name: &str, near: &[String]) -> Error {
    let mut message = format!("the model `{name}` does not exist or you do not have access to it");
    if !near.is_empty() {
        message.push_str("; near it: ");
        message.push_str(&near.join(", "));
    }
    Error::new(ErrorKind::NotFound, message).with_param("model").with_code("model_not_found")
}

#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod tests;
