//! Admin's part of `/openapi.json`, made of its table and of the contract, whose comments are the descriptions.

mod comments;
mod schema;

use std::collections::BTreeSet;

use prost_reflect::{FieldDescriptor, MessageDescriptor};
use serde_json::{Map, Value, json};

use self::{comments::Comments, schema::Schemas};
use super::{
    BOUND_ROWS, BOUND_RPCS, EMPTY, Rpc, read, resource_field,
    table::{Row, Shape},
};

/// What a resource cannot be made without.
#[rustfmt::skip]
const REQUIRED: &[(&str, &[&str])] = &[
    ("Provider",      &["name", "kind"]),
    ("ProviderKey",   &["secret"]),
    ("Model",         &["name"]),
    ("ModelProvider", &["model_id", "provider_id"]),
    ("ApiKey",        &["name"]),
    ("Team",          &["name"]),
    ("AdminKey",      &["name", "role"]),
    ("Price",         &["kind", "upstream_model"]),
];

/// Paths, schemas and tags.
pub(crate) fn describe() -> Value {
    let comments = Comments::of_contract();
    let mut schemas = Schemas::new(&comments);
    let (mut paths, mut names, mut tags) = (Map::new(), BTreeSet::new(), Vec::new());
    for (row, rpc) in BOUND_ROWS.iter() {
        let tag = format!("Admin: {}", row.path.split('/').nth(1).unwrap_or_default());
        let mut operation = operation(row, rpc, &comments, &mut schemas);
        operation["operationId"] = unique(row, &mut names).into();
        operation["tags"] = json!([tag]);
        if row.shape == Shape::Create {
            operation["responses"]["201"]["links"] = links(row, rpc);
        }
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        insert(&mut paths, row.path, row.method.as_str(), operation);
    }
    for (path, operation) in by_hand(&comments, &mut schemas) {
        insert(&mut paths, path, "get", operation);
    }
    // The health API of LLMIO has these shapes in its envelope.
    let tags: Vec<Value> = tags.into_iter().map(|name| json!({ "name": name })).collect();
    json!({ "paths": paths, "components": { "schemas": schemas.finish() }, "tags": tags })
}

fn insert(paths: &mut Map<String, Value>, path: &str, method: &str, operation: Value) {
    let servers = json!([{ "url": "/" }, { "url": "/api" }]);
    let item = paths.entry(format!("/admin{path}")).or_insert_with(|| json!({ "servers": servers }));
    item[method.to_ascii_lowercase()] = operation;
}

