//! `/openapi.json` and the router say the same: what is served is in the document, and what is in the document is served.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use crate::{
    client::Client,
    gateway::{Channel, Gateway},
    keys::isolation,
};

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// Every operation with every prefix that it stands under: method, and path as a template.
fn documented(document: &Value) -> Vec<(Method, String)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for server in item["servers"].as_array().unwrap() {
            let prefix = server["url"].as_str().unwrap().trim_end_matches('/');
            for method in METHODS.iter().chain([&Method::HEAD]) {
                if item.get(method.as_str().to_ascii_lowercase()).is_some() {
                    found.push((method.clone(), format!("{prefix}{path}")));
                }
            }
        }
    }
    found
}

/// Whether a template has this instance. A name in braces stands for some characters; only names of models and files may hold slashes.
fn matches(template: &str, path: &str) -> bool {
    let Some((literal, rest)) = template.split_once('{') else { return template == path };
    let Some(path) = path.strip_prefix(literal) else { return false };
    let (name, rest) = rest.split_once('}').unwrap();
    let most = path.find('/').filter(|_| !["model", "file"].contains(&name)).unwrap_or(path.len());
    (1..=most).any(|end| matches(rest, &path[end..]))
}

fn is_documented(documented: &[(Method, String)], method: &Method, path: &str) -> bool {
    documented.iter().any(|(known, template)| known == method && matches(template, path))
}

/// Whether a method is served at a path. Who has no key learns that much.
async fn is_served(client: &Client, method: &Method, path: &str) -> bool {
    let answer =
        client.send(method.clone(), path, &[("content-type", "application/json")], Bytes::new()).await;
    answer.status != 405 && !answer.text().contains("There is nothing at")
}

/// An instance of a template.
fn instance(template: &str) -> String {
    let mut pieces = template.split('{');
    let mut path = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once('}').unwrap();
        path.push_str(match name {
            "verb" => "generateContent",
            "file" => "js/app.js",
            _ => "x",
        });
        path.push_str(rest);
    }
    path
}

#[tokio::test]
async fn what_is_served_is_documented_and_what_is_documented_is_served() {
    let gateway = Gateway::start(Channel::Embedded).await;
    let nobody = gateway.client.with_key(None);
    let documented = documented(&nobody.get("/openapi.json").await.json());

    let mut missed = BTreeSet::new();
    // What the sources register: a test of theirs misses a route that is not among these.
    for route in isolation::routes() {
        for path in route.paths() {
            let path = path.split('?').next().unwrap();
            if !is_documented(&documented, &route.method, path)
                && is_served(&nobody, &route.method, path).await
            {
                missed.insert(format!("{} {path} is served, and not documented", route.method));
            }
        }
    }
    for (method, template) in &documented {
        let path = instance(template);
        if !is_served(&nobody, method, &path).await {
            missed.insert(format!("{method} {template} is documented, and not served"));
        }
        for other in &METHODS {
            if !is_documented(&documented, other, &path) && is_served(&nobody, other, &path).await {
                missed.insert(format!("{other} {template} is served, and not documented"));
            }
        }
    }
    assert_eq!(missed, BTreeSet::new());
    gateway.stop().await;
}

#[tokio::test]
async fn the_document_is_told_once_and_its_page_needs_nobody_else() {
    let gateway = Gateway::start(Channel::Embedded).await;
    let nobody = gateway.client.with_key(None);
    let first = nobody.get("/openapi.json").await;
    assert_eq!((first.status, first.header("content-type")), (200, "application/json"));
    let known = [("if-none-match", first.header("etag"))];
    let again = nobody.send(Method::GET, "/openapi.json", &known, Bytes::new()).await;
    assert_eq!((again.status, again.body.len()), (304, 0));

    let page = nobody.get("/docs").await;
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe") && !page.text().contains("://"), "nothing from elsewhere");
    for (file, content_type) in [("docs/app.js", "text/javascript"), ("docs/style.css", "text/css")] {
        assert!(page.text().contains(&format!("\"{file}\"")), "{file}");
        let answer = nobody.get(&format!("/{file}")).await;
        assert!(answer.status == 200 && answer.header("content-type").starts_with(content_type), "{file}");
        let text = answer.text();
        assert!(!text.contains("://") && !text.contains("innerHTML") && !text.contains("@import"), "{file}");
    }
    gateway.stop().await;
}
