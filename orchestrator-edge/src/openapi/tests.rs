//! The document is whole, and its examples fit its schemas.

use std::collections::BTreeSet;

use serde_json::json;

use super::{examples::Example, *};

#[test]
fn every_reference_leads_somewhere_and_every_name_is_one_operations() {
    let mut document = document();
    let mut references = Vec::new();
    collect(&document, &mut references);
    let lost: Vec<&String> = references
        .iter()
        .filter(|reference| document.pointer(reference.trim_start_matches('#')).is_none())
        .collect();
    assert_eq!(lost, Vec::<&String>::new());
    let (mut names, mut count) = (BTreeSet::new(), 0);
    let tags: BTreeSet<String> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap().to_owned())
        .collect();
    for_each_operation(&mut document, |path, method, operation| {
        count += 1;
        names.insert(operation["operationId"].as_str().unwrap().to_owned());
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{method} {path} says nothing of itself");
        assert!(tags.contains(operation["tags"][0].as_str().unwrap()), "{method} {path}");
    });
    assert_eq!((names.len(), names.contains("")), (count, false));
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str() {
                    Some(reference) if key == "$ref" => references.push(reference.to_owned()),
                    _ => collect(value, references),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

/// What of a value a schema forbids, as far as our own schemas say anything: each with its place.
fn wrong(document: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return wrong(document, document.pointer(&reference[1..]).unwrap(), value, place);
    }
    let mut found = Vec::new();
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        _ => value.is_object(),
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    if !(kinds.is_empty() || kinds.iter().any(|kind| is(kind))) {
        found.push(format!("{place}: {value} is no {kinds:?}"));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        found.push(format!("{place}: {value} is not {}", schema["const"]));
    }
    if schema["enum"].as_array().is_some_and(|all| !all.contains(value)) {
        found.push(format!("{place}: {value} is none of {}", schema["enum"]));
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        found.extend(wrong(document, part, value, place));
    }
    if let Some(parts) = schema["anyOf"].as_array() {
        let all: Vec<Vec<String>> = parts.iter().map(|part| wrong(document, part, value, place)).collect();
        if !all.iter().any(Vec::is_empty) {
            found.extend(all.into_iter().flatten());
        }
    }
    if let Some(fields) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                found.push(format!("{place}.{name} is missing"));
            }
        }
        for (name, value) in fields {
            let known = &schema["properties"][name];
            if !known.is_null() {
                found.extend(wrong(document, known, value, &format!("{place}.{name}")));
            } else if schema["additionalProperties"] == json!(false) {
                found.push(format!("{place}.{name} is unknown"));
            } else if schema["additionalProperties"].is_object() {
                found.extend(wrong(
                    document,
                    &schema["additionalProperties"],
                    value,
                    &format!("{place}.{name}"),
                ));
            }
        }
    }
    for item in value.as_array().into_iter().flatten().filter(|_| schema["items"].is_object()) {
        found.extend(wrong(document, &schema["items"], item, &format!("{place}[]")));
    }
    found
}

#[test]
fn the_examples_of_the_api_document_fit_the_schemas() {
    let document = document();
    let mut checked = 0;
    for example in examples::all() {
        let Some(path) = examples::path_of(&document, &example) else {
            assert_eq!(example.status, "404", "{} {} is in no path", example.method, example.path);
            continue;
        };
        let Example { method, sent, status, answer, .. } = example;
        let operation = &document["paths"][&path][&method];
        let place = format!("{method} {path}");
        let response = &operation["responses"][&status];
        let response = match response["$ref"].as_str() {
            Some(reference) => document.pointer(&reference[1..]).unwrap(),
            None => response,
        };
        let schema = &response["content"]["application/json"]["schema"];
        assert!(!schema.is_null(), "{place} answers {status}, which is not documented");
        assert_eq!(wrong(&document, schema, &answer, &place), Vec::<String>::new());
        if let (Some(sent), true) = (sent, status.starts_with('2')) {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            assert!(!schema.is_null(), "{place} takes no body");
            assert_eq!(wrong(&document, schema, &sent, &place), Vec::<String>::new());
        }
        checked += 1;
    }
    assert!(checked > 60, "{checked}");
}

#[test]
fn a_wrong_value_is_found() {
    let document = document();
    let provider = json!({ "$ref": "#/components/schemas/ProviderInput" });
    let found = |value: Value| wrong(&document, &provider, &value, "p");
    assert_eq!(
        found(json!({ "name": "a", "weight": 5, "timeouts": { "idle_ms": 7 } })),
        Vec::<String>::new()
    );
    assert_eq!(found(json!({ "nmae": "a" })), ["p.nmae is unknown"]);
    assert_eq!(found(json!({ "enabled": "yes" })).len(), 1);
    assert_eq!(found(json!({ "timeouts": { "idle_ms": "7" } })).len(), 2);
}
