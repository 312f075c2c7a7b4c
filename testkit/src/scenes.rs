//! Scenes: named providers with one behaviour each, for suites that drive a gateway from outside of this workspace (the real
//! clients in `testkit/clients`). The program `testkit-provider` serves them and says over HTTP what it saw.
//!
//! A scene NAME is a provider below `/p/NAME`; its model is `NAME-upstream` there (a name of the vendor's where one matters) and
//! `NAME` in the gateway. All but what the scene is about is the same everywhere: every request is judged by the shape that its
//! vendor publishes, its key and its path.
//!
//! **To add a scene**, add a row to [`all`]: the suites' catalog is made from it. What every vendor must be able to do is in
//! `scenes/vendors.rs`.

mod control;
mod vendors;

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    fixtures,
    judge::{Body, Judge, Operation, SaidIn},
    provider::{Answer, Cut, Endpoint, Piece, Provider, Script, Seen},
};

/// The key that every scene expects of the gateway.
pub const PROVIDER_KEY: &str = "sk-scenes-0123456789abcdef";

/// Between two pieces of the stream that does not end.
const PACE: Duration = Duration::from_millis(20);

/// A provider with one behaviour.
#[derive(Debug)]
pub struct Scene {
    /// Its name, and its model's name in the gateway.
    pub name: String,
    /// What it is asked.
    pub operation: Operation,
    /// Fields of the provider in Admin's JSON, beside its name, address and key.
    pub provider: Value,
    /// The model's name at the provider.
    pub upstream_model: String,
    script: Script,
    said: Option<SaidIn>,
    openai_only: bool,
    /// How it is asked for a count, and what it says.
    counts: Option<(Operation, Value)>,
}

impl Scene {
    fn new(name: impl Into<String>, operation: Operation, script: impl Into<Script>) -> Self {
        let name = name.into();
        let upstream_model = format!("{name}-upstream");
        let provider = json!({});
        Self {
            name,
            operation,
            provider,
            upstream_model,
            script: script.into(),
            said: None,
            openai_only: false,
            counts: None,
        }
    }

    fn chat(name: &str, script: impl Into<Script>) -> Self {
        Self::new(name, Operation::ChatCompletions, script)
    }

    fn with_provider(mut self, fields: Value) -> Self {
        self.provider = fields;
        self
    }

    /// Judges and answers what is asked of it.
    fn open(&self, endpoint: &Endpoint, secrets: &[String]) {
        let judge = |operation| {
            let mut judge = Judge::new(operation, PROVIDER_KEY, &self.upstream_model, Body::published());
            if let Some(said) = self.said {
                judge = judge.said(said);
            }
            if self.openai_only {
                judge = judge.openai_only();
            }
            secrets.iter().fold(judge, |judge, secret| judge.secret(secret))
        };
        if self.operation.is_gemini() {
            // Whether it is a stream stands in the path.
            let verbs = [
                ("generateContent", Operation::GenerateContent),
                ("streamGenerateContent", Operation::StreamGenerateContent),
            ];
            for (verb, operation) in verbs {
                let path = format!("v1beta/models/{}:{verb}", self.upstream_model);
                endpoint.judge(&path, judge(operation));
                endpoint.route(&path, self.script.clone());
            }
        } else {
            // The empty path: whatever is asked is judged, also what has no route.
            endpoint.judge("", judge(self.operation));
            endpoint.route(self.operation.path(), self.script.clone());
        }
        if let Some((operation, answer)) = &self.counts {
            let path = match operation.path() {
                "" => format!("v1beta/models/{}:countTokens", self.upstream_model),
                path => path.to_owned(),
            };
            endpoint.judge(&path, judge(*operation));
            endpoint.route(&path, Answer::json(200, answer));
        }
    }

    /// Where it is asked, behind the base URL.
    fn path(&self) -> String {
        if self.operation.is_gemini() {
            return format!("/v1beta/models/{}:generateContent", self.upstream_model);
        }
        self.operation.path().to_owned()
    }

    /// What a catalog stores as its base URL: OpenAI's ends with the version.
    fn base_url(&self, endpoint: &Endpoint) -> String {
        let base_url = endpoint.base_url();
        let versioned = self.operation.is_gemini() || self.operation.is_anthropic();
        let base = base_url.strip_suffix("/v1").filter(|_| versioned).unwrap_or(&base_url);
        base.to_owned()
    }
}

