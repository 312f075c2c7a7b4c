//! The messages of a request to Anthropic: roles in turn, blocks, and calls whose results follow at once.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Shape, is_name};

const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

impl Shape {
    pub(super) fn messages(&mut self, body: &Value) {
        let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
        if messages.is_empty() {
            self.say("messages: at least one message is required");
        }
        let mut calls: Vec<String> = Vec::new();
        let mut used = BTreeSet::new();
        let mut last = "";
        for (at, message) in messages.iter().enumerate() {
            let path = format!("messages.{at}");
            self.known(message, &path, &["role", "content"]);
            let role = message["role"].as_str().unwrap_or_default();
            // `system` in the middle is for the newest models alone.
            if !["user", "assistant", "system"].contains(&role) || (at == 0 && role == "assistant") {
                self.say(format!("{path}.role is {role:?}"));
            }
            if role == last {
                self.say(format!("{path}: {role} follows {last}"));
            }
            last = role;
            let ends = at + 1 == messages.len();
            self.content(&message["content"], &path, ends && role == "assistant");
            self.results(&message["content"], &path, std::mem::take(&mut calls));
            calls = self.calls(&message["content"], &path, role, &mut used);
        }
        if let Some(call) = calls.first() {
            self.say(format!("tool_use ids were found without tool_result blocks immediately after: {call}"));
        }
    }

    fn content(&mut self, content: &Value, path: &str, may_be_empty: bool) {
        match content {
            Value::String(text) if text.is_empty() && !may_be_empty => {
                self.say(format!("{path}: all messages must have non-empty content"));
            }
            Value::String(_) => {}
            Value::Array(blocks) => {
                if blocks.is_empty() && !may_be_empty {
                    self.say(format!("{path}: all messages must have non-empty content"));
                }
                for (at, block) in blocks.iter().enumerate() {
                    self.block(block, &format!("{path}.content.{at}"));
                }
            }
            other => self.say(format!("{path}.content is {other}")),
        }
    }

    pub(super) fn block(&mut self, block: &Value, path: &str) {
        self.cache_mark(block, path);
        let text = |name: &str| block[name].as_str().unwrap_or_default();
        match text("type") {
            "text" => {
                self.known(block, path, &["type", "text", "cache_control", "citations"]);
                if text("text").is_empty() {
                    self.say(format!("{path}: text content blocks must be non-empty"));
                }
            }
            "thinking" => {
                self.known(block, path, &["type", "thinking", "signature"]);
                if !block["thinking"].is_string() || text("signature").is_empty() {
                    self.say(format!("{path}: a thinking block has a text and a signature"));
                }
            }
            "redacted_thinking" => {
                self.known(block, path, &["type", "data"]);
                if text("data").is_empty() {
                    self.say(format!("{path}.data: Field required"));
                }
            }
            "image" => {
                self.known(block, path, &["type", "source", "cache_control"]);
                self.source(&block["source"], path, Some(&IMAGES));
            }
            "document" => {
                self.known(
                    block,
                    path,
                    &["type", "source", "cache_control", "citations", "context", "title"],
                );
                self.source(&block["source"], path, None);
            }
            "tool_use" => {
                self.known(block, path, &["type", "id", "name", "input", "cache_control", "caller"]);
                if !is_name(text("id"), 256) || !is_name(text("name"), 200) || !block["input"].is_object() {
                    self.say(format!("{path}: a tool_use has an id, a name and an input that is an object"));
                }
            }
            "tool_result" => self.result(block, path),
            "" => self.say(format!("{path}.type: Field required")),
            // What Anthropic's own tools left behind.
            _ => {}
        }
    }

