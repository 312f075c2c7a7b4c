//! What an operator asks of a provider beside how it is: which models it lists, and whether a model of it calls tools.
//!
//! It goes by the prober's connections, and by the same code as requests; it draws nothing on the health board, for nobody's request
//! would have been asked so.

use std::time::Duration;

use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

use super::{
    ProbeDesk, Prober, Probing, Request, Wanted,
    ask::{LiveAsk, PROBE_TIMEOUT, REQUEST_ID, note},
};
use crate::{
    attempt::{CommittedAnswer, Job, WholeAnswer, one::try_one},
    call::{Facts, Input},
    catalog::{listed::ModelList, route::Target},
    chat::{ChatRequest, Message, PartKind, Role, Tool},
    dialect::{HubReply, Operation},
    error::{Error, ErrorKind, Result},
    ledger::trail::Trail,
    model_lists, routing,
};

/// The tool that a model is given.
const TOOL: &str = "get_weather";
/// Room for reasoning before the call.
const MOST_TOKENS: u32 = 1024;

/// Whether a model calls tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolTest {
    /// The model at the provider.
    pub model: String,
    /// It called the tool.
    pub called: bool,
    /// The arguments that it called it with, JSON as the model wrote it.
    pub arguments: String,
    /// Why there was no answer; empty where there was one.
    pub error: String,
    /// How long it took.
    pub took: Duration,
}

impl ProbeDesk {
    /// The models that a provider lists now.
    ///
    /// Errors: it cannot be asked, or does not give its list (409); too much is asked at once (503).
    pub async fn models(&self, provider_id: &str) -> Result<ModelList> {
        self.wanted(provider_id, Wanted::Models).await
    }

    /// Whether a model of a provider calls tools; without a name one that it is known to serve.
    ///
    /// Errors: it cannot be asked (409), too much is asked at once (503).
    pub async fn tools(&self, provider_id: &str, model: Option<&str>) -> Result<ToolTest> {
        let model = model.map(str::to_owned);
        self.wanted(provider_id, |reply| Wanted::Tools(model, reply)).await
    }
}

impl Prober {
    /// Asks, and answers whoever wants to know by itself.
    pub(super) fn inquire(&self, target: Target, wanted: Wanted) -> Option<Probing> {
        let ask = std::sync::Arc::clone(&self.ask);
        match wanted {
            Wanted::Check(_) => None,
            Wanted::Models(reply) => Some(Box::pin(async move {
                // Who asked may have left.
                drop(reply.send(ask.list(&target).await));
                None
            })),
            Wanted::Tools(model, reply) => {
                let served = self.catalog.peek().catalog.served_by(&target.provider_id).cloned();
                let target = match (model, served) {
                    (Some(model), served) => Target { upstream_model: model, ..served.unwrap_or(target) },
                    (None, Some(served)) => served,
                    (None, None) => {
                        let why = "the catalog has no model for the provider; name one";
                        drop(reply.send(Err(Error::new(ErrorKind::Conflict, why).with_param("model"))));
                        return None;
                    }
                };
                Some(Box::pin(async move {
                    drop(reply.send(ask.tools(&target).await));
                    None
                }))
            }
        }
    }
}

/// The answer to what cannot be asked.
pub(super) fn refuse(request: Request, why: &'static str) {
    fn send<T>(reply: oneshot::Sender<Result<T>>, why: &'static str) {
        // Who asked may have left.
        drop(reply.send(Err(Error::new(ErrorKind::Conflict, why))));
    }
    match request.wanted {
        Wanted::Check(reply) => send(reply, why),
        Wanted::Models(reply) => send(reply, why),
        Wanted::Tools(_, reply) => send(reply, why),
    }
}

impl LiveAsk {
    /// The list, with the first key that is taken.
    pub(super) async fn listed(&self, target: &Target) -> Result<ModelList> {
        let mut candidate = routing::Candidate::alone(target.clone(), self.turn());
        let asking = async {
            loop {
                let failure = match model_lists::list(&*self.asker.http, target, candidate.key()).await {
                    Ok(list) => return Ok(list),
                    Err(failure) => failure,
                };
                let is_refusal = matches!(failure.status, 401..=403);
                match candidate.with_next_key().filter(|_| is_refusal) {
                    Some(next) => candidate = next,
                    None => return Err(failure.reason),
                }
            }
        };
        let outcome = timeout(PROBE_TIMEOUT, Box::pin(asking)).await;
        let outcome = outcome.unwrap_or_else(|_| Err("it did not answer within 30 s".to_owned()));
        outcome.map_err(|why| {
            Error::new(ErrorKind::Conflict, format!("the provider gave no list of models: {why}"))
        })
    }

    /// One request with a tool.
    pub(super) async fn tool_test(&self, target: &Target) -> Result<ToolTest> {
        if routing::dialect_for(target, Operation::Chat, None).is_none() {
            return Err(Error::new(ErrorKind::Conflict, "the provider speaks no dialect of chats"));
        }
        let (job, began) = (tool_job(target), Instant::now());
        let candidate = routing::Candidate::alone(target.clone(), self.turn());
        let mut entry =
            self.ledger.as_ref().map(|ledger| ledger.begin_probe(REQUEST_ID, Operation::Chat, &job.facts));
        if let Some(entry) = &mut entry {
            entry.attempt(candidate.target(), candidate.key());
        }
        let trail = Trail::default();
        let asking = try_one(&self.asker, &job, &candidate, true, &trail);
        let tried = timeout(PROBE_TIMEOUT, Box::pin(asking)).await;
        let mut test =
            ToolTest { model: target.upstream_model.clone(), took: began.elapsed(), ..ToolTest::default() };
        let Ok(tried) = tried else {
            "it did not answer within 30 s".clone_into(&mut test.error);
            return Ok(test);
        };
        if let Some(entry) = &mut entry {
            note(entry, &tried);
        }
        match tried {
            Ok(committed) => {
                if let CommittedAnswer::Whole(WholeAnswer::Hub(reply), _) = committed.answer
                    && let Some(arguments) = call_of(&reply)
                {
                    test.called = true;
                    test.arguments = arguments;
                }
            }
            Err(error) => test.error = error.message,
        }
        Ok(test)
    }
}

fn tool_job(target: &Target) -> Job {
    let model = target.upstream_model.clone();
    let text = "What is the weather in Paris? Look it up with the tool.".to_owned();
    let parameters =
        r#"{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}"#.to_owned();
    let description = Some("Looks up the weather in a city.".to_owned());
    let input = Input::Chat(Box::new(ChatRequest {
        model: model.clone(),
        messages: vec![Message { role: Role::User, parts: vec![PartKind::Text(text).into()], name: None }],
        tools: vec![Tool { name: TOOL.to_owned(), description, parameters, strict: None }],
        max_output_tokens: Some(MOST_TOKENS),
        ..ChatRequest::default()
    }));
    Job::new(REQUEST_ID.to_owned(), input, Facts { model, tools: true, ..Facts::default() }, Operation::Chat)
}

/// The arguments with which the tool was called.
fn call_of(reply: &HubReply) -> Option<String> {
    let HubReply::Chat(reply) = reply else { return None };
    let mut parts = reply.choices.iter().flat_map(|choice| &choice.message.parts);
    parts.find_map(|part| match &part.kind {
        PartKind::ToolCall(call) if call.name == TOOL => Some(call.arguments.clone()),
        _ => None,
    })
}