/// The method's name; further rows of a method say what else they are.
fn unique(row: &Row, names: &mut BTreeSet<String>) -> String {
    let last = row.path.rsplit('/').next().unwrap_or_default().trim_matches(['{', '}']);
    let (method, place) = (capital(&row.method.as_str().to_ascii_lowercase()), capital(last));
    let first = if row.only.is_some() { format!("{}{place}", row.rpc) } else { row.rpc.to_owned() };
    let candidates = [first, format!("{}{method}", row.rpc), format!("{}{place}{method}", row.rpc)];
    candidates.into_iter().find(|name| names.insert(name.clone())).unwrap_or_default()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// The names in braces.
fn names_in(path: &str) -> Vec<&str> {
    path.split('{').skip(1).filter_map(|part| part.split('}').next()).collect()
}

fn operation(row: &Row, rpc: &Rpc, comments: &Comments, schemas: &mut Schemas<'_>) -> Value {
    let in_path = names_in(row.path);
    let mut parameters: Vec<Value> = in_path.iter().map(|name| path_parameter(name, rpc, comments)).collect();
    if matches!(row.shape, Shape::List | Shape::Find) {
        parameters.extend(query_parameters(&rpc.input, &in_path, schemas));
    }
    let mut operation = json!({
        "x-class": "admin",
        "summary": comments.of_method(rpc.path.path()),
        "parameters": parameters,
        "responses": responses(row, rpc, schemas),
    });
    if let Some(body) = request_body(row, rpc, &in_path, schemas) {
        operation["requestBody"] = body;
    }
    operation
}

fn path_parameter(name: &str, rpc: &Rpc, comments: &Comments) -> Value {
    let resource = || resource_field(&rpc.input)?.kind().as_message()?.get_field_by_name(name);
    let field = rpc.input.get_field_by_name(name).or_else(resource);
    let description = field.map_or_else(|| "Its provider's id.".into(), |field| comments.of_field(&field));
    let schema = json!({ "type": "string", "minLength": 1 });
    json!({ "name": name, "in": "path", "required": true, "description": description, "schema": schema })
}

/// The fields of a request that its path does not name, and those of its filter.
fn query_parameters(input: &MessageDescriptor, in_path: &[&str], schemas: &mut Schemas<'_>) -> Vec<Value> {
    let mut parameters = Vec::new();
    for field in input.fields().filter(|field| !in_path.contains(&field.name())) {
        match field.kind().as_message() {
            Some(filter) if !read::is_well_known(filter) => {
                parameters.extend(query_parameters(filter, in_path, schemas));
            }
            _ => parameters.push(json!({
                "name": field.name(),
                "in": "query",
                "description": schemas.comments.of_field(&field),
                "schema": schemas.plain(&field),
            })),
        }
    }
    parameters
}

fn request_body(row: &Row, rpc: &Rpc, in_path: &[&str], schemas: &mut Schemas<'_>) -> Option<Value> {
    let (schema, required) = match row.shape {
        Shape::Create | Shape::Update => {
            let field = resource_field(&rpc.input)?;
            let resource = field.kind().as_message()?.clone();
            let input = schemas.input(&resource);
            (resource_schema(row, &resource, in_path, input), true)
        }
        Shape::Do | Shape::Document if row.method != http::Method::GET => {
            let fields: Vec<FieldDescriptor> =
                rpc.input.fields().filter(|field| !in_path.contains(&field.name())).collect();
            if fields.is_empty() {
                return None;
            }
            (schemas.object_of(&fields), false)
        }
        _ => return None,
    };
    Some(json!({ "required": required, "content": { "application/json": { "schema": schema } } }))
}

fn resource_schema(row: &Row, resource: &MessageDescriptor, in_path: &[&str], input: Value) -> Value {
    if let Some(only) = row.only {
        let value = json!({ "type": "boolean" });
        return json!({ "type": "object", "required": [only], "properties": { only: value }, "additionalProperties": false });
    }
    let required = REQUIRED.iter().find(|(name, _)| *name == resource.name()).map(|(_, fields)| *fields);
    match required.filter(|_| row.shape == Shape::Create) {
        Some(fields) => {
            let fields: Vec<&str> = fields.iter().copied().filter(|field| !in_path.contains(field)).collect();
            json!({ "allOf": [input, { "required": fields }] })
        }
        None => input,
    }
}

fn responses(row: &Row, rpc: &Rpc, schemas: &mut Schemas<'_>) -> Value {
    let is_empty = rpc.output.full_name() == EMPTY;
    let (status, schema) = match row.shape {
        Shape::Delete => return done("204"),
        Shape::Do if is_empty => return done("204"),
        Shape::Document => ("200", json!({ "type": "object" })),
        Shape::Create => ("201", schemas.output(&rpc.output)),
        Shape::List => ("200", list(rpc, schemas)),
        Shape::Get | Shape::Find | Shape::Update | Shape::Do => ("200", schemas.output(&rpc.output)),
    };
    let mut response =
        json!({ "description": "Done.", "content": { "application/json": { "schema": schema } } });
    if row.shape == Shape::List && rpc.output.get_field_by_name("next_page_token").is_some() {
        response["headers"] = json!({ "next-page-token": { "$ref": "#/components/headers/NextPageToken" } });
    }
    json!({ status: response })
}

fn done(status: &str) -> Value {
    json!({ status: { "description": "Done." } })
}

fn list(rpc: &Rpc, schemas: &mut Schemas<'_>) -> Value {
    let items = rpc.output.fields().find(FieldDescriptor::is_list);
    let items = items.and_then(|field| field.kind().as_message().cloned());
    json!({ "type": "array", "items": items.map(|message| schemas.output(&message)) })
}

/// What a created resource's id opens.
fn links(made: &Row, rpc: &Rpc) -> Value {
    let mut links = Map::new();
    let (mut names, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for (row, _) in BOUND_ROWS.iter() {
        let operation = unique(row, &mut names);
        let in_path = names_in(row.path);
        let below = row.path.strip_prefix(made.path).is_some_and(|rest| rest.starts_with("/{"));
        let has = |name: &str| rpc.output.get_field_by_name(name).is_some();
        if !below || !(in_path.len() == 1 || in_path.iter().all(|name| has(name))) {
            continue;
        }
        let place = |name: &str| if has(name) { name.to_owned() } else { "id".to_owned() };
        let parameters: Map<String, Value> = in_path
            .iter()
            .map(|name| (format!("path.{name}"), format!("$response.body#/{}", place(name)).into()))
            .collect();
        if seen.insert(operation.clone()) {
            links.insert(operation.clone(), json!({ "operationId": operation, "parameters": parameters }));
        }
    }
    links.into()
}

/// The paths that are no rows.
fn by_hand(comments: &Comments, schemas: &mut Schemas<'_>) -> [(&'static str, Value); 3] {
    let mut stream = |rpc: &Rpc, id: &str, types: &[&str]| {
        let content: Map<String, Value> = types
            .iter()
            .map(|kind| ((*kind).to_owned(), json!({ "schema": { "type": "string" } })))
            .collect();
        json!({
            "x-class": "admin",
            "operationId": id,
            "tags": ["Admin: logs"],
            "summary": comments.of_method(rpc.path.path()),
            "parameters": query_parameters(&rpc.input, &[], schemas),
            "responses": { "200": { "description": "Done.", "content": content } },
        })
    };
    let valid =
        json!({ "type": "object", "required": ["valid"], "properties": { "valid": { "const": true } } });
    let verify = json!({
        "x-class": "admin",
        "operationId": "Verify",
        "tags": ["Admin: session"],
        "summary": "Whether the key is good.",
        "responses": { "200": { "description": "It is.", "content": { "application/json": { "schema": valid } } } },
    });
    [
        (
            "/logs/export",
            stream(&BOUND_RPCS.export, "ExportRequestLogs", &["text/csv", "application/x-ndjson"]),
        ),
        ("/logs/tail", stream(&BOUND_RPCS.tail, "TailRequestLogs", &["text/event-stream"])),
        ("/verify", verify),
    ]
}
