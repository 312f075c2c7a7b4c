//! The same conversation at each vendor: a text, a loop of two tools that was thought about, a picture, an answer in a schema, and
//! two refusals. A client of any dialect must be able to have it with any of them, and not notice which it is.
//!
//! What is answered follows from what is asked: results are answered with a text, tools are called, a schema is filled in, a picture
//! is seen, and everything else is greeted. Each vendor's file says it in that vendor's words, and what must come back to it.

mod anthropic;
mod chat;
mod gemini;
mod responses;

use serde_json::{Value, json};

use super::Scene;
use crate::{
    judge::{Operation, SaidIn, as_published, turns},
    provider::{Answer, Cut, Script, Seen},
};

/// What is thought before the tools are called.
const THOUGHT: &str = "Two questions, two calls.";
/// What is said beside the calls.
const ASIDE: &str = "I will look.";
const GREETING: &str = "Hello! Grüße, 世界 👋";
const FINAL: &str = "21.5 degrees at noon.";
const FILLED_IN: &str = r#"{"city":"Zürich","celsius":21.5}"#;
const SEEN: &str = "A red pixel.";
/// The picture that is recognised: the beginning of every PNG, in base64.
const PICTURE: &str = "iVBORw0KGgo";

// What a conversation costs: the prompt's tokens include those read from the cache, the answer's those that were thought.
const PROMPT: u64 = 30;
const CACHED: u64 = 10;
const COMPLETION: u64 = 12;
const THOUGHTS: u64 = 5;

/// What a vendor that counts counts.
const COUNTED: u64 = 1234;

/// A vendor, or one of the ways to ask it.
struct Vendor {
    /// What the scenes are called behind `any-`, `limited-` and `refused-`.
    name: &'static str,
    operation: Operation,
    /// Its model, of a generation that thinks.
    model: &'static str,
    /// Fields of the provider.
    provider: Value,
    whole: fn(&Turn<'_>) -> Value,
    stream: fn(&Turn<'_>) -> String,
    said: SaidIn,
    /// The body of an error: status and message.
    error: fn(u16, &str) -> Value,
}

fn vendors() -> [Vendor; 5] {
    let openai = |dialect: &str| json!({"kind": "openai", "options": {"dialects": [dialect]}});
    let chat = Vendor {
        name: "chat",
        operation: Operation::ChatCompletions,
        model: "gpt-4.1-mini",
        provider: openai("openai_chat"),
        whole: chat::whole,
        stream: chat::stream,
        said: chat::said,
        error: chat::error,
    };
    [
        Vendor {
            name: "compatible",
            model: "qwen/qwen3-32b",
            provider: json!({"kind": "openai_compatible", "options": {"preset": "openrouter"}}),
            whole: chat::compatible_whole,
            stream: chat::compatible_stream,
            said: chat::compatible_said,
            ..chat
        },
        chat,
        Vendor {
            name: "responses",
            operation: Operation::Responses,
            model: "gpt-5-mini",
            provider: openai("openai_responses"),
            whole: responses::whole,
            stream: responses::stream,
            said: responses::said,
            error: chat::error,
        },
        Vendor {
            name: "anthropic",
            operation: Operation::Messages,
            model: "claude-sonnet-4-5",
            provider: json!({"kind": "anthropic"}),
            whole: anthropic::whole,
            stream: anthropic::stream,
            said: anthropic::said,
            error: anthropic::error,
        },
        Vendor {
            name: "gemini",
            operation: Operation::GenerateContent,
            model: "gemini-3-flash-preview",
            provider: json!({"kind": "gemini"}),
            whole: gemini::whole,
            stream: gemini::stream,
            said: gemini::said,
            error: gemini::error,
        },
    ]
}

/// The scenes `any-VENDOR`, `limited-VENDOR` and `refused-VENDOR` of every vendor.
pub(super) fn scenes() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for vendor in vendors() {
        let limited = (vendor.error)(429, "You are asking too much.");
        let limited = Answer::json(429, &limited).header("retry-after", "20");
        let refused = Answer::json(400, &(vendor.error)(400, "That is not to be asked."));
        for (does, script) in [("limited", Script::always(limited)), ("refused", Script::always(refused))] {
            scenes.push(vendor.scene(does, script));
        }
        let mut any = vendor.scene("any", vendor.conversation());
        any.said = Some(vendor.said);
        any.openai_only = vendor.name == "chat";
        any.counts = match vendor.operation {
            Operation::Messages => Some((Operation::CountMessages, json!({"input_tokens": COUNTED}))),
            Operation::GenerateContent => Some((Operation::CountContent, json!({"totalTokens": COUNTED}))),
            Operation::Responses => {
                let count = json!({"object": "response.input_tokens", "input_tokens": COUNTED});
                Some((Operation::CountInput, count))
            }
            _ => None,
        };
        scenes.push(any);
    }
    scenes
}

impl Vendor {
    fn scene(&self, does: &str, script: Script) -> Scene {
        let mut scene = Scene::new(format!("{does}-{}", self.name), self.operation, script);
        scene.provider = self.provider.clone();
        self.model.clone_into(&mut scene.upstream_model);
        scene
    }

