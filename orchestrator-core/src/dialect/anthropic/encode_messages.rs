//! The hub's messages as Anthropic's: instructions on top, one message a turn, results of tools in front of their message.

use super::{
    generation::Generation,
    write::{Reader, Written, blocks},
};
use crate::{
    chat::{ChatRequest, Message, PartKind, Role},
    dialect::json::{ObjectWriter, array},
    error::{Error, Result},
};

/// A history in Anthropic's words.
#[derive(Debug, Default)]
pub(super) struct History {
    system: Vec<String>,
    /// A lone plain instruction is written as a string.
    plain_system: Option<String>,
    turns: Vec<Turn>,
}

#[derive(Debug)]
struct Turn {
    role: &'static str,
    results: Vec<String>,
    blocks: Vec<String>,
}

impl History {
    /// Reads the messages of a request. Instructions in the middle go to the top too where the model does not take them there.
    pub(super) fn of(
        request: &ChatRequest,
        generation: &Generation,
        dropped: &mut Vec<String>,
    ) -> Result<Self> {
        let mut history = Self::default();
        for (at, message) in request.messages.iter().enumerate() {
            let path = format!("messages[{at}]");
            if message.name.is_some() {
                dropped.push(format!("{path}.name"));
            }
            let written = blocks(&message.parts, Reader::Provider, &path, dropped)?;
            match message.role {
                Role::System | Role::Developer
                    if generation.instructions_between
                        && history.may_instruct(&request.messages[at + 1..]) =>
                {
                    history.turn("system", written);
                }
                Role::System | Role::Developer => {
                    if !history.turns.is_empty() {
                        dropped.push(format!("{path}.role"));
                    }
                    history.instruct(message, written);
                }
                Role::User | Role::Tool => history.turn("user", written),
                Role::Assistant => history.turn("assistant", written),
            }
        }
        if history.turns.is_empty() {
            // Anthropic takes no instruction without something to answer to.
            if history.system.is_empty() {
                return Err(Error::invalid("messages".to_owned(), "`messages` says nothing"));
            }
            let blocks = std::mem::take(&mut history.system);
            history.turns.push(Turn { role: "user", results: Vec::new(), blocks });
        }
        Ok(history)
    }

    /// Instructions stand behind a user's turn, before the assistant's or at the end.
    fn may_instruct(&self, later: &[Message]) -> bool {
        let next = later.iter().find(|message| !matches!(message.role, Role::System | Role::Developer));
        self.turns.last().is_some_and(|turn| turn.role != "assistant")
            && next.is_none_or(|message| message.role == Role::Assistant)
    }

    fn instruct(&mut self, message: &Message, written: Vec<Written>) {
        let lone = match message.parts.as_slice() {
            [only] if self.system.is_empty() && only.cache_control.is_none() => match &only.kind {
                PartKind::Text(text) if !text.is_empty() => Some(text.clone()),
                _ => None,
            },
            _ => None,
        };
        self.plain_system = lone;
        self.system.extend(written.into_iter().map(|written| written.json));
    }

    /// Turns of one role are one message.
    fn turn(&mut self, role: &'static str, written: Vec<Written>) {
        if written.is_empty() {
            return;
        }
        if self.turns.last().is_none_or(|turn| turn.role != role) {
            self.turns.push(Turn { role, results: Vec::new(), blocks: Vec::new() });
        }
        let Some(turn) = self.turns.last_mut() else { return };
        for written in written {
            if written.is_result { &mut turn.results } else { &mut turn.blocks }.push(written.json);
        }
    }

    /// Writes `system` and `messages`.
    pub(super) fn write(self, out: &mut ObjectWriter) {
        match self.plain_system {
            Some(text) if !self.system.is_empty() => out.string("system", &text),
            _ if !self.system.is_empty() => out.raw("system", &array(&self.system)),
            _ => {}
        }
        let turns: Vec<String> = self.turns.into_iter().map(Turn::write).collect();
        out.raw("messages", &array(&turns));
    }
}

impl Turn {
    fn write(self) -> String {
        let mut content = self.results;
        content.extend(self.blocks);
        let mut out = ObjectWriter::new();
        out.string("role", self.role);
        out.raw("content", &array(&content));
        out.finish()
    }
}
