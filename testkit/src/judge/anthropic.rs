//! What Anthropic takes on `POST /v1/messages`, by hand from its API reference (<https://docs.anthropic.com/en/api/messages>), from
//! the types of its SDKs, and from what its servers are known to refuse beyond that: an empty text, a call whose result does not
//! follow at once, a turn of calls without the thinking that led to them, a budget that leaves nothing for the answer.

mod messages;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::SEAL;

const TOP: [&str; 25] = [
    "cache_control",
    "compaction",
    "container",
    "context_management",
    "diagnostics",
    "fallbacks",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "output_format",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];
/// Fields of a tool of the caller's own.
const TOOL: [&str; 10] = [
    "allowed_callers",
    "cache_control",
    "defer_loading",
    "description",
    "eager_input_streaming",
    "input_examples",
    "input_schema",
    "name",
    "strict",
    "type",
];
/// What a count takes: all but what says how to answer.
const COUNTED: [&str; 10] = [
    "cache_control",
    "context_management",
    "mcp_servers",
    "messages",
    "model",
    "output_config",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];
/// The least that may be thought.
const LEAST_BUDGET: u64 = 1024;
/// A request may hold that many marks.
const CACHE_MARKS: usize = 4;

/// Everything that Anthropic would refuse in this body: of a message, or of a count.
pub(super) fn complaints(model: &str, body: &str, counts: bool) -> Vec<String> {
    let mut shape = Shape { complaints: Vec::new(), cache_marks: 0 };
    match serde_json::from_str(body) {
        Ok(Value::Object(mut request)) => {
            if counts {
                shape.known(&Value::from(request.clone()), "body", &COUNTED);
                request.insert("max_tokens".to_owned(), u32::MAX.into());
            }
            shape.request(&request, model);
        }
        Ok(_) => shape.say("the body is no JSON object"),
        Err(error) => shape.say(format!("the body is not JSON: {error}")),
    }
    if body.contains(SEAL) {
        shape.say("the body holds a text that only the gateway reads");
    }
    shape.complaints
}

/// Gathers what is wrong.
struct Shape {
    complaints: Vec<String>,
    cache_marks: usize,
}

impl Shape {
    fn say(&mut self, complaint: impl Into<String>) {
        self.complaints.push(complaint.into());
    }

    /// An object has no other members than these.
    fn known(&mut self, object: &Value, path: &str, known: &[&str]) {
        for name in object.as_object().into_iter().flat_map(Map::keys) {
            if !known.contains(&name.as_str()) {
                self.say(format!("{path}.{name}: Extra inputs are not permitted"));
            }
        }
    }

    fn request(&mut self, request: &Map<String, Value>, model: &str) {
        let body = Value::from(request.clone());
        self.known(&body, "body", &TOP);
        if body["model"] != model {
            self.say(format!("model is {}, not {model:?}", body["model"]));
        }
        let max = body["max_tokens"].as_u64().unwrap_or_default();
        if max == 0 {
            self.say(format!("max_tokens is {}", body["max_tokens"]));
        }
        if !body["stream"].is_null() && !body["stream"].is_boolean() {
            self.say(format!("stream is {}", body["stream"]));
        }
        self.tools(&body["tools"]);
        self.system(&body["system"]);
        self.messages(&body);
        self.tool_choice(&body);
        self.sampling(&body);
        self.thinking(&body, max);
        self.rest(&body);
        self.cache_mark(&body, "body");
        if self.cache_marks > CACHE_MARKS {
            self.say(format!(
                "a maximum of {CACHE_MARKS} blocks with cache_control, not {}",
                self.cache_marks
            ));
        }
    }

    fn system(&mut self, system: &Value) {
        match system {
            Value::Null => {}
            Value::String(text) if !text.is_empty() => {}
            Value::Array(blocks) => {
                for (at, block) in blocks.iter().enumerate() {
                    let path = format!("system.{at}");
                    if block["type"] != "text" {
                        self.say(format!("{path}.type is {}", block["type"]));
                    }
                    self.block(block, &path);
                }
            }
            other => self.say(format!("system is {other}")),
        }
    }

    fn tools(&mut self, tools: &Value) {
        let mut names = BTreeSet::new();
        for (at, tool) in tools.as_array().into_iter().flatten().enumerate() {
            let path = format!("tools.{at}");
            let name = tool["name"].as_str().unwrap_or_default();
            if !is_name(name, 128) || !names.insert(name.to_owned()) {
                self.say(format!("{path}.name {name:?} is no name of its own"));
            }
            self.cache_mark(tool, &path);
            // Tools with a type are Anthropic's: web_search_20250305 and their like.
            if tool["type"].is_null() || tool["type"] == "custom" {
                self.known(tool, &path, &TOOL);
                if tool["input_schema"]["type"] != "object" {
                    self.say(format!("{path}.custom.input_schema.type: Field required"));
                }
                if !tool["description"].is_null() && !tool["description"].is_string() {
                    self.say(format!("{path}.description is {}", tool["description"]));
                }
            }
        }
        if !tools.is_null() && !tools.is_array() {
            self.say("tools is no array");
        }
    }

