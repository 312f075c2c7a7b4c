//! Admin as REST: a table of rows and one transcoder.
//!
//! Adding a method: a row in [`table`]. Nothing else is written per noun: names, types and nesting come from the contract's
//! descriptors (`read`: JSON and path to message; `show`: message to JSON).
//!
//! * Path and query parameters fill fields of the request by name; a PATCH's path parameters fill the resource.
//! * A body is the resource, with the contract's own field names. A PATCH's keys are its field mask; `null` clears a field.
//! * Answers are the bare resource, or the bare array with a `next-page-token` header; 201 for created, 204 for deleted.

mod describe;
mod details;
mod failure;
mod llmio;
mod logs;
mod read;
mod show;
mod table;

use std::{collections::HashMap, sync::LazyLock};

use axum::{
    Json, Router,
    extract::{Path, Request, State, rejection::PathRejection},
    response::{IntoResponse as _, Response},
    routing::{MethodFilter, get, on},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts, uri::PathAndQuery};
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, ReflectMessage as _,
    ServiceDescriptor, Value,
};
use serde_json::json;
use tonic::metadata::MetadataMap;

use self::{
    failure::AdminError,
    table::{ROWS, Row, Shape},
};
use crate::{
    Edge,
    core_client::unary,
    layers::{RequestId, trace},
    listener::PeerAddress,
};

const SERVICE: &str = "orchestrator.v1.Admin";
const EMPTY: &str = "google.protobuf.Empty";
const NEXT_PAGE_TOKEN: HeaderName = HeaderName::from_static("next-page-token");
const X_ADMIN_KEY: HeaderName = HeaderName::from_static("x-admin-key");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// For whom the edge speaks: the core's audit log names him.
const CLIENT_ADDRESS: HeaderName = HeaderName::from_static("x-orchestrator-client-address");

pub(crate) use self::{
    describe::describe,
    details::{detailed, queue as queue_status},
    llmio::routes as llmio_routes,
};

/// Names taken from the path, in its order.
type PathNames = Result<Path<Vec<(String, String)>>, PathRejection>;

/// Registers every row of the table under `prefix`.
pub(crate) fn routes(mut router: Router<Edge>, prefix: &str) -> Router<Edge> {
    for (row, rpc) in BOUND_ROWS.iter() {
        // Every method of the table has a filter.
        let Ok(filter) = MethodFilter::try_from(row.method.clone()) else { continue };
        let handler = async move |State(edge): State<Edge>, names: PathNames, request: Request| {
            let Ok(Path(names)) = names else {
                return AdminError::bad_path(request.uri().path()).into_response();
            };
            answer(&edge, row, rpc, names, request).await.unwrap_or_else(AdminError::into_response)
        };
        router = router.route(&format!("{prefix}{}", row.path), on(filter, handler));
    }
    logs::routes(router, prefix).route(&format!("{prefix}/verify"), get(verify))
}

/// A method of the service, as the transcoder needs it.
#[derive(Clone)]
struct Rpc {
    path: PathAndQuery,
    input: MessageDescriptor,
    output: MessageDescriptor,
}

/// The table, bound to the contract.
static BOUND_ROWS: LazyLock<Vec<(Row, Rpc)>> =
    LazyLock::new(|| ROWS.iter().map(|row| (row.clone(), bound(row.rpc))).collect());

/// The methods that answer with a stream, bound likewise.
static BOUND_RPCS: LazyLock<Streams> =
    LazyLock::new(|| Streams { export: bound("ExportRequestLogs"), tail: bound("TailRequestLogs") });

struct Streams {
    export: Rpc,
    tail: Rpc,
}

/// A method by its name. One that is not there is a mistake of this crate, found by any test.
#[expect(clippy::expect_used, reason = "the descriptors and the table are both part of the build")]
fn bound(name: &str) -> Rpc {
    static ADMIN: LazyLock<ServiceDescriptor> = LazyLock::new(|| {
        let pool = DescriptorPool::decode(orchestrator_proto::DESCRIPTORS)
            .expect("the contract's own descriptors decode");
        pool.get_service_by_name(SERVICE).expect("the contract has the service Admin")
    });
    bind_rpc(&ADMIN, name).expect("every row names a method of Admin")
}

fn bind_rpc(service: &ServiceDescriptor, name: &str) -> Option<Rpc> {
    let method = service.methods().find(|method| method.name() == name)?;
    let path = PathAndQuery::try_from(format!("/{SERVICE}/{name}")).ok()?;
    Some(Rpc { path, input: method.input(), output: method.output() })
}

/// `GET /verify`: whether the key is an admin key.
async fn verify(State(edge): State<Edge>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    match check_key(&edge, &head).await {
        Ok(()) => Json(json!({ "valid": true })).into_response(),
        Err(failure) => failure.into_response(),
    }
}

/// Lets whoever brings an admin key in. Errors: what the others are told.
pub(crate) async fn admit(edge: &Edge, request: Request) -> Result<(), Response> {
    let (head, _) = request.into_parts();
    check_key(edge, &head).await.map_err(AdminError::into_response)
}

