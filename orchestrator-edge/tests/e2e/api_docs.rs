//! Holds the examples of `docs/API.md` to the code. Each ` ```json send=METHOD PATH ` block is sent, and the answer must have the
//! status, the keys and the types of the ` ```json answer=STATUS ` block after it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use crate::gateway::{CHANNELS, Gateway};

const DOCUMENT: &str = include_str!("../../../docs/API.md");

/// A call of the document, and what it says comes back.
struct Example {
    method: String,
    path: String,
    has_key: bool,
    body: String,
    status: u16,
    answer: Value,
}

/// The examples in their order. Every JSON block must belong to one.
fn examples() -> Vec<Example> {
    let mut blocks = DOCUMENT.split("```json ").skip(1).map(|block| {
        let (head, body) = block.split_once('\n').unwrap();
        (head, body.split_once("```").unwrap().0.trim())
    });
    let mut examples = Vec::new();
    while let Some((head, body)) = blocks.next() {
        let call: Vec<&str> =
            head.strip_prefix("send=").unwrap_or_else(|| panic!("{head}: no send=")).split(' ').collect();
        let (head, answer) = blocks.next().unwrap();
        let status = head.strip_prefix("answer=").unwrap_or_else(|| panic!("{head}: no answer="));
        examples.push(Example {
            method: call[0].to_owned(),
            path: call[1].to_owned(),
            has_key: call.get(2) != Some(&"no-key"),
            body: body.to_owned(),
            status: status.parse().unwrap(),
            answer: serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}")),
        });
    }
    assert_eq!(DOCUMENT.matches("```json").count(), examples.len() * 2, "a JSON block without a mark");
    examples
}

/// The name by which later calls know what a POST to this path has made.
fn variable(path: &str) -> &'static str {
    match path {
        "/admin/providers" => "$PROVIDER_ID",
        "/admin/models" => "$MODEL_ID",
        "/admin/model-providers" => "$ASSOCIATION_ID",
        "/admin/keys" => "$KEY_ID",
        "/admin/teams" => "$TEAM_ID",
        "/admin/admin-keys" => "$ADMIN_KEY_ID",
        _ => "$PROVIDER_KEY_ID",
    }
}

/// Keys and types, without values. Of a list the first element speaks for all.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => "bool".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        Value::Array(elements) => elements.iter().take(1).map(shape).collect(),
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
    }
}

#[tokio::test]
async fn the_examples_of_the_api_document_are_what_a_gateway_answers() {
    for channel in CHANNELS {
        let gateway = Gateway::start(channel).await;
        let mut ids: BTreeMap<&str, String> = BTreeMap::new();
        for example in examples() {
            let filled =
                |text: &str| ids.iter().fold(text.to_owned(), |text, (name, id)| text.replace(name, id));
            let for_admins =
                ["/admin", "/api/providers/health", "/api/health-check", "/health/detailed", "/health/queue"];
            let for_admins = for_admins.iter().any(|prefix| example.path.starts_with(prefix));
            let client = if for_admins { &gateway.admin } else { &gateway.client };
            let client = if example.has_key { client.clone() } else { client.with_key(None) };
            let (path, body) = (filled(&example.path), Bytes::from(filled(&example.body)));
            let method = example.method.parse().unwrap();
            if path.starts_with("/admin/logs") {
                // What was asked is stored a moment after it was answered.
                gateway.logs(1).await;
            }
            let answer = client.send(method, &path, &[], body).await;

            let call = format!("{} {} {}", example.method, example.path, example.body);
            assert_eq!(answer.status, example.status, "{call}: {}", answer.text());
            assert_eq!(shape(&answer.json()), shape(&example.answer), "{call}: {}", answer.text());
            // A price alone has no id.
            if answer.status == 201
                && let Some(id) = answer.json()["id"].as_str()
            {
                ids.insert(variable(&example.path), id.to_owned());
            }
        }
        gateway.stop().await;
    }
}
