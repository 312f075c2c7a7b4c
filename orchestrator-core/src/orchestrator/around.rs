//! What a plan is made from, beside the catalog: what is known of the providers, chance, and what the request shares with others.

use crate::{
    call::{Facts, Input},
    catalog::route::Target,
    chat::{ChatRequest, PartKind, Role},
    condition::Outlook,
    dialect::{json, scan::Object},
    orchestrator::Shared,
    routing::{Surroundings, affinity},
};

/// No more of a prompt's beginning is compared.
const PREFIX: usize = 4096;
/// Where the dialects have their instructions.
const INSTRUCTIONS: [&str; 4] = ["system", "instructions", "systemInstruction", "system_instruction"];
/// Where they have what was said.
const TURNS: [&str; 3] = ["messages", "input", "contents"];

/// See the module.
pub(super) struct Around<'a> {
    shared: &'a Shared,
    input: &'a Input,
    facts: &'a Facts,
}

impl<'a> Around<'a> {
    pub(super) fn new(shared: &'a Shared, input: &'a Input, facts: &'a Facts) -> Self {
        Self { shared, input, facts }
    }
}

impl Surroundings for Around<'_> {
    fn outlook(&self, target: &Target) -> Outlook {
        self.shared.conditions.outlook(target)
    }

    fn turn(&self, model: &str) -> u64 {
        self.shared.conditions.turn(model)
    }

    fn kinship(&self) -> u64 {
        match &self.facts.session_id {
            Some(session) => affinity::kinship(session.as_bytes()),
            None => affinity::kinship(&beginning(self.input)),
        }
    }

    fn unit(&self) -> f64 {
        self.shared.random.unit()
    }
}

/// The prompt's beginning: instructions, and what was said up to the first message of the user. It stays the same while a
/// conversation grows.
fn beginning(input: &Input) -> Vec<u8> {
    match input {
        Input::Native { body, .. } => {
            of_body(body).unwrap_or_else(|| body[..body.len().min(PREFIX)].to_vec())
        }
        Input::Chat(request) | Input::Count(request) => of_chat(request),
        Input::Embed(_) | Input::Models { .. } | Input::Stored { .. } => Vec::new(),
    }
}

fn of_body(body: &[u8]) -> Option<Vec<u8>> {
    let object = Object::scan(body, usize::MAX).ok()?;
    let mut out = Vec::new();
    for name in INSTRUCTIONS {
        take(&mut out, object.get(name).unwrap_or_default());
    }
    let turns = TURNS.into_iter().find_map(|name| object.get(name))?;
    let turns = std::str::from_utf8(turns).ok()?;
    match json::array_at(turns, "") {
        Ok(list) => {
            for turn in list {
                take(&mut out, turn.as_bytes());
                if is_users(turn) {
                    break;
                }
            }
        }
        Err(_) => take(&mut out, turns.as_bytes()),
    }
    Some(out)
}

fn is_users(turn: &str) -> bool {
    let role = Object::scan(turn.as_bytes(), usize::MAX).ok().and_then(|object| object.get("role"));
    role == Some(b"\"user\"")
}

fn of_chat(request: &ChatRequest) -> Vec<u8> {
    let mut out = Vec::new();
    for message in &request.messages {
        for part in &message.parts {
            if let PartKind::Text(text) = &part.kind {
                take(&mut out, text.as_bytes());
            }
        }
        if message.role == Role::User {
            break;
        }
    }
    out
}

fn take(out: &mut Vec<u8>, bytes: &[u8]) {
    let room = PREFIX.saturating_sub(out.len());
    out.extend_from_slice(&bytes[..bytes.len().min(room)]);
}
