//! The reading of answers that the tests hold the dialects against: every event parsed, every field looked up, nothing shared with
//! the code that is tested.

use orchestrator_testkit::recorded::{self, Recording};
use serde_json::Value;

use crate::chat::{ChatEvent, ChatReply, PartKind, Usage};

/// What a stream or an answer says, read by parsing everything.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Naive {
    pub(super) usage: Option<Usage>,
    pub(super) text: String,
    pub(super) reasoning: String,
    pub(super) refusal: String,
    pub(super) arguments: String,
    pub(super) calls: Vec<String>,
    /// What was seen before, and is not counted again.
    pub(super) ids: Vec<String>,
    pub(super) finish: Vec<String>,
    pub(super) error: bool,
}

impl Naive {
    pub(super) fn chunk(&mut self, json: &Value) {
        if json["error"].is_object() {
            self.error = true;
            self.usage = usage(&json["usage"]).or(self.usage);
            return;
        }
        for choice in json["choices"].as_array().into_iter().flatten() {
            let said = if choice["message"].is_object() && !choice["delta"].is_object() {
                &choice["message"]
            } else {
                &choice["delta"]
            };
            // Together says the same in both.
            if said["content"].as_str().unwrap_or_default().is_empty() {
                self.text.push_str(choice["text"].as_str().unwrap_or_default());
            }
            self.content(&said["content"]);
            let reasoning = [&said["reasoning_content"], &said["reasoning"]];
            self.reasoning.push_str(reasoning.iter().find_map(|text| text.as_str()).unwrap_or_default());
            self.refusal.push_str(said["refusal"].as_str().unwrap_or_default());
            for call in said["tool_calls"].as_array().into_iter().flatten() {
                // Some servers repeat a call's id and name with every piece of it.
                let id = call["id"].as_str().map(|id| format!("{} {id}", choice["index"]));
                let repeated = id.as_ref().is_some_and(|id| self.ids.contains(id));
                self.ids.extend(id);
                self.call(&call["function"], repeated);
            }
            self.call(&said["function_call"], false);
            self.finish(choice);
        }
        self.usage = usage(&json["usage"]).or_else(|| usage(&json["x_groq"]["usage"])).or(self.usage);
    }

    /// OpenRouter ends a choice twice.
    fn finish(&mut self, choice: &Value) {
        let ending = format!("{} ends", choice["index"]);
        if let Some(reason) = choice["finish_reason"].as_str().filter(|_| !self.ids.contains(&ending)) {
            self.finish.push(reason.to_owned());
            self.ids.push(ending);
        }
    }

    fn call(&mut self, function: &Value, repeated: bool) {
        let name = function["name"].as_str().filter(|name| !name.is_empty() && !repeated);
        self.calls.extend(name.map(str::to_owned));
        self.arguments.push_str(function["arguments"].as_str().unwrap_or_default());
    }

    fn content(&mut self, content: &Value) {
        self.text.push_str(content.as_str().unwrap_or_default());
        for part in content.as_array().into_iter().flatten() {
            self.text.push_str(part["text"].as_str().unwrap_or_default());
            for thought in part["thinking"].as_array().into_iter().flatten() {
                self.reasoning.push_str(thought["text"].as_str().unwrap_or_default());
            }
        }
    }

    pub(super) fn stream(recording: &Recording) -> Self {
        let mut naive = Self::default();
        for data in recorded::data_events(recording).iter().filter(|data| *data != "[DONE]") {
            naive.chunk(&serde_json::from_str(data).unwrap());
        }
        naive
    }

    pub(super) fn events(events: &[ChatEvent]) -> Self {
        let mut naive = Self::default();
        for event in events {
            match event {
                ChatEvent::Text { text, .. } => naive.text.push_str(text),
                ChatEvent::Reasoning { text, .. } => naive.reasoning.push_str(text),
                ChatEvent::Refusal { text, .. } => naive.refusal.push_str(text),
                ChatEvent::ToolCall(call) => {
                    naive.calls.extend(call.name.clone());
                    naive.arguments.push_str(&call.arguments);
                }
                ChatEvent::Finished { finish, .. } => naive.finish.push(finish.native.clone()),
                ChatEvent::Usage(usage) => naive.usage = Some(*usage),
                _ => {}
            }
        }
        naive
    }

    pub(super) fn reply(reply: &ChatReply) -> Self {
        let mut naive = Self { usage: reply.usage, ..Self::default() };
        for choice in &reply.choices {
            for part in &choice.message.parts {
                match &part.kind {
                    PartKind::Text(text) => naive.text.push_str(text),
                    PartKind::Reasoning(thought) => naive.reasoning.push_str(&thought.text),
                    PartKind::Refusal(text) => naive.refusal.push_str(text),
                    PartKind::ToolCall(call) => {
                        naive.calls.push(call.name.clone());
                        naive.arguments.push_str(&call.arguments);
                    }
                    _ => {}
                }
            }
            naive.finish.extend(Some(choice.finish.native.clone()).filter(|native| !native.is_empty()));
        }
        naive
    }
}

fn usage(json: &Value) -> Option<Usage> {
    let count = |json: &Value| json.as_u64();
    let total = count(&json["total_tokens"])?;
    let prompt = count(&json["prompt_tokens"]).unwrap_or(0);
    let details = &json["prompt_tokens_details"];
    let cached = [&details["cached_tokens"], &json["prompt_cache_hit_tokens"], &json["cached_tokens"]];
    Some(Usage {
        prompt,
        completion: count(&json["completion_tokens"]).unwrap_or(0).max(total.saturating_sub(prompt)),
        cached_read: cached.into_iter().find_map(count).unwrap_or(0).min(prompt),
        cache_write: count(&details["cache_write_tokens"]).unwrap_or(0),
        reasoning: count(&json["completion_tokens_details"]["reasoning_tokens"]).unwrap_or(0),
        prompt_audio: count(&details["audio_tokens"]).unwrap_or(0),
        completion_audio: count(&json["completion_tokens_details"]["audio_tokens"]).unwrap_or(0),
    })
}
