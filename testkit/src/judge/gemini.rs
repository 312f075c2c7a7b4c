//! What Gemini takes, by hand from its API reference (<https://ai.google.dev/api/generate-content>, <https://ai.google.dev/api/embeddings>)
//! and from what its servers are known to refuse beyond that: an unknown field, results that do not match their calls, a call
//! without its signature where the model demands one.

use serde_json::{Map, Value};

use super::{Body, Expected, Judge, NEVER_FORWARDED, Operation, SEAL};
use crate::provider::Seen;

const TOP: [&str; 9] = [
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "generationConfig",
    "safetySettings",
    "cachedContent",
    "labels",
    "model",
];
const CONFIG: [&str; 22] = [
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "candidateCount",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "enableEnhancedCivicAnswers",
    "speechConfig",
    "thinkingConfig",
    "imageConfig",
    "mediaResolution",
    "audioTimestamp",
    "routingConfig",
];
/// Of these a part has exactly one.
const DATA: [&str; 7] = [
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
];
const BESIDE_DATA: [&str; 4] = ["thought", "thoughtSignature", "videoMetadata", "mediaResolution"];

/// Everything that is wrong with a request.
pub(super) fn complaints(judge: &Judge, seen: &Seen) -> Vec<String> {
    let mut complaints = envelope(judge, seen);
    match std::str::from_utf8(&seen.body) {
        Ok(body) => complaints.extend(body_complaints(judge, body)),
        Err(_) => complaints.push("the body is not UTF-8".to_owned()),
    }
    complaints
}

/// Method, path, query, key and headers.
fn envelope(judge: &Judge, seen: &Seen) -> Vec<String> {
    let mut complaints = Vec::new();
    let (verb, query) = match judge.operation {
        Operation::StreamGenerateContent => ("streamGenerateContent", "alt=sse"),
        Operation::BatchEmbedContents => ("batchEmbedContents", ""),
        Operation::EmbedContent => ("embedContent", ""),
        Operation::CountContent => ("countTokens", ""),
        _ => ("generateContent", ""),
    };
    let path = format!("/v1beta/models/{}:{verb}", judge.model);
    if (seen.method.as_str(), seen.path.as_str(), seen.query.as_str()) != ("POST", path.as_str(), query) {
        complaints.push(format!("{} {}?{} is not POST {path}?{query}", seen.method, seen.path, seen.query));
    }
    if seen.header("content-type") != Some("application/json") {
        complaints.push("the content type is not application/json".to_owned());
    }
    // Keys are compared, never quoted.
    if seen.header("x-goog-api-key") != judge.provider_key.as_deref() {
        complaints.push("x-goog-api-key is not the provider's key".to_owned());
    }
    for (name, value) in &seen.headers {
        let own = name.eq_ignore_ascii_case("x-goog-api-key");
        if !own && (NEVER_FORWARDED.contains(&name.as_str()) || name.eq_ignore_ascii_case("authorization")) {
            complaints.push(format!("header {name} was passed on"));
        }
        if judge.secrets.iter().any(|secret| value.contains(secret)) {
            complaints.push(format!("header {name} holds a secret of the caller"));
        }
    }
    let body = String::from_utf8_lossy(&seen.body);
    if judge.secrets.iter().any(|secret| body.contains(secret) || seen.query.contains(secret)) {
        complaints.push("the body or the query holds a secret of the caller".to_owned());
    }
    complaints
}

/// Everything that is wrong with a body.
pub(super) fn body_complaints(judge: &Judge, body: &str) -> Vec<String> {
    let Body(expected) = &judge.body;
    match expected {
        Expected::Recorded { text, byte_for_byte } => {
            let json = |text: &str| serde_json::from_str::<Value>(text).ok();
            let same = if *byte_for_byte { text == body } else { json(text) == json(body) };
            if same { Vec::new() } else { vec!["the body is not the recorded one".to_owned()] }
        }
        Expected::Published => {
            let mut shape = Shape { complaints: Vec::new(), model: &judge.model };
            match serde_json::from_str::<Value>(body).map(|json| in_camel_case(&json)) {
                Ok(json) => match judge.operation {
                    Operation::BatchEmbedContents => shape.batch(&json),
                    Operation::EmbedContent => shape.embed(&json, "body"),
                    Operation::CountContent => shape.count(&json),
                    _ => shape.generate(&json),
                },
                Err(error) => shape.say(format!("the body is not JSON: {error}")),
            }
            if body.contains(SEAL) {
                shape.say("the body holds a text that only the gateway reads".to_owned());
            }
            shape.complaints
        }
    }
}

/// The same request with fields as the reference spells them: Google's servers, and its own SDKs, know `inline_data` too. What the
/// caller's functions and schemas say is left alone.
pub(super) fn in_camel_case(json: &Value) -> Value {
    const OPAQUE: [&str; 8] = [
        "args",
        "response",
        "parameters",
        "parametersJsonSchema",
        "responseJsonSchema",
        "responseSchema",
        "labels",
        "metadata",
    ];
    match json {
        Value::Array(items) => items.iter().map(in_camel_case).collect(),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                let name = camel_case(name);
                let value =
                    if OPAQUE.contains(&name.as_str()) { value.clone() } else { in_camel_case(value) };
                (name, value)
            };
            Value::Object(members.iter().map(member).collect())
        }
        plain => plain.clone(),
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