/// Asks for what Admin answers exactly when the key is good, and without its database.
async fn check_key(edge: &Edge, head: &Parts) -> Result<(), AdminError> {
    let rpc = rpc_named("GetSession")?;
    let message = DynamicMessage::new(rpc.input.clone());
    call(edge, rpc, metadata(head)?, &message).await?;
    Ok(())
}

fn rpc_named(name: &str) -> Result<&'static Rpc, AdminError> {
    row_named(name).map(|(_, rpc)| rpc)
}

/// The first row of a method.
fn row_named(name: &str) -> Result<&'static (Row, Rpc), AdminError> {
    BOUND_ROWS.iter().find(|(row, _)| row.rpc == name).ok_or_else(AdminError::internal)
}

/// One request of a row: its message, the call, its answer.
async fn answer(
    edge: &Edge,
    row: &Row,
    rpc: &Rpc,
    names: Vec<(String, String)>,
    request: Request,
) -> Result<Response, AdminError> {
    let (head, body) = request.into_parts();
    let metadata = metadata(&head)?;
    // The core may answer it without a key; under Admin's paths nobody goes without.
    if row.rpc == details::STATUS && !metadata.contains_key(header::AUTHORIZATION.as_str()) {
        return Err(AdminError::no_key());
    }
    let message = match row.shape {
        Shape::List | Shape::Find => list_message(rpc, &names, &head)?,
        Shape::Get | Shape::Delete => name_message(rpc, &names)?,
        Shape::Create | Shape::Update => {
            let body = edge.bodies.read(&head.headers, body).await?;
            write_message(row, rpc, &names, &body.bytes)?
        }
        Shape::Do | Shape::Document => {
            let body = edge.bodies.read(&head.headers, body).await?;
            do_message(rpc, &names, &body.bytes)?
        }
    };
    if let Some(inside) = row.inside {
        check_inside(edge, inside, &names, metadata.clone()).await?;
    }
    let answer = call(edge, rpc, metadata, &message).await?;
    render(row.shape, &answer)
}

/// Sends a message and decodes what comes back.
async fn call(
    edge: &Edge,
    rpc: &Rpc,
    metadata: MetadataMap,
    message: &DynamicMessage,
) -> Result<DynamicMessage, AdminError> {
    let encoded = Bytes::from(message.encode_to_vec());
    let answer = unary(&edge.core, rpc.path.clone(), metadata, encoded).await?;
    DynamicMessage::decode(rpc.output.clone(), answer).map_err(|_| AdminError::internal())
}

/// The admin key, from either header, where the core looks for it; the request's id, and whom it comes from.
fn metadata(head: &Parts) -> Result<MetadataMap, AdminError> {
    let headers = &head.headers;
    let mut key = headers.get(header::AUTHORIZATION).cloned();
    if let Some(admin_key) = headers.get(X_ADMIN_KEY) {
        let bearer = HeaderValue::from_bytes(&[b"Bearer ", admin_key.as_bytes()].concat());
        let mut bearer = bearer.map_err(|_| AdminError::internal())?;
        bearer.set_sensitive(true);
        if key.is_some_and(|key| key != bearer) {
            return Err(AdminError::two_keys());
        }
        key = Some(bearer);
    }
    let mut metadata = HeaderMap::new();
    if let Some(key) = key {
        metadata.insert(header::AUTHORIZATION, key);
    }
    let id = head.extensions.get::<RequestId>().map(RequestId::to_string);
    let peer = head.extensions.get::<PeerAddress>().map(|peer| peer.0.ip().to_string());
    for (name, value) in [(X_REQUEST_ID, id), (CLIENT_ADDRESS, peer)] {
        // Both are visible ASCII.
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            metadata.insert(name, value);
        }
    }
    trace::present(head, &mut metadata);
    Ok(MetadataMap::from_headers(metadata))
}

/// A list's request: the query's parameters, then the path's.
fn list_message(rpc: &Rpc, names: &[(String, String)], head: &Parts) -> Result<DynamicMessage, AdminError> {
    let mut message = DynamicMessage::new(rpc.input.clone());
    let query = head.uri.query().unwrap_or_default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        read::fill_query(&mut message, &name, &value)?;
    }
    fill_names(&mut message, names)?;
    Ok(message)
}

/// The request that only names something. What the path has and the request has not is checked by [`check_inside`].
fn name_message(rpc: &Rpc, names: &[(String, String)]) -> Result<DynamicMessage, AdminError> {
    let mut message = DynamicMessage::new(rpc.input.clone());
    let known = names.iter().filter(|(name, _)| rpc.input.get_field_by_name(name).is_some());
    fill_names(&mut message, &known.cloned().collect::<Vec<_>>())?;
    Ok(message)
}

/// The request that says what to do. What has nothing more to say needs no body.
fn do_message(rpc: &Rpc, names: &[(String, String)], body: &[u8]) -> Result<DynamicMessage, AdminError> {
    let mut message = DynamicMessage::new(rpc.input.clone());
    if !body.trim_ascii().is_empty() {
        read::fill(&mut message, &json_body(body)?)?;
    }
    fill_names(&mut message, names)?;
    Ok(message)
}

