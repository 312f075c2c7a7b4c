//! `/openapi.json`: every path with its methods, parameters, bodies and answers, for people, for clients that are generated, and for
//! tests that look for answers which are not in it.
//!
//! What clients and probes ask stands in `openapi/client.json` and `openapi/operations.json`, each operation with what is its own and a
//! class (`x-class`); `openapi/classes.rs` adds what all of a class have in common. Admin's part is made of the contract and of Admin's
//! table (`admin_api/describe.rs`). Examples are those of `docs/API.md`, which a test holds to the code.

mod classes;
mod examples;

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::LazyLock,
};

use axum::{
    extract::Request,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

use crate::admin_api;

const CLIENT: &str = include_str!("openapi/client.json");
const OPERATIONS: &str = include_str!("openapi/operations.json");

/// The methods that a path can have.
const METHODS: [&str; 6] = ["get", "put", "post", "delete", "patch", "head"];

/// What is served: made when it is first asked for.
struct Served {
    text: Bytes,
    tag: HeaderValue,
}

static SERVED: LazyLock<Served> = LazyLock::new(|| {
    let text = document().to_string();
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    Served {
        text: Bytes::from(text),
        tag: HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\"")),
    }
});

/// `GET /openapi.json`.
pub(crate) async fn serve(request: Request) -> Response {
    let known = request.headers().get(header::IF_NONE_MATCH);
    let headers =
        [(header::ETAG, SERVED.tag.clone()), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if known.is_some_and(|known| known == SERVED.tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (headers, json, SERVED.text.clone()).into_response()
}

/// The whole document.
fn document() -> Value {
    let mut document = part(OPERATIONS);
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    merge(&mut document, part(CLIENT));
    merge(&mut document, admin_api::describe());
    for_each_operation(&mut document, classes::complete);
    examples::add(&mut document);
    document
}

/// A part that is built in.
#[expect(clippy::expect_used, reason = "the text is part of the build, and any test of this module reads it")]
fn part(text: &str) -> Value {
    serde_json::from_str(text).expect("the parts are JSON")
}

/// Puts objects together; a list grows.
fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                match into.get_mut(&key) {
                    Some(known) => merge(known, value),
                    None => drop(into.insert(key, value)),
                }
            }
        }
        (Value::Array(into), Value::Array(more)) => into.extend(more),
        (into, more) => *into = more,
    }
}

/// Calls it with each operation, and the path and the method that it stands under.
fn for_each_operation(document: &mut Value, mut work: impl FnMut(&str, &str, &mut Map<String, Value>)) {
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for (path, item) in paths {
        let Some(item) = item.as_object_mut() else { continue };
        for method in METHODS {
            if let Some(operation) = item.get_mut(method).and_then(Value::as_object_mut) {
                work(path, method, operation);
            }
        }
    }
}

#[cfg(test)]
mod tests;