/// All scenes.
pub fn all() -> Vec<Scene> {
    let mut scenes = vec![
        Scene::chat("chat", by_stream("chat", "chat_stream_usage")),
        Scene::chat("tools", tools()),
        Scene::chat("structured", structured(r#"{"city":"Zürich","celsius":21.5}"#)),
        Scene::new(
            "completions",
            Operation::Completions,
            by_stream("completions", "completions_stream_usage"),
        ),
        Scene::new("embeddings", Operation::Embeddings, embeddings()),
        // Longer silent at first than a caller is left without a sign: see `stream.early_head_ms`.
        Scene::chat("slow-start", replay("chat_stream_usage").after(Duration::from_millis(1500))),
        // Streams that do not end well, and one that does not end.
        Scene::chat("endless", endless()),
        Scene::chat("breaks-off", replay("chat_stream_error_midway"))
            .with_provider(json!({"options": {"dialects": ["openai_chat"]}})),
        // Answers that do not come.
        Scene::chat("silent", Answer::silence()),
        Scene::chat("too-slow", Answer::silence())
            .with_provider(json!({"timeouts": {"first_token_ms": 400, "total_ms": 400}})),
        Scene::chat("hangs-up", Answer::close_before_headers()),
        // The vendor's own refusals.
        Scene::chat("too-long", replay("error_400_context_length")),
        Scene::chat("rejects-key", replay("error_401")),
        Scene::chat("rate-limited", replay("error_429_seconds")),
        Scene::chat("faulty", replay("error_500")),
    ];
    scenes.extend(vendors::scenes());
    scenes
}

/// Plays every scene on `provider`, and lets its path `/p/control` tell of them:
///
/// * `scenes`: name, base URL, path, key and its header, upstream model and the provider's fields of each, for a catalog;
/// * `seen?request_id=ID`: the requests with that `x-request-id` (all without it), and whether the peer has closed their
///   connection;
/// * `complaints`: what was wrong with requests so far.
///
/// No request may hold one of `secrets`: the callers' keys.
pub fn play(provider: &Provider, secrets: &[String]) {
    let scenes = all();
    for scene in &scenes {
        scene.open(&provider.named(&scene.name), secrets);
    }
    control::open(provider, scenes);
}

/// A fixture's answer, byte for byte; a stream in pieces whose borders fall where they like.
fn replay(fixture: &str) -> Answer {
    fixtures::named(fixture).answer(&Cut::Seeded(7))
}

fn by_stream(whole: &str, streamed: &str) -> Script {
    let (whole, streamed) = (replay(whole), replay(streamed));
    Script::choose(move |_, seen| if streams(seen) { streamed.clone() } else { whole.clone() })
}

fn streams(seen: &Seen) -> bool {
    seen.json()["stream"] == json!(true)
}

/// Two calls of the tool first; text, once the results are there.
fn tools() -> Script {
    let calls = [replay("chat_tool_calls"), replay("chat_stream_tool_calls")];
    let text = [replay("chat_tool_results"), replay("chat_stream_usage")];
    Script::choose(move |_, seen| {
        let messages = &seen.json()["messages"];
        let last = messages.as_array().and_then(|messages| messages.last());
        let answered = last.is_some_and(|last| last["role"] == "tool");
        let answers = if answered { &text } else { &calls };
        answers[usize::from(streams(seen))].clone()
    })
}

/// The whole chat of the fixture with this content.
fn structured(content: &str) -> Answer {
    let mut body: Value =
        serde_json::from_slice(&fixtures::named("chat").body).expect("the fixture's body is JSON");
    body["choices"][0]["message"]["content"] = json!(content);
    Answer::json(200, &body)
}

/// In the encoding that was asked for.
fn embeddings() -> Script {
    let (base64, float) = (replay("embeddings_base64"), replay("embeddings_float"));
    Script::choose(move |_, seen| {
        let wants_base64 = seen.json()["encoding_format"] == "base64";
        if wants_base64 { base64.clone() } else { float.clone() }
    })
}

/// A stream that goes on for longer than any test waits.
fn endless() -> Answer {
    let chunk = json!({
        "id": "chatcmpl-endless", "object": "chat.completion.chunk", "created": 1_735_689_600, "model": "endless-upstream",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": "on "}, "finish_reason": null}],
    });
    let event = Piece::Data(format!("data: {chunk}\n\n").into());
    let mut pieces = vec![event; 3000];
    pieces.push(Piece::Fin);
    Answer::pieces(pieces).pace(PACE)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_scene_has_a_name_of_its_own() {
        let scenes = all();
        let names: BTreeSet<&str> =
            scenes.iter().map(|scene| scene.name.as_str()).chain([control::NAME]).collect();
        assert_eq!(names.len(), scenes.len() + 1);
    }
}