    fn conversation(&self) -> Script {
        let (operation, whole, stream) = (self.operation, self.whole, self.stream);
        Script::choose(move |_, seen| {
            let request = as_published(operation, seen.json());
            let turn = Turn::after(operation, &request);
            let streams = seen.path.ends_with(":streamGenerateContent") || streams(seen);
            if streams {
                // Pieces whose borders fall where they like, also inside of an event.
                Answer::stream("text/event-stream; charset=utf-8", stream(&turn)).cut(&Cut::Seeded(7))
            } else {
                Answer::json(200, &whole(&turn))
            }
        })
    }
}

fn streams(seen: &Seen) -> bool {
    seen.json()["stream"] == json!(true)
}

/// What is answered.
struct Turn<'a> {
    request: &'a Value,
    text: &'static str,
    /// How many turns that made calls went before.
    round: usize,
    /// Whether this one makes calls.
    calls: bool,
}

impl<'a> Turn<'a> {
    fn after(operation: Operation, request: &'a Value) -> Self {
        let before = turns(operation, request);
        let body = request.to_string();
        let has_tools = request["tools"].as_array().is_some_and(|tools| !tools.is_empty());
        let has_schema = ["json_schema", "responseSchema", "responseJsonSchema"]
            .iter()
            .any(|word| body.contains(&format!("\"{word}\"")));
        let calls = has_tools && !before.answered;
        let text = if before.answered {
            FINAL
        } else if has_tools {
            ASIDE
        } else if has_schema {
            FILLED_IN
        } else if body.contains(PICTURE) {
            SEEN
        } else {
            GREETING
        };
        Self { request, text, round: before.calling.len(), calls }
    }

    fn calls(&self) -> Vec<Call> {
        if self.calls { calls(self.round) } else { Vec::new() }
    }
}

/// A call of a tool.
struct Call {
    /// Unique in the conversation, without a vendor's prefix.
    id: String,
    name: &'static str,
    arguments: Value,
}

/// The two calls of a round.
fn calls(round: usize) -> Vec<Call> {
    // Nested, and with what is easily lost: a whole number that is a float, null, an empty object, letters beyond ASCII.
    let weather = json!({"city": "Zürich", "at": {"hour": 12, "offset": 1.5, "until": null, "more": {}}});
    vec![
        Call { id: format!("r{round}c1"), name: "get_weather", arguments: weather },
        Call { id: format!("r{round}c2"), name: "get_time", arguments: json!({"city": "Łódź \"\\ 👋"}) },
    ]
}

/// What a vendor signs a round's thinking with: base64 of nothing in particular.
fn signature(round: usize) -> String {
    format!("c2lnbmF0dXJlLW9mLXJvdW5k{}", ["MDA=", "MDE=", "MDI=", "MDM="][round % 4])
}

/// A text in two pieces.
fn halves(text: &str) -> [&str; 2] {
    let at = (text.len() / 2..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let (one, other) = text.split_at(at);
    [one, other]
}

/// An event whose name is its data's type.
fn named_event(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
}
