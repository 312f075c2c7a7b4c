//! Messages out of the hub's words: `systemInstruction` and `contents`.
//!
//! Turns alternate: what one side says in several messages is one turn. The results of parallel calls are one turn, first in it and
//! in the order of their calls, for they have no ids.

use super::{
    decode_parts::is_object,
    encode_parts::{PartWriter, Written, media},
    version::{Generation, generation},
};
use crate::{
    chat::{ChatRequest, Message, Part, PartKind, Role, ToolResult},
    dialect::{
        json::{ObjectWriter, array},
        splice::quoted,
    },
    error::{Error, Result},
};

/// What a call has whose signature is not known, so that the models which demand one take it
/// (<https://ai.google.dev/gemini-api/docs/thought-signatures>).
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// A history in Gemini's words.
#[derive(Debug, Default)]
pub(super) struct Contents {
    system: Vec<Written>,
    turns: Vec<Turn>,
    /// Every call so far: its id and its name.
    calls: Vec<(String, String)>,
    generation: Option<Generation>,
}

#[derive(Debug)]
struct Turn {
    role: &'static str,
    /// Results with the places of their calls.
    results: Vec<(usize, Written)>,
    parts: Vec<Written>,
}

impl Contents {
    /// Reads the messages of a request for `model`.
    pub(super) fn of(request: &ChatRequest, model: &str, dropped: &mut Vec<String>) -> Result<Self> {
        let mut contents = Self { generation: Some(generation(model)), ..Self::default() };
        for (at, message) in request.messages.iter().enumerate() {
            contents.message(message, &format!("messages[{at}]"), dropped)?;
        }
        if contents.turns.is_empty() {
            // Gemini takes no instruction without something to answer to.
            let parts = std::mem::take(&mut contents.system);
            contents.turns.push(Turn { role: "user", results: Vec::new(), parts });
        }
        Ok(contents)
    }

    fn message(&mut self, message: &Message, path: &str, dropped: &mut Vec<String>) -> Result<()> {
        if message.name.is_some() {
            dropped.push(format!("{path}.name"));
        }
        let mut results = Vec::new();
        let mut writer = PartWriter::new(true, dropped);
        for (at, part) in message.parts.iter().enumerate() {
            let path = format!("{path}.parts[{at}]");
            match &part.kind {
                PartKind::ToolResult(result) => results.push((result, path)),
                _ => writer.add(part, &path)?,
            }
            if let PartKind::ToolCall(call) = &part.kind {
                self.calls.push((call.id.clone(), call.name.clone()));
            }
        }
        let parts = writer.finish();
        match message.role {
            Role::System | Role::Developer => self.system.extend(parts),
            Role::Assistant => self.turn("model").parts.extend(parts),
            Role::User | Role::Tool => {
                for (result, at) in results {
                    self.result(result, path, &at, dropped)?;
                }
                self.turn("user").parts.extend(parts);
            }
        }
        Ok(())
    }

    /// The turn that is being said, which is a new one if the other side spoke last.
    fn turn(&mut self, role: &'static str) -> &mut Turn {
        let same = self.turns.last().is_some_and(|turn| turn.role == role);
        if !same {
            self.turns.push(Turn { role, results: Vec::new(), parts: Vec::new() });
        }
        let last = self.turns.len() - 1;
        &mut self.turns[last]
    }

    fn result(
        &mut self,
        result: &ToolResult,
        message: &str,
        path: &str,
        dropped: &mut Vec<String>,
    ) -> Result<()> {
        let place = self.calls.iter().rposition(|(id, _)| *id == result.tool_call_id);
        let name = place.map(|place| self.calls[place].1.clone()).or_else(|| result.name.clone());
        let Some(name) = name else {
            let id = &result.tool_call_id;
            let problem =
                format!("`{message}` answers the tool call `{id}`, which no message before it makes");
            return Err(Error::invalid(message.to_owned(), problem));
        };
        let levels = self.generation == Some(Generation::Levels);
        let mut texts = Vec::new();
        let mut pictures = Vec::new();
        for (at, part) in result.parts.iter().enumerate() {
            match written(part) {
                Some(Said::Text(text)) => texts.push(text),
                Some(Said::Medium(medium)) => pictures.push(medium),
                None => dropped.push(format!("{path}.tool_result.parts[{at}]")),
            }
        }
        let mut response = ObjectWriter::new();
        response.string("name", &name);
        response.raw("response", &answer(&texts.join("\n"), result.is_error));
        // Only later models look into a result; for the others its pictures stand beside it.
        if levels && !pictures.is_empty() {
            let pictures: Vec<String> = pictures.drain(..).map(|picture: Written| picture.json).collect();
            response.raw("parts", &array(&pictures));
        }
        let response = Written::new("functionResponse", &response.finish());
        let turn = self.turn("user");
        turn.results.push((place.unwrap_or(usize::MAX), response));
        turn.parts.extend(pictures);
        Ok(())
    }

    /// Writes `contents` and `systemInstruction`.
    pub(super) fn write(self, out: &mut ObjectWriter) {
        let levels = self.generation == Some(Generation::Levels);
        let turns: Vec<String> = self.turns.into_iter().filter_map(|turn| turn.written(levels)).collect();
        out.raw("contents", &array(&turns));
        if !self.system.is_empty() {
            out.raw("systemInstruction", &format!(r#"{{"parts":{}}}"#, joined(self.system)));
        }
    }
}

impl Turn {
    fn written(mut self, signatures_demanded: bool) -> Option<String> {
        self.results.sort_by_key(|(place, _)| *place);
        let first_call = self.parts.iter_mut().find(|part| part.is_call);
        if let Some(call) = first_call.filter(|call| signatures_demanded && !call.is_signed) {
            call.add("thoughtSignature", &quoted(NO_SIGNATURE));
        }
        let mut parts: Vec<Written> = self.results.into_iter().map(|(_, result)| result).collect();
        parts.extend(self.parts);
        (!parts.is_empty()).then(|| format!(r#"{{"role":"{}","parts":{}}}"#, self.role, joined(parts)))
    }
}

fn joined(parts: Vec<Written>) -> String {
    let parts: Vec<String> = parts.into_iter().map(|part| part.json).collect();
    array(&parts)
}

/// A piece of a result.
enum Said {
    Text(String),
    Medium(Written),
}

fn written(part: &Part) -> Option<Said> {
    match &part.kind {
        PartKind::Text(text) => Some(Said::Text(text.clone())),
        PartKind::Opaque { json, .. } => Some(Said::Text(json.clone())),
        PartKind::Image(medium) | PartKind::File(medium) | PartKind::Audio(medium) => {
            media(medium).map(Said::Medium)
        }
        _ => None,
    }
}

/// A function's answer must be an object.
fn answer(text: &str, is_error: bool) -> String {
    match (is_object(text), is_error) {
        (true, false) => text.to_owned(),
        (true, true) => format!(r#"{{"error":{text}}}"#),
        (false, true) => format!(r#"{{"error":{}}}"#, quoted(text)),
        (false, false) => format!(r#"{{"result":{}}}"#, quoted(text)),
    }
}
