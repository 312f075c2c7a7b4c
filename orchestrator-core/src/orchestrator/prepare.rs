//! From a call to a job with a plan: facts, caller, route. Everything that can be refused before a provider is asked is refused
//! here, and every refusal has its record too.

mod choice;

use std::sync::Arc;

use self::choice::Choice;
use super::{Orchestrator, around::Around, unknown_model};
use crate::{
    admission,
    attempt::Job,
    call::{Call, Facts, Input},
    catalog::{
        ApiKey, OnDisconnect,
        route::{Resolution, Route},
        snapshot::Catalog,
    },
    chat::{ChatRequest, PartKind, ResponseFormat, size::prompt_bytes},
    dialect::{Dialect, Operation},
    embedding::{EmbedInput, EmbedRequest},
    error::{Error, Result},
    ledger::{Entry, Outcome},
    origins::Keeper,
    routing::{self, Plan},
};

/// A call that has been admitted and planned.
#[derive(Debug)]
pub struct PreparedCall {
    /// What is asked.
    pub job: Arc<Job>,
    /// Who is asked, in order.
    pub plan: Plan,
    /// Its account.
    pub entry: Box<Entry>,
    /// What its key says of callers who leave.
    pub on_disconnect: OnDisconnect,
}

/// A call that was refused before any provider was asked. Its account is closed.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub error: Error,
    /// For the answer's headers and body.
    pub request_id: String,
}

impl From<Box<Refusal>> for Error {
    fn from(refusal: Box<Refusal>) -> Self {
        refusal.error
    }
}

impl Orchestrator {
    /// Admits and plans a call.
    pub(super) fn prepare(&self, call: Call) -> Result<PreparedCall, Box<Refusal>> {
        let shared = &self.shared;
        let operation = operation(&call.input);
        // Who asks comes before what: a stranger's body is not even looked into.
        let view = shared.catalog.peek();
        let caller = admission::authenticate(&call.keys, &view.keys, shared.clock.now());
        let facts = match &caller {
            Ok(caller) => facts(&call.input, shared.limits.max_json_depth)
                .and_then(|facts| self.with_model(facts, caller)),
            Err(refused) => Err(refused.clone()),
        };
        let entry = shared.ledger.begin(&call, facts.as_ref().ok(), dialect_name(&call.input), operation);
        let mut entry = Box::new(entry);
        if let Ok(caller) = &caller {
            entry.caller(caller);
            entry.asked(caller, &call.input);
        }
        let planned = facts.and_then(|facts| {
            let caller = caller?;
            let plan = self.plan(&view.catalog, caller, &call, &facts, operation)?;
            Ok((facts, plan, caller))
        });
        match planned {
            Ok((facts, plan, caller)) => {
                let mut job = job(call, facts, operation);
                if job.dialect() == Some(Dialect::OpenAiResponses) {
                    let origins = Arc::clone(&shared.origins);
                    job.keeper =
                        Some(Keeper::new(origins, shared.clock.clone(), &job.facts.model, &caller.id));
                }
                Ok(PreparedCall { job: Arc::new(job), plan, entry, on_disconnect: caller.on_disconnect })
            }
            Err(error) => {
                entry.close(Outcome::Failed(&error));
                Err(Box::new(Refusal { error, request_id: call.request_id }))
            }
        }
    }

    /// Facts with the model that the response before was made with, where the request names none.
    ///
    /// Errors: 400 when that is not known here.
    fn with_model(&self, facts: Facts, caller: &ApiKey) -> Result<Facts> {
        if !facts.model.is_empty() {
            return Ok(facts);
        }
        let shared = &self.shared;
        let id = facts.previous_response.as_ref();
        let origin = id.and_then(|id| shared.origins.find(id, shared.clock.now()));
        if let Some(origin) = origin.filter(|origin| origin.api_key_id == caller.id) {
            return Ok(Facts { model: origin.model, ..facts });
        }
        let message =
            "you must provide a model parameter: that of the stored prompt or response is not known here";
        Err(Error::invalid("model".to_owned(), message))
    }

    fn plan(
        &self,
        catalog: &Catalog,
        caller: &ApiKey,
        call: &Call,
        facts: &Facts,
        operation: Operation,
    ) -> Result<Plan> {
        admission::authorize(caller, operation, &facts.model)?;
        let choice = Choice::of(&call.about, facts);
        if let Some(choice) = &choice {
            choice.admit(caller, catalog)?;
        }
        let routes = match (route(catalog, caller, &facts.model), &choice) {
            (Ok(first), _) => {
                // A fall-back that is not there any more is left out: the first route may still answer.
                let fallbacks: Vec<_> =
                    first.fallbacks.iter().filter_map(|name| route(catalog, caller, name).ok()).collect();
                let mut routes = vec![first];
                routes.extend(fallbacks);
                routes
            }
            (Err(_), Some(choice)) => choice.direct(catalog, caller, operation, &facts.model)?,
            (Err(unknown), None) => return Err(unknown),
        };
        let around = Around::new(&self.shared, &call.input, facts);
        let mut plan = routing::plan(&routes, facts, operation, &around)?;
        if let Some(choice) = &choice {
            choice.narrow(&mut plan, &facts.model)?;
        }
        let told = call.about.retry_count.map(|retries| retries.saturating_add(1));
        let told = told.or(facts.wishes.as_ref().and_then(|wishes| wishes.max_attempts));
        plan.max_attempts = told.unwrap_or(plan.max_attempts);
        let Some(id) = &facts.previous_response else { return Ok(plan) };
        match self.shared.origins.find(id, self.shared.clock.now()) {
            Some(origin) if origin.api_key_id == caller.id => plan.only(&origin),
            Some(_) => Err(unknown_response(id)),
            // Made before this process began, or by another: the provider knows, and only one that speaks Responses is asked.
            None => Ok(plan),
        }
    }
}