struct Shape<'a> {
    complaints: Vec<String>,
    model: &'a str,
}

impl Shape<'_> {
    fn say(&mut self, complaint: String) {
        self.complaints.push(complaint);
    }

    /// An object with no other members than these.
    fn object<'v>(&mut self, json: &'v Value, path: &str, known: &[&str]) -> Option<&'v Map<String, Value>> {
        let Some(object) = json.as_object() else {
            self.say(format!("{path} is no object"));
            return None;
        };
        for name in object.keys().filter(|name| !known.contains(&name.as_str())) {
            self.say(format!("Unknown name \"{name}\" at '{path}'"));
        }
        Some(object)
    }

    fn batch(&mut self, json: &Value) {
        let Some(batch) = self.object(json, "body", &["requests"]) else { return };
        let requests = batch.get("requests").and_then(Value::as_array).cloned().unwrap_or_default();
        if requests.is_empty() {
            self.say("requests is empty".to_owned());
        }
        for (at, request) in requests.iter().enumerate() {
            self.embed(request, &format!("requests[{at}]"));
            if request["model"] != format!("models/{}", self.model) {
                self.say(format!("requests[{at}].model is not the model of the path"));
            }
        }
    }

    fn embed(&mut self, json: &Value, path: &str) {
        let known = ["model", "content", "taskType", "title", "outputDimensionality"];
        self.object(json, path, &known);
        if json["content"]["parts"].as_array().is_none_or(Vec::is_empty) {
            self.say(format!("{path}.content has no parts"));
        }
    }

    /// Contents alone, or a whole request that names its model.
    fn count(&mut self, json: &Value) {
        self.object(json, "body", &["contents", "generateContentRequest", "model"]);
        let whole = &json["generateContentRequest"];
        if whole.is_null() {
            return self.generate(json);
        }
        if !json["contents"].is_null() || whole["model"] != format!("models/{}", self.model) {
            self.say("generateContentRequest stands alone and names the model of the path".to_owned());
        }
        self.generate(whole);
    }

    fn generate(&mut self, json: &Value) {
        let Some(body) = self.object(json, "body", &TOP) else { return };
        let turns = body.get("contents").and_then(Value::as_array).cloned().unwrap_or_default();
        if turns.is_empty() {
            self.say("contents is not specified".to_owned());
        }
        let mut calls: Vec<String> = Vec::new();
        let mut last = "";
        for (at, turn) in turns.iter().enumerate() {
            let path = format!("contents[{at}]");
            let role = turn["role"].as_str().unwrap_or_default();
            if !["user", "model"].contains(&role) || role == last {
                self.say(format!("{path}.role is {role:?} after {last:?}"));
            }
            last = if role == "model" { "model" } else { "user" };
            calls = self.turn(turn, &path, calls);
        }
        if let Some(system) = body.get("systemInstruction") {
            self.turn(system, "systemInstruction", Vec::new());
        }
        if let Some(config) = body.get("generationConfig") {
            self.config(config);
        }
        self.tools(json);
    }

    /// Gives the calls that the turn makes; `calls` are those of the turn before.
    fn turn(&mut self, turn: &Value, path: &str, calls: Vec<String>) -> Vec<String> {
        self.object(turn, path, &["role", "parts"]);
        let parts = turn["parts"].as_array().cloned().unwrap_or_default();
        if parts.is_empty() {
            self.say(format!("{path}.parts is empty"));
        }
        let named = |kind: &str| -> Vec<String> {
            let names = parts.iter().filter_map(|part| part[kind]["name"].as_str());
            names.map(str::to_owned).collect()
        };
        if named("functionResponse") != calls {
            self.say(format!(
                "{path}: the results {:?} do not match the calls {calls:?}",
                named("functionResponse")
            ));
        }
        let mut first_call = true;
        for (at, part) in parts.iter().enumerate() {
            let path = format!("{path}.parts[{at}]");
            let known: Vec<&str> = DATA.iter().chain(&BESIDE_DATA).copied().collect();
            self.object(part, &path, &known);
            if DATA.iter().filter(|name| !part[**name].is_null()).count() != 1 {
                self.say(format!("{path} has not exactly one of {DATA:?}"));
            }
            for (kind, inner) in [("functionCall", "args"), ("functionResponse", "response")] {
                if part[kind].is_object() && !part[kind][inner].is_object() {
                    self.say(format!("{path}.{kind}.{inner} is no object"));
                }
            }
            if part["inlineData"].is_object() && !part["inlineData"]["mimeType"].is_string() {
                self.say(format!("{path}.inlineData has no mimeType"));
            }
            if part["functionCall"].is_object() {
                let signed = part["thoughtSignature"].is_string();
                if std::mem::replace(&mut first_call, false) && self.model.starts_with("gemini-3") && !signed
                {
                    self.say(format!("{path} is missing a thought_signature"));
                }
            }
        }
        named("functionCall")
    }

    fn config(&mut self, config: &Value) {
        self.object(config, "generationConfig", &CONFIG);
        if config["stopSequences"].as_array().is_some_and(|stops| stops.len() > 5) {
            self.say("more than 5 stopSequences".to_owned());
        }
        if !config["responseSchema"].is_null() && !config["responseJsonSchema"].is_null() {
            self.say("responseSchema and responseJsonSchema exclude each other".to_owned());
        }
        let schema = !config["responseSchema"].is_null() || !config["responseJsonSchema"].is_null();
        if schema && config["responseMimeType"] != "application/json" {
            self.say("a schema needs responseMimeType application/json".to_owned());
        }
        let thinking = &config["thinkingConfig"];
        if !thinking["thinkingBudget"].is_null() && !thinking["thinkingLevel"].is_null() {
            self.say("thinkingBudget and thinkingLevel exclude each other".to_owned());
        }
        let known = ["includeThoughts", "thinkingBudget", "thinkingLevel"];
        if !thinking.is_null() {
            self.object(thinking, "generationConfig.thinkingConfig", &known);
        }
        if !config["topK"].is_null() && !config["topK"].is_u64() {
            self.say("topK is no whole number".to_owned());
        }
    }

    fn tools(&mut self, body: &Value) {
        for tool in body["tools"].as_array().into_iter().flatten() {
            for function in tool["functionDeclarations"].as_array().into_iter().flatten() {
                let known = [
                    "name",
                    "description",
                    "behavior",
                    "parameters",
                    "parametersJsonSchema",
                    "response",
                    "responseJsonSchema",
                ];
                self.object(function, "tools.functionDeclarations", &known);
                if !function["parameters"].is_null() && !function["parametersJsonSchema"].is_null() {
                    self.say("parameters and parametersJsonSchema exclude each other".to_owned());
                }
                let schema = [&function["parameters"], &function["parametersJsonSchema"]];
                let empty = |schema: &&Value| {
                    schema["type"] == "object" && schema["properties"] == serde_json::json!({})
                };
                if schema.iter().any(empty) {
                    self.say("should be non-empty for OBJECT type: parameters.properties".to_owned());
                }
            }
        }
        let calling = &body["toolConfig"]["functionCallingConfig"];
        let mode = calling["mode"].as_str().unwrap_or("AUTO");
        if !["AUTO", "ANY", "NONE", "VALIDATED"].contains(&mode) {
            self.say(format!("the mode {mode} is not known"));
        }
        if calling["allowedFunctionNames"].is_array() && !["ANY", "VALIDATED"].contains(&mode) {
            self.say("allowedFunctionNames only go with ANY or VALIDATED".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn complaints(operation: Operation, model: &str, body: &Value) -> String {
        let judge = Judge::new(operation, "key", model, Body::published());
        judge.body_complaints(&body.to_string()).join("; ")
    }

    fn good() -> Value {
        json!({
            "contents": [
                {"role": "user", "parts": [{"text": "hi"}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ln"}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "1"}}}]},
            ],
            "systemInstruction": {"parts": [{"text": "be brief"}]},
            "tools": [{"functionDeclarations": [{"name": "f"}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
            "generationConfig": {"topK": 3, "thinkingConfig": {"thinkingLevel": "LOW"}},
        })
    }

    #[test]
    fn a_good_request_is_taken_and_each_broken_one_is_refused() {
        let judged = |body: &Value| complaints(Operation::GenerateContent, "gemini-3-flash", body);
        assert_eq!(judged(&good()), "");
        let breaks: [(&str, Value, &str); 9] = [
            ("/contents/0/role", json!("assistant"), "role"),
            ("/contents/1/parts/0/functionCall/args", json!("{}"), "args"),
            ("/contents/1/parts/0/thoughtSignature", Value::Null, "thought_signature"),
            ("/contents/2/parts/0/functionResponse/name", json!("g"), "do not match"),
            ("/contents/2/parts/0/functionResponse/response", json!("1"), "response"),
            ("/systemInstruction/parts", json!([]), "parts"),
            ("/toolConfig/functionCallingConfig/mode", json!("AUTO"), "allowedFunctionNames"),
            ("/generationConfig/thinkingConfig/thinkingLevel", json!(SEAL), "gateway"),
            ("/generationConfig", json!({"top-k": 1}), "Unknown name"),
        ];
        for (place, value, complaint) in breaks {
            let mut body = good();
            *body.pointer_mut(place).unwrap() = value;
            let said = judged(&body);
            assert!(said.contains(complaint), "{place}: {said:?}");
        }
    }

    #[test]
    fn embeddings_name_the_model_of_their_path() {
        let request =
            json!({"model": "models/e", "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 8});
        assert_eq!(complaints(Operation::EmbedContent, "e", &request), "");
        assert_eq!(complaints(Operation::BatchEmbedContents, "e", &json!({"requests": [request]})), "");
        assert!(
            complaints(Operation::BatchEmbedContents, "x", &json!({"requests": [request]})).contains("model")
        );
        assert!(complaints(Operation::BatchEmbedContents, "e", &json!({"requests": []})).contains("empty"));
    }
}
