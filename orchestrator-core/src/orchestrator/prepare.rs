//! From a call to a job with a plan: facts, caller, route. Everything that can be refused before a provider is asked is refused
//! here, and every refusal has its record too.

mod choice;

use std::sync::Arc;

use self::choice::Choice;
use super::{Orchestrator, around::Around, limits::Under, unknown_model};
use crate::{
    admission,
    attempt::Job,
    call::{Call, Facts, Idempotency, Input, Standing},
    catalog::{
        ApiKey, OnDisconnect,
        route::{Resolution, Route},
        snapshot::Catalog,
        tenants::Tenant,
    },
    chat::{ChatRequest, PartKind, ResponseFormat, size::prompt_bytes},
    dialect::{Dialect, Operation},
    embedding::{EmbedInput, EmbedRequest},
    error::{Error, Result},
    ledger::{Entry, Outcome},
    metrics::Phase,
    origins::Keeper,
    recording::claims::{Name, Wish, fingerprint},
    routing::{self, Plan},
};

/// The longest idempotency key.
const LONGEST_KEY: usize = 255;

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
    /// The idempotency key that it came with, if it did.
    pub wish: Option<Box<Wish>>,
    /// Whose limits it is under.
    pub under: Under,
}

/// A call that was refused before any provider was asked. Its account is closed.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub error: Error,
    /// For the answer's headers and body.
    pub request_id: String,
    /// What the caller is told of its limits.
    pub limits: Option<Standing>,
}

impl From<Box<Refusal>> for Error {
    fn from(refusal: Box<Refusal>) -> Self {
        refusal.error
    }
}

impl Orchestrator {
    /// Knows the caller of a call, and plans it.
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
        let member = caller.as_ref().ok().and_then(|caller| view.tenants.of_key(&caller.id));
        let entry = shared.ledger.begin(&call, facts.as_ref().ok(), dialect_name(&call.input), operation);
        let mut entry = Box::new(entry);
        if let Ok(caller) = &caller {
            entry.caller(caller);
            if let Some(team) = member.and_then(|member| member.team_id.as_deref()) {
                entry.team_id(team);
            }
            entry.asked(caller, &call.input);
        }
        let planned = facts.and_then(|facts| {
            let caller = caller?;
            let wish =
                call.about.idempotency.as_ref().map(|key| wish(key, caller, &call.input)).transpose()?;
            let (plan, model) = self.plan(&view.catalog, caller, &call, &facts, operation, &mut entry)?;
            Ok((facts, plan, model, caller, wish))
        });
        match planned {
            Ok((facts, plan, model, caller, wish)) => {
                let under = Under { caller: member.and_then(|member| member.tenant.clone()), model };
                let mut job = job(call, facts, operation);
                if job.dialect() == Some(Dialect::OpenAiResponses) {
                    let origins = Arc::clone(&shared.origins);
                    job.keeper =
                        Some(Keeper::new(origins, shared.clock.clone(), &job.facts.model, &caller.id));
                }
                let on_disconnect = caller.on_disconnect;
                entry.passed(Phase::Prepare);
                Ok(PreparedCall { job: Arc::new(job), plan, entry, on_disconnect, wish, under })
            }
            Err(error) => {
                entry.close(Outcome::Failed(&error));
                Err(Box::new(Refusal { error, request_id: call.request_id, limits: None }))
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
        entry: &mut Entry,
    ) -> Result<(Plan, Option<Arc<Tenant>>)> {
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
        if let Some(first) = routes.first() {
            entry.asks(first.label);
        }
        let limits = routes.first().and_then(|route| route.limits.clone());
        let around = Around::new(&self.shared, &call.input, facts);
        let mut plan = routing::plan(&routes, facts, operation, &around)?;
        if let Some(choice) = &choice {
            choice.narrow(&mut plan, &facts.model)?;
        }
        let told = call.about.retry_count.map(|retries| retries.saturating_add(1));
        let told = told.or(facts.wishes.as_ref().and_then(|wishes| wishes.max_attempts));
        plan.max_attempts = told.unwrap_or(plan.max_attempts);
        let Some(id) = &facts.previous_response else { return Ok((plan, limits)) };
        match self.shared.origins.find(id, self.shared.clock.now()) {
            Some(origin) if origin.api_key_id == caller.id => Ok((plan.only(&origin)?, limits)),
            Some(_) => Err(unknown_response(id)),
            // Made before this process began, or by another: the provider knows, and only one that speaks Responses is asked.
            None => Ok((plan, limits)),
        }
    }
}

/// The claim of a request under an idempotency key.
///
/// Errors: 400 for what is no key.
fn wish(idempotency: &Idempotency, caller: &ApiKey, input: &Input) -> Result<Box<Wish>> {
    let Idempotency { key, asked } = idempotency;
    if key.is_empty() || key.len() > LONGEST_KEY || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("the idempotency key must be 1 to {LONGEST_KEY} visible ASCII characters");
        return Err(Error::invalid("idempotency_key".to_owned(), message));
    }
    let fingerprint = match input {
        Input::Native { dialect, body, path } => {
            let flags = [u8::from(path.stream), u8::from(path.json_array)];
            let model = path.model.as_deref().unwrap_or_default();
            fingerprint(&[dialect.name().as_bytes(), model.as_bytes(), &flags, body])
        }
        _ => asked.ok_or_else(|| Error::internal("a typed request came without its digest"))?,
    };
    let name = Name { api_key_id: caller.id.as_str().into(), key: key.as_str().into() };
    Ok(Box::new(Wish { name, fingerprint }))
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
        max_output: request.max_output_tokens.map(u64::from),
        answers: request.candidate_count.map(u64::from),
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