/// A response that is not the caller's, in OpenAI's words.
fn unknown_response(id: &str) -> Error {
    let message = format!("Previous response with id '{id}' not found.");
    Error::invalid("previous_response_id".to_owned(), message).with_code("previous_response_not_found")
}

/// The route of a model.
///
/// Errors: 404 with the names that come near.
pub(super) fn route(catalog: &Catalog, caller: &ApiKey, name: &str) -> Result<Arc<Route>> {
    match catalog.resolve(name) {
        Resolution::Found(route) => Ok(route),
        Resolution::Unknown => Err(unknown_model(name, &catalog.near(name, &caller.models))),
    }
}

fn job(call: Call, facts: Facts, operation: Operation) -> Job {
    let mut job = Job::new(call.request_id, call.input, facts, operation);
    job.headers = call.headers;
    job.strict = call.about.strict;
    let wished = job.facts.wishes.as_ref().and_then(|wishes| wishes.timeout);
    job.deadline = call.timeout.or(wished).map(|timeout| call.received + timeout);
    job
}

fn operation(input: &Input) -> Operation {
    match input {
        Input::Native { dialect, .. } => dialect.operation(),
        Input::Chat(_) => Operation::Chat,
        Input::Embed(_) => Operation::Embeddings,
        Input::Models { .. } => Operation::Models,
        Input::Stored { .. } => Operation::Responses,
        Input::Count(_) => Operation::CountTokens,
    }
}

fn dialect_name(input: &Input) -> &'static str {
    match input {
        Input::Native { dialect, .. } | Input::Models { dialect, .. } => dialect.name(),
        Input::Stored { .. } => Dialect::OpenAiResponses.name(),
        Input::Chat(_) | Input::Embed(_) | Input::Count(_) => "typed",
    }
}

/// What one look at the input tells.
pub(super) fn facts(input: &Input, max_depth: usize) -> Result<Facts> {
    match input {
        Input::Native { dialect, body, path } => {
            let facts = dialect.wire().peek(body, max_depth)?;
            let model = path.model.clone().unwrap_or(facts.model);
            Ok(Facts { model, stream: facts.stream || path.stream, ..facts })
        }
        Input::Chat(request) => chat_facts(request),
        // A count uses no tokens, so of its length no estimate of any is made.
        Input::Count(request) => Ok(Facts { body_bytes: 0, ..chat_facts(request)? }),
        Input::Embed(request) => embed_facts(request),
        Input::Models { .. } | Input::Stored { .. } => {
            Err(Error::internal("what names no model has no facts"))
        }
    }
}

fn chat_facts(request: &ChatRequest) -> Result<Facts> {
    if request.model.is_empty() {
        return Err(Error::invalid("model".to_owned(), "a request names its model"));
    }
    if request.messages.is_empty() {
        return Err(Error::invalid("messages".to_owned(), "a request holds at least one message"));
    }
    let parts = || request.messages.iter().flat_map(|message| &message.parts);
    Ok(Facts {
        model: request.model.clone(),
        stream: request.stream,
        include_usage: true,
        tools: !request.tools.is_empty(),
        structured: matches!(request.response_format, Some(ResponseFormat::JsonSchema { .. })),
        images: parts().any(|part| matches!(part.kind, PartKind::Image(_))),
        end_user: request.end_user.clone(),
        session_id: None,
        sealed: false,
        previous_response: None,
        wishes: None,
        body_bytes: prompt_bytes(request),
        outline: None,
    })
}

fn embed_facts(request: &EmbedRequest) -> Result<Facts> {
    if request.model.is_empty() {
        return Err(Error::invalid("model".to_owned(), "a request names its model"));
    }
    if request.inputs.is_empty() {
        return Err(Error::invalid("inputs".to_owned(), "a request holds at least one input"));
    }
    let bytes = |input: &EmbedInput| match input {
        EmbedInput::Text(text) => text.len(),
        EmbedInput::Tokens(ids) => ids.len() * 4,
    };
    Ok(Facts {
        model: request.model.clone(),
        end_user: request.end_user.clone(),
        body_bytes: request.inputs.iter().map(bytes).sum(),
        ..Facts::default()
    })
}
