//! In which order a request's candidates are asked: pure, decided once per request from its snapshot.

pub mod priority;

use std::sync::Arc;

use crate::{
    call::Facts,
    catalog::route::{Route, Target, TargetKey},
    dialect::{Dialect, Operation},
    error::{Error, Result},
    origins::Origin,
    policy::weight,
    provider,
};

/// The candidates of one request, best first. Empty only for a count, which can be estimated.
#[derive(Debug)]
pub struct Plan {
    /// Whom to ask, in order.
    pub candidates: Vec<Candidate>,
    /// Attempts allowed in all.
    pub max_attempts: u32,
}

impl Plan {
    /// The plan with nobody but the provider, and the key, that stores a response.
    ///
    /// Errors: 400 when that provider is not among the candidates.
    pub fn only(mut self, origin: &Origin) -> Result<Self> {
        self.candidates.retain(|candidate| *candidate.target().provider_id == *origin.provider_id);
        for candidate in &mut self.candidates {
            let keys = &candidate.route.targets[candidate.place].keys;
            candidate.keys.retain(|&place| keys[place].id == origin.key_id);
        }
        let keyless = origin.key_id.is_empty();
        self.candidates.retain(|candidate| keyless || candidate.key().is_some());
        if self.candidates.is_empty() {
            let message =
                "the provider that made the response of `previous_response_id` does not serve this model";
            return Err(Error::invalid("previous_response_id".to_owned(), message));
        }
        Ok(self)
    }
}

/// One provider that may be asked, and the order of its keys.
#[derive(Clone, Debug)]
pub struct Candidate {
    route: Arc<Route>,
    /// The target's place in the route.
    place: usize,
    /// Places in the target's keys, the one to use first. Empty: a provider that needs none.
    keys: Vec<usize>,
}

impl Candidate {
    /// The provider and the model there.
    pub fn target(&self) -> &Target {
        &self.route.targets[self.place]
    }

    /// The key to use, if the provider needs one.
    pub fn key(&self) -> Option<&TargetKey> {
        self.keys.first().and_then(|&place| self.target().keys.get(place))
    }

    /// The same provider with its next key, if it has one.
    pub fn with_next_key(&self) -> Option<Self> {
        let keys = self.keys.get(1..).filter(|rest| !rest.is_empty())?.to_vec();
        Some(Self { keys, ..self.clone() })
    }
}

/// Plans a request over the routes of its model and of that model's fall-backs, in that order.
///
/// Errors: 400 when nobody can do what the request needs, naming what that is.
pub fn plan(
    routes: &[Arc<Route>],
    facts: &Facts,
    operation: Operation,
    mut unit: impl FnMut() -> f64,
) -> Result<Plan> {
    let mut candidates = Vec::new();
    let mut missing = Missing::default();
    for route in routes {
        let targets = route.targets.iter().enumerate();
        let mut able: Vec<(usize, &Target)> =
            targets.filter(|(_, target)| missing.note(target, facts, operation)).collect();
        priority::order(&mut able, &mut unit);
        candidates.extend(able.into_iter().map(|(place, _)| candidate(route, place, &mut unit)));
    }
    if candidates.is_empty() && operation != Operation::CountTokens {
        return Err(missing.error(&facts.model, operation));
    }
    let max_attempts = routes.first().map_or(1, |route| route.max_attempts);
    Ok(Plan { candidates, max_attempts })
}

fn candidate(route: &Arc<Route>, place: usize, unit: &mut impl FnMut() -> f64) -> Candidate {
    let secrets = &route.targets[place].keys;
    let mut keys: Vec<usize> = (0..secrets.len()).collect();
    weight::shuffle(&mut keys, |&key| u64::from(secrets[key].weight), unit);
    Candidate { route: Arc::clone(route), place, keys }
}

/// The dialect in which a target is asked: the caller's own if it speaks that, else one that the hub can reach.
pub fn dialect_for(target: &Target, operation: Operation, own: Option<Dialect>) -> Option<Dialect> {
    let of_kind = provider::kind(&target.kind).map_or(&[][..], |kind| kind.dialects());
    let speaks = |dialect: &Dialect| match &target.dialects {
        None => of_kind.contains(dialect),
        // A kind that counts goes on counting where its chat is named.
        Some(named) => {
            let counts = named.iter().any(|named| named.count() == Some(*dialect));
            named.contains(dialect) || (counts && of_kind.contains(dialect))
        }
    };
    // What the hub translates into, the one that can say most to most providers first.
    let through_hub: &[Dialect] = match operation {
        Operation::Chat | Operation::Completions => {
            &[Dialect::OpenAiChat, Dialect::Anthropic, Dialect::Gemini, Dialect::OpenAiResponses]
        }
        Operation::Embeddings => &[Dialect::OpenAiEmbeddings, Dialect::GeminiEmbeddings],
        Operation::CountTokens => {
            &[Dialect::AnthropicCount, Dialect::GeminiCount, Dialect::OpenAiResponsesCount]
        }
        Operation::Models | Operation::Responses => return None,
    };
    own.filter(speaks).or_else(|| through_hub.iter().copied().find(speaks))
}

/// What the targets that were left out lack, for the error when all were.
#[derive(Debug, Default)]
struct Missing {
    operation: bool,
    capability: Option<(&'static str, &'static str)>,
}

impl Missing {
    /// Whether the target can do what the request needs; remembers what it lacks.
    fn note(&mut self, target: &Target, facts: &Facts, operation: Operation) -> bool {
        let own = Dialect::ALL.into_iter().find(|dialect| dialect.operation() == operation);
        if dialect_for(target, operation, own).is_none() {
            self.operation = true;
            return false;
        }
        // Only who made a response can go on from it.
        let kept = facts.previous_response.is_some();
        if kept
            && dialect_for(target, operation, Some(Dialect::OpenAiResponses))
                != Some(Dialect::OpenAiResponses)
        {
            self.capability = Some(("previous_response_id", "up a response that a provider stores"));
            return false;
        }
        // To count is not to do.
        if operation == Operation::CountTokens {
            return true;
        }
        let lacks = if facts.tools && !target.tool_call {
            ("tools", "tools")
        } else if facts.structured && !target.structured_output {
            ("response_format", "answers after a JSON schema")
        } else if facts.images && !target.image {
            ("messages", "images")
        } else {
            return true;
        };
        self.capability = Some(lacks);
        false
    }

    fn error(&self, model: &str, operation: Operation) -> Error {
        if let Some((param, what)) = self.capability {
            return Error::invalid(
                param.to_owned(),
                format!("no provider of the model `{model}` takes {what}"),
            );
        }
        let what = if self.operation { operation.name() } else { "anything: it has no enabled provider" };
        Error::invalid("model".to_owned(), format!("no provider of the model `{model}` does {what}"))
    }
}

#[cfg(test)]
mod tests;