    fn tool_choice(&mut self, body: &Value) {
        let choice = &body["tool_choice"];
        if choice.is_null() {
            return;
        }
        self.known(choice, "tool_choice", &["type", "name", "disable_parallel_tool_use"]);
        let tools = body["tools"].as_array().map_or(&[][..], Vec::as_slice);
        let named = tools.iter().any(|tool| tool["name"] == choice["name"]);
        let good = match choice["type"].as_str() {
            Some("auto" | "any") => choice["name"].is_null(),
            Some("tool") => named,
            Some("none") => choice["disable_parallel_tool_use"].is_null(),
            _ => false,
        };
        if !good || tools.is_empty() {
            self.say(format!("tool_choice is {choice} with {} tools", tools.len()));
        }
    }

    fn sampling(&mut self, body: &Value) {
        for name in ["temperature", "top_p"] {
            let value = &body[name];
            let good = value.as_f64().is_some_and(|number| (0.0..=1.0).contains(&number));
            if !value.is_null() && !good {
                self.say(format!("{name}: range: 0..1, not {value}"));
            }
        }
        if !body["top_k"].is_null() && !body["top_k"].is_u64() {
            self.say(format!("top_k is {}", body["top_k"]));
        }
        for stop in body["stop_sequences"].as_array().into_iter().flatten() {
            if stop.as_str().is_none_or(|stop| stop.trim().is_empty()) {
                self.say(format!(
                    "stop_sequences: each stop sequence must contain non-whitespace, not {stop}"
                ));
            }
        }
    }

    /// What goes with thinking, and what does not.
    fn thinking(&mut self, body: &Value, max: u64) {
        let thinking = &body["thinking"];
        let thinks = match thinking["type"].as_str() {
            None if thinking.is_null() => return,
            Some("enabled") => {
                self.known(thinking, "thinking", &["type", "budget_tokens", "display"]);
                let budget = thinking["budget_tokens"].as_u64().unwrap_or_default();
                if budget < LEAST_BUDGET || budget >= max {
                    self.say(format!("thinking.budget_tokens is {budget}, with a max_tokens of {max}"));
                }
                true
            }
            Some("adaptive" | "between_tools") => {
                self.known(thinking, "thinking", &["type", "display"]);
                true
            }
            Some("disabled") => {
                self.known(thinking, "thinking", &["type"]);
                false
            }
            _ => return self.say(format!("thinking is {thinking}")),
        };
        if !thinks {
            return;
        }
        if body["temperature"].as_f64().is_some_and(|temperature| temperature < 1.0) {
            self.say("temperature may only be set to 1 when thinking is enabled");
        }
        if !body["top_k"].is_null() {
            self.say("top_k must be unset when thinking is enabled");
        }
        if ["any", "tool"].iter().any(|forced| body["tool_choice"]["type"] == *forced) {
            self.say("thinking may not be enabled when tool_choice forces tool use");
        }
        self.thought_leads_the_calls(body);
    }

    fn rest(&mut self, body: &Value) {
        if !body["metadata"].is_null() {
            self.known(&body["metadata"], "metadata", &["user_id"]);
        }
        let config = &body["output_config"];
        if !config.is_null() {
            self.known(config, "output_config", &["effort", "format", "task_budget"]);
        }
        let effort = config["effort"].as_str().unwrap_or("high");
        if !["low", "medium", "high", "xhigh", "max"].contains(&effort) {
            self.say(format!("output_config.effort is {effort:?}"));
        }
        for format in [&config["format"], &body["output_format"]] {
            let good = format["type"] == "json_schema" && format["schema"]["type"] == "object";
            if !format.is_null() && !good {
                self.say(format!("the format of the output is {format}"));
            }
            self.closed_objects(&format["schema"]);
        }
        let tier = body["service_tier"].as_str().unwrap_or("auto");
        if !["auto", "standard_only"].contains(&tier) {
            self.say(format!("service_tier is {tier:?}"));
        }
    }

    /// In a schema of the output every object says that it has no other members.
    fn closed_objects(&mut self, schema: &Value) {
        let Some(members) = schema.as_object() else { return };
        if schema["type"] == "object" && schema["additionalProperties"] != false {
            self.say("output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false");
        }
        for inner in members.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::values) {
            self.closed_objects(inner);
        }
        self.closed_objects(&schema["items"]);
    }

    /// Looks at the mark of whatever may have one.
    fn cache_mark(&mut self, holder: &Value, path: &str) {
        let mark = &holder["cache_control"];
        if mark.is_null() {
            return;
        }
        self.cache_marks += 1;
        self.known(mark, &format!("{path}.cache_control"), &["type", "ttl", "scope"]);
        let ttl = mark["ttl"].as_str().unwrap_or("5m");
        if mark["type"] != "ephemeral" || !["5m", "1h"].contains(&ttl) {
            self.say(format!("{path}.cache_control is {mark}"));
        }
    }
}