    fn result(&mut self, block: &Value, path: &str) {
        self.known(block, path, &["type", "tool_use_id", "content", "is_error", "cache_control"]);
        match &block["content"] {
            Value::Null | Value::String(_) => {}
            Value::Array(parts) => {
                for (at, part) in parts.iter().enumerate() {
                    let path = format!("{path}.content.{at}");
                    let kind = part["type"].as_str().unwrap_or_default();
                    if !["text", "image", "document", "search_result", "tool_reference"].contains(&kind) {
                        self.say(format!("{path}.type is {kind:?}"));
                    }
                    self.block(part, &path);
                }
            }
            other => self.say(format!("{path}.content is {other}")),
        }
    }

    fn source(&mut self, source: &Value, path: &str, media_types: Option<&[&str]>) {
        let media_type = source["media_type"].as_str().unwrap_or_default();
        let known = |known: &[&str]| known.contains(&media_type);
        match source["type"].as_str() {
            Some("base64") => {
                if media_type.is_empty() || !media_types.is_none_or(known) {
                    self.say(format!("{path}.source.media_type is {media_type:?}"));
                }
                if !is_base64(source["data"].as_str().unwrap_or_default()) {
                    self.say(format!("{path}.source.data is no base64"));
                }
            }
            Some("url") if source["url"].is_string() => {}
            Some("file") if source["file_id"].is_string() => {}
            Some("text" | "content") if media_types.is_none() => {}
            _ => self.say(format!("{path}.source is {source}")),
        }
    }

    /// The results answer the calls of the message before, all of them, in front of everything else.
    fn results(&mut self, content: &Value, path: &str, mut calls: Vec<String>) {
        let mut others = false;
        for block in content.as_array().into_iter().flatten() {
            if block["type"] != "tool_result" {
                others = true;
                continue;
            }
            let id = block["tool_use_id"].as_str().unwrap_or_default();
            match calls.iter().position(|call| call == id) {
                Some(at) => _ = calls.remove(at),
                None => self.say(format!("{path}: unexpected tool_use_id found in tool_result blocks: {id}")),
            }
            if others {
                self.say(format!("{path}: tool_result blocks come first"));
            }
        }
        for call in calls {
            let words = "tool_use ids were found without tool_result blocks immediately after";
            self.say(format!("{path}: {words}: {call}"));
        }
    }

    /// The ids of the message's calls.
    fn calls(&mut self, content: &Value, path: &str, role: &str, used: &mut BTreeSet<String>) -> Vec<String> {
        let mut ids = Vec::new();
        for block in content.as_array().into_iter().flatten() {
            let kind = block["type"].as_str().unwrap_or_default();
            let fits = match kind {
                "tool_use" | "thinking" | "redacted_thinking" => role == "assistant",
                "tool_result" | "image" | "document" => role != "assistant",
                _ => true,
            };
            if !fits {
                self.say(format!("{path}: `{kind}` blocks are not for the role {role}"));
            }
            if kind == "tool_use" {
                let id = block["id"].as_str().unwrap_or_default().to_owned();
                if !used.insert(id.clone()) {
                    self.say(format!("{path}: `tool_use` ids must be unique, and {id:?} is not"));
                }
                ids.push(id);
            }
        }
        ids
    }

    /// While results are handed back, the turn that made the calls begins with what was thought.
    pub(super) fn thought_leads_the_calls(&mut self, body: &Value) {
        let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
        let [.., calls, results] = messages else { return };
        let kinds = |message: &Value| -> Vec<String> {
            let blocks = message["content"].as_array().into_iter().flatten();
            blocks.map(|block| block["type"].as_str().unwrap_or_default().to_owned()).collect()
        };
        let first = kinds(calls).first().cloned().unwrap_or_default();
        let answered = kinds(results).iter().any(|kind| kind == "tool_result");
        if answered && !["thinking", "redacted_thinking"].contains(&first.as_str()) {
            let at = messages.len() - 2;
            self.say(format!("messages.{at}.content.0.type: expected `thinking`, but found `{first}`"));
        }
    }
}

fn is_base64(text: &str) -> bool {
    let letters = text.trim_end_matches('=');
    let good = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'+' | b'/');
    !letters.is_empty() && text.len().is_multiple_of(4) && letters.bytes().all(good)
}
