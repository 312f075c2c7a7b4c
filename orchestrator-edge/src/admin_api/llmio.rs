//! The health API that users of LLMIO know: its paths and its envelope, over the same methods of Admin.
//!
//! `{"code":200,"data":…}`, and for errors `{"code":404,"message":…}`; the HTTP status is the code.

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, get, post},
};
use http::{HeaderValue, StatusCode, header, request::Parts};
use prost_reflect::{DynamicMessage, Value};
use serde_json::json;

use super::{
    PathNames, call, failure::AdminError, metadata, name_message, row_named, show, table::Shape,
    write_message,
};
use crate::Edge;

/// All providers are answered at once, up to this many pages of [`PAGE`].
const MOST_PAGES: usize = 100;
const PAGE: u32 = 1000;

/// Registers the paths.
pub(crate) fn routes(router: Router<Edge>) -> Router<Edge> {
    let to = |rpc: &'static str| {
        move |State(edge): State<Edge>, names: PathNames, request: Request| one(edge, rpc, names, request)
    };
    let config: MethodRouter<Edge> = get(to("GetHealthCheckConfig")).put(to("UpdateHealthCheckConfig"));
    router
        .route("/api/providers/health", get(all))
        .route("/api/providers/health/{id}", get(to("GetProviderHealth")))
        .route("/api/health-check/force/{id}", post(to("CheckProvider")))
        .route("/api/health-check/config", config)
}

async fn one(edge: Edge, rpc: &'static str, names: PathNames, request: Request) -> Response {
    wrapped(resource(&edge, rpc, names, request).await)
}

async fn resource(
    edge: &Edge,
    name: &'static str,
    names: PathNames,
    request: Request,
) -> Result<String, AdminError> {
    let Ok(Path(names)) = names else { return Err(AdminError::bad_path(request.uri().path())) };
    let (row, rpc) = row_named(name)?;
    let (head, body) = request.into_parts();
    let metadata = metadata(&head)?;
    let message = if row.shape == Shape::Update {
        let body = edge.bodies.read(&head.headers, body).await?;
        write_message(row, rpc, &names, &body.bytes)?
    } else {
        name_message(rpc, &names)?
    };
    Ok(show::message(&call(edge, rpc, metadata, &message).await?, false))
}

async fn all(State(edge): State<Edge>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    wrapped(every_provider(&edge, &head).await)
}

async fn every_provider(edge: &Edge, head: &Parts) -> Result<String, AdminError> {
    let (_, rpc) = row_named("ListProviderHealth")?;
    let metadata = metadata(head)?;
    let (mut providers, mut token) = (Vec::new(), String::new());
    for _ in 0..MOST_PAGES {
        let mut message = DynamicMessage::new(rpc.input.clone());
        message.set_field_by_name("page_size", Value::U32(PAGE));
        message.set_field_by_name("page_token", Value::String(token));
        let page = call(edge, rpc, metadata.clone(), &message).await?;
        let items = page.get_field_by_name("provider_health").ok_or_else(AdminError::internal)?;
        providers.extend_from_slice(items.as_list().unwrap_or_default());
        token = text(&page, "next_page_token");
        if token.is_empty() {
            break;
        }
    }
    Ok(show::list(&providers))
}

fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn wrapped(answer: Result<String, AdminError>) -> Response {
    match answer {
        Ok(data) => {
            let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
            (StatusCode::OK, json, format!(r#"{{"code":200,"data":{data}}}"#)).into_response()
        }
        Err(error) => {
            let body = json!({ "code": error.status.as_u16(), "message": error.message });
            (error.status, Json(body)).into_response()
        }
    }
}