fn is_name(name: &str, longest: usize) -> bool {
    let good = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    (1..=longest).contains(&name.len()) && name.chars().all(good)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        judge::{Body, Judge, Operation},
        recorded,
    };

    fn judged(body: &Value) -> String {
        let judge = Judge::new(Operation::Messages, "key", "m", Body::published());
        judge.body_complaints(&body.to_string()).join("; ")
    }

    fn good() -> Value {
        json!({
            "model": "m", "max_tokens": 2048, "stream": true,
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                    {"type": "text", "text": "?"},
                ]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
                    {"type": "tool_use", "id": "toolu_2", "name": "f", "input": {}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": "1"},
                    {"type": "tool_result", "tool_use_id": "toolu_2", "content": [{"type": "text", "text": "2"}]},
                    {"type": "text", "text": "and?"},
                ]},
            ],
            "tools": [{"name": "f", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "temperature": 1.0, "metadata": {"user_id": "u"},
        })
    }

    #[test]
    fn a_good_request_is_taken_and_each_broken_one_is_refused() {
        assert_eq!(judged(&good()), "");
        let breaks: [(&str, Value, &str); 24] = [
            ("/model", json!("other"), "model is"),
            ("/max_tokens", Value::Null, "max_tokens"),
            ("/temperature", json!(1.5), "temperature: range"),
            ("/temperature", json!(0.5), "temperature may only"),
            ("/thinking/budget_tokens", json!(1023), "budget_tokens"),
            ("/thinking/budget_tokens", json!(2048), "budget_tokens"),
            ("/thinking", json!({"type": "on"}), "thinking is"),
            ("/tool_choice", json!({"type": "any"}), "forces tool use"),
            ("/tool_choice", json!("auto"), "tool_choice is"),
            ("/tools/0/input_schema", json!({}), "input_schema.type"),
            ("/tools/0", json!({"type": "function", "function": {}}), "is no name"),
            ("/metadata", json!({"user": "u"}), "metadata.user"),
            ("/system/0/cache_control/ttl", json!("2h"), "cache_control is"),
            ("/system/0/text", json!(""), "non-empty"),
            ("/messages/0/role", json!("owner"), "role"),
            ("/messages/0/content/0/source/media_type", json!("image/tiff"), "media_type"),
            ("/messages/0/content/0/source/data", json!("data:image/png;base64,AAAA"), "base64"),
            ("/messages/1/content/0/signature", json!(SEAL), "only the gateway"),
            ("/messages/1/content/0", json!({"type": "text", "text": "Hm."}), "thinking"),
            ("/messages/1/content/1/id", json!("toolu_2"), "unique"),
            ("/messages/1/content/1/input", json!("{}"), "input"),
            ("/messages/2/content/0/tool_use_id", json!("toolu_9"), "toolu_9"),
            ("/messages/2/content/0", json!({"type": "text", "text": "first"}), "toolu_1"),
            ("/messages/2/content/1/content", json!([{"type": "text", "text": ""}]), "non-empty"),
        ];
        for (place, value, complaint) in breaks {
            let mut body = good();
            match (body.pointer_mut(place), value) {
                (Some(member), value) => *member = value,
                (None, value) => {
                    let (parent, name) = place.rsplit_once('/').unwrap();
                    body.pointer_mut(parent).unwrap()[name] = value;
                }
            }
            let said = judged(&body);
            assert!(said.contains(complaint), "{place}: {said:?}");
        }
        let mut merged = good();
        merged["messages"].as_array_mut().unwrap().push(json!({"role": "user", "content": "?"}));
        assert!(judged(&merged).contains("follows"), "two messages of one role");
        let mut extra = good();
        extra["n"] = json!(1);
        assert!(judged(&extra).contains("Extra inputs"));
    }

    #[test]
    fn what_anthropic_took_is_accepted() {
        let Some(folder) = recorded::find() else { return };
        let mut judged = 0;
        for recording in recorded::load(&folder).unwrap() {
            let theirs = recording.provider == "anthropic" && recording.endpoint == "messages";
            let Some(request) = recording.request_body.filter(|_| theirs && recording.status == 200) else {
                continue;
            };
            let wrong = complaints(&recording.upstream_model, &request, false);
            // Anthropic merges messages of one role itself; a translator that leaves it to do so is sloppy.
            let wrong: Vec<_> = wrong.into_iter().filter(|wrong| !wrong.contains("follows")).collect();
            assert_eq!(wrong, Vec::<String>::new(), "{}", recording.file);
            judged += 1;
        }
        assert!(judged > 20, "{judged} recordings");
    }
}