fn json_body(body: &[u8]) -> Result<serde_json::Value, AdminError> {
    serde_json::from_slice(body)
        .map_err(|error| AdminError::invalid(format!("The body is not JSON: {error}.")))
}

fn fill_names(message: &mut DynamicMessage, names: &[(String, String)]) -> Result<(), AdminError> {
    for (name, value) in names {
        read::fill(message, &json!({ name: value }))?;
    }
    Ok(())
}

/// The request that carries a resource, and for an update its mask.
fn write_message(
    row: &Row,
    rpc: &Rpc,
    names: &[(String, String)],
    body: &[u8],
) -> Result<DynamicMessage, AdminError> {
    let body = json_body(body)?;
    let keys = read::object(&body)?;
    if let Some(only) = row.only
        && (keys.len() != 1 || keys.get(only).is_none_or(serde_json::Value::is_null))
    {
        return Err(AdminError::invalid_field(
            only,
            format!("The body must have the field `{only}` and no other."),
        ));
    }
    for (name, value) in names {
        if keys.get(name).is_some_and(|given| given != value.as_str()) {
            return Err(AdminError::invalid_field(
                name,
                format!("The field `{name}` differs from the path's."),
            ));
        }
    }

    let mut message = DynamicMessage::new(rpc.input.clone());
    let resource_field = resource_field(&rpc.input).ok_or_else(AdminError::internal)?;
    let Some(resource) = message.get_field_mut(&resource_field).as_message_mut() else {
        return Err(AdminError::internal());
    };
    read::fill(resource, &body)?;
    fill_names(resource, names)?;
    if row.shape == Shape::Update {
        let is_changed = |key: &&String| !names.iter().any(|(name, _)| name == *key);
        set_mask(&mut message, keys.keys().filter(is_changed).cloned())?;
    }
    Ok(message)
}

/// The field that holds the resource: the request's only message besides its mask.
fn resource_field(input: &MessageDescriptor) -> Option<FieldDescriptor> {
    input.fields().find(|field| field.kind().as_message().is_some_and(|inner| !read::is_well_known(inner)))
}

fn set_mask(message: &mut DynamicMessage, keys: impl Iterator<Item = String>) -> Result<(), AdminError> {
    let Some(mask) = message.descriptor().get_field_by_name("update_mask") else {
        return Err(AdminError::internal());
    };
    let Some(mask) = message.get_field_mut(&mask).as_message_mut() else {
        return Err(AdminError::internal());
    };
    mask.set_field_by_name("paths", Value::List(keys.map(Value::String).collect()));
    Ok(())
}

/// A resource that the path puts inside another must lie there.
async fn check_inside(
    edge: &Edge,
    (shown_by, outer): (&str, &str),
    names: &[(String, String)],
    metadata: MetadataMap,
) -> Result<(), AdminError> {
    let rpc = rpc_named(shown_by)?;
    let inner = call(edge, rpc, metadata, &name_message(rpc, names)?).await?;
    let lies_in = inner.get_field_by_name(outer).and_then(|value| value.as_str().map(str::to_owned));
    let asked: HashMap<&str, &str> =
        names.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    if lies_in.as_deref() == asked.get(outer).copied() {
        return Ok(());
    }
    let id = asked.get("id").copied().unwrap_or_default();
    Err(AdminError::not_found(format!("There is no `{id}` at this path.")))
}

fn render(shape: Shape, answer: &DynamicMessage) -> Result<Response, AdminError> {
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    match shape {
        Shape::Do if answer.descriptor().full_name() == EMPTY => Ok(StatusCode::NO_CONTENT.into_response()),
        Shape::Get | Shape::Find | Shape::Update => Ok((json, show::message(answer, false)).into_response()),
        // What is done may make a secret, which is shown once.
        Shape::Do => Ok((json, show::message(answer, true)).into_response()),
        Shape::Create => Ok((StatusCode::CREATED, json, show::message(answer, true)).into_response()),
        Shape::Delete => Ok(StatusCode::NO_CONTENT.into_response()),
        Shape::Document => {
            let document = answer.fields().next().and_then(|(_, value)| value.as_str().map(str::to_owned));
            Ok((json, document.ok_or_else(AdminError::internal)?).into_response())
        }
        Shape::List => {
            let list = answer
                .descriptor()
                .fields()
                .find(FieldDescriptor::is_list)
                .ok_or_else(AdminError::internal)?;
            let items = answer.get_field(&list);
            let mut response = (json, show::list(items.as_list().unwrap_or_default())).into_response();
            if let Some(token) = answer.get_field_by_name("next_page_token")
                && let Some(token) = token.as_str().filter(|token| !token.is_empty())
                && let Ok(token) = HeaderValue::from_str(token)
            {
                response.headers_mut().insert(NEXT_PAGE_TOKEN, token);
            }
            Ok(response)
        }
    }
}
