//! What operations of one class have in common: who may call them, headers, and how they fail.

use serde_json::{Map, Value, json};

/// The headers that every request for a model may have.
const OF_REQUESTS: [&str; 6] =
    ["IdempotencyKey", "ClientTimeout", "Tags", "StrictTranslation", "ProvidersAsked", "SessionId"];
/// The headers of answers to requests for models.
const OF_ANSWERS: [(&str, &str); 8] = [
    ("x-orchestrator-provider", "Provider"),
    ("x-orchestrator-model", "Model"),
    ("x-orchestrator-attempts", "Attempts"),
    ("x-orchestrator-overhead-us", "Overhead"),
    ("x-orchestrator-dropped", "Dropped"),
    ("x-orchestrator-estimated", "Estimated"),
    ("x-orchestrator-idempotency", "Idempotency"),
    ("x-orchestrator-original-request-id", "OriginalRequestId"),
];
const KEYS: [&str; 3] = ["clientBearer", "clientKey", "clientGoogleKey"];
const ADMIN_KEYS: [&str; 2] = ["adminBearer", "adminKey"];

/// How requests for models fail, and those for what belongs to them. A provider's own statuses come on top.
const CLIENT_ERRORS: &[&str] =
    &["400", "401", "403", "404", "409", "429", "500", "502", "503", "504", "4XX", "5XX"];
const ADMIN_ERRORS: &[&str] = &["400", "401", "403", "404", "409", "500", "503"];
/// The edge's own bounds of a request's head, and of a body.
const HEAD_BOUNDS: [&str; 2] = ["414", "431"];
const BODY_BOUNDS: [&str; 2] = ["408", "413"];

/// Whose operations are alike.
struct Class {
    /// Who is let in. Empty: everybody.
    keys: &'static [&'static str],
    also_without_key: bool,
    /// The headers of requests and answers for models.
    for_models: bool,
    errors: &'static [&'static str],
    /// The response that an error is.
    envelope: &'static str,
}

fn class(name: &str) -> Class {
    let (kind, voice) = name.split_once(' ').unwrap_or((name, ""));
    let client = |envelope, keys| Class {
        keys,
        also_without_key: false,
        for_models: kind == "ask",
        errors: CLIENT_ERRORS,
        envelope,
    };
    let admin = |envelope, errors, also_without_key| Class {
        keys: &ADMIN_KEYS,
        also_without_key,
        for_models: false,
        errors,
        envelope,
    };
    match (kind, voice) {
        ("ask" | "look", "anthropic") => client("AnthropicError", &KEYS),
        ("ask" | "look", "gemini") => {
            client("GeminiError", &["clientBearer", "clientKey", "clientGoogleKey", "clientQueryKey"])
        }
        ("ask" | "look", _) => client("OpenAiError", &KEYS),
        ("llmio", _) => admin("LlmioError", ADMIN_ERRORS, false),
        ("details", _) => admin("AdminError", &["400", "401", "403", "500"], true),
        ("admin", _) => admin("AdminError", ADMIN_ERRORS, false),
        _ => Class {
            keys: &[],
            also_without_key: false,
            for_models: false,
            errors: &[],
            envelope: "EdgeError",
        },
    }
}

/// Adds what an operation's class says.
pub(super) fn complete(_: &str, _: &str, operation: &mut Map<String, Value>) {
    let name = operation.remove("x-class");
    let class = class(name.as_ref().and_then(Value::as_str).unwrap_or_default());
    let mut security: Vec<Value> = class.keys.iter().map(|key| json!({ *key: [] })).collect();
    if class.also_without_key {
        security.insert(0, json!({}));
    }
    operation.insert("security".into(), security.into());

    let mut parameters = vec![reference("parameters", "RequestId")];
    if class.for_models {
        parameters.extend(OF_REQUESTS.map(|name| reference("parameters", name)));
    }
    if let Some(own) = operation.remove("parameters").as_ref().and_then(Value::as_array) {
        parameters.extend_from_slice(own);
    }
    operation.insert("parameters".into(), parameters.into());

    let has_body = operation.contains_key("requestBody");
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for response in responses.values_mut() {
        response["headers"]["x-request-id"] = reference("headers", "XRequestId");
        if class.for_models {
            for (header, name) in OF_ANSWERS {
                response["headers"][header] = reference("headers", name);
            }
        }
    }
    let bounds = HEAD_BOUNDS.map(|status| (status, "EdgeError"));
    let body_bounds = BODY_BOUNDS.map(|status| (status, class.envelope)).into_iter().filter(|_| has_body);
    let errors = class.errors.iter().map(|status| (*status, class.envelope));
    for (status, envelope) in errors.chain(bounds).chain(body_bounds) {
        responses.entry(status).or_insert_with(|| reference("responses", envelope));
    }
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}
