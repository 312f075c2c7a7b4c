//! In which order a request's candidates are asked: pure, decided once per request from its snapshot.
//!
//! What can be done at all comes first (capabilities), then how good a candidate is now ([`Level`]), then its priority; among
//! equals the model's [`Strategy`] decides. Who should not be asked at all stands at the end, behind even the fall-back models:
//! there is always somebody to ask.

pub mod affinity;
pub mod latency;
pub mod priority;
pub mod round_robin;

use std::{cell::OnceCell, cmp::Reverse, sync::Arc};

use crate::{
    call::Facts,
    catalog::{
        route::{Route, Target, TargetKey},
        strategy::Strategy,
    },
    condition::{Level, Outlook},
    dialect::{Dialect, Operation},
    error::{Error, Result},
    metrics::Name,
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

impl Plan {
    /// The plan with nobody but these providers, for each of its models in this order.
    pub fn only_in_order(&mut self, names: &[&str]) {
        let place =
            |candidate: &Candidate| names.iter().position(|name| *candidate.target().provider_name == **name);
        self.candidates.retain(|candidate| place(candidate).is_some());
        let mut of_models: Vec<Vec<Candidate>> = Vec::new();
        for candidate in self.candidates.drain(..) {
            match of_models.last_mut() {
                Some(group) if Arc::ptr_eq(&group[0].route, &candidate.route) => group.push(candidate),
                _ => of_models.push(vec![candidate]),
            }
        }
        for mut group in of_models {
            group.sort_by_key(place);
            self.candidates.extend(group);
        }
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
    /// The one candidate of a target that is asked for its own sake. `first`: the place of the key to begin with.
    pub fn alone(target: Target, first: usize) -> Self {
        let mut keys: Vec<usize> = (0..target.keys.len()).collect();
        let begin = first.checked_rem(keys.len()).unwrap_or_default();
        keys.rotate_left(begin);
        let model = target.upstream_model.clone();
        let route = Route {
            model,
            label: Name::OTHER,
            targets: vec![target],
            max_attempts: 1,
            fallbacks: Vec::new(),
            limits: None,
            strategy: Strategy::Priority,
        };
        Self { route: Arc::new(route), place: 0, keys }
    }

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

/// What a plan is made from, beside the catalog and the request.
pub trait Surroundings {
    /// How a target looks now.
    fn outlook(&self, target: &Target) -> Outlook;
    /// How many plans were made for this model before.
    fn turn(&self, model: &str) -> u64;
    /// What requests that should go the same way share.
    fn kinship(&self) -> u64;
    /// A random number in `0.0..1.0`.
    fn unit(&self) -> f64;
}

/// A target that can do what the request needs, while the plan is made.
#[derive(Debug)]
pub struct Able<'a> {
    place: usize,
    target: &'a Target,
    outlook: Outlook,
}

/// Plans a request over the routes of its model and of that model's fall-backs, in that order.
///
/// Errors: 400 when nobody can do what the request needs, naming what that is.
pub fn plan(
    routes: &[Arc<Route>],
    facts: &Facts,
    operation: Operation,
    around: &impl Surroundings,
) -> Result<Plan> {
    let mut candidates = Vec::new();
    let mut out = Vec::new();
    let mut missing = Missing::default();
    let mut targets = routes.iter().flat_map(|route| &route.targets);
    let only = targets.next().is_some_and(|target| target.keys.len() < 2) && targets.next().is_none();
    for route in routes {
        let targets = route.targets.iter().enumerate();
        let able = targets.filter(|(_, target)| missing.note(target, facts, operation));
        let outlook = |target: &Target| {
            // Where there is nothing to choose, how it looks changes nothing.
            if only { Outlook::unseen() } else { around.outlook(target) }
        };
        let mut able: Vec<Able<'_>> =
            able.map(|(place, target)| Able { place, target, outlook: outlook(target) }).collect();
        order(&mut able, route, around);
        for able in able {
            let list = if able.outlook.level == Level::Out { &mut out } else { &mut candidates };
            list.push(candidate(route, &able, around));
        }
    }
    candidates.append(&mut out);
    if candidates.is_empty() && operation != Operation::CountTokens {
        return Err(missing.error(&facts.model, operation));
    }
    let max_attempts = routes.first().map_or(1, |route| route.max_attempts);
    Ok(Plan { candidates, max_attempts })
}

/// Best first. Of those that are out, the least bad is the one that comes back first.
fn order(able: &mut [Able<'_>], route: &Route, around: &impl Surroundings) {
    let rank = |able: &Able<'_>| (able.outlook.level, Reverse(able.target.priority));
    let back = |able: &Able<'_>| able.outlook.until.filter(|_| able.outlook.level == Level::Out);
    able.sort_by_key(|able| (able.outlook.level == Level::Out, back(able), rank(able)));
    let turn = OnceCell::new();
    for equals in able.chunk_by_mut(|a, b| rank(a) == rank(b) && a.outlook.level != Level::Out) {
        if equals.len() < 2 {
            continue;
        }
        match route.strategy {
            Strategy::Priority => priority::order(equals, || around.unit()),
            Strategy::RoundRobin => {
                round_robin::order(equals, *turn.get_or_init(|| around.turn(&route.model)));
            }
            Strategy::LeastLatency => latency::order(equals, || around.unit()),
            Strategy::Affinity => affinity::order(equals, around.kinship()),
        }
    }
}

/// The keys that may be used come first, each with a chance after its weight; with affinity the same request finds the same key.
fn candidate(route: &Arc<Route>, able: &Able<'_>, around: &impl Surroundings) -> Candidate {
    let secrets = &able.target.keys;
    let mut keys: Vec<usize> = (0..secrets.len()).collect();
    if secrets.len() > 1 {
        let weight = |key: &usize| u64::from(secrets[*key].weight);
        if route.strategy == Strategy::Affinity {
            let kinship = around.kinship();
            let far = |key: &usize| affinity::distance(kinship, &secrets[*key].id, weight(key));
            keys.sort_by(|a, b| far(a).total_cmp(&far(b)));
        } else {
            weight::shuffle(&mut keys, weight, || around.unit());
        }
        keys.sort_by_key(|&key| able.outlook.barred.get(key).copied().flatten());
    }
    Candidate { route: Arc::clone(route), place: able.place, keys }
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
