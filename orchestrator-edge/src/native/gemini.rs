//! Gemini's paths: `/v1beta/models/{model}:{verb}`. The verb follows the last colon, for names may hold colons and slashes; clients
//! that leave `models/` out before a name with a slash are understood too.

use axum::{
    extract::{Path, Request, State, rejection::PathRejection},
    response::{IntoResponse as _, Response},
};

use super::{Place, Target, invoke_at};
use crate::{Edge, error::EdgeError};

const CONTENT: &str = "gemini";
const LIST: Target = Target { dialect: CONTENT, operation: "models.list" };
const GET: Target = Target { dialect: CONTENT, operation: "models.get" };

/// Answers `POST …/{model}:{verb}`.
pub(crate) async fn invoke_verb(
    State(edge): State<Edge>,
    rest: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let path = request.uri().path();
    let Ok(Path(rest)) = rest else { return EdgeError::bad_path(path).into_response() };
    let unknown = || EdgeError::unknown_path(request.method(), path).into_response();
    let Some((model, verb)) = rest.rsplit_once(':') else { return unknown() };
    let model = model.strip_prefix("models/").unwrap_or(model);
    let dialect = match verb {
        "generateContent" | "streamGenerateContent" => CONTENT,
        "countTokens" => "gemini_count",
        "embedContent" => "gemini_embed_content",
        "batchEmbedContents" => "gemini_embeddings",
        _ => return unknown(),
    };
    if path.contains("//") || model.is_empty() {
        return unknown();
    }
    let query = request.uri().query().unwrap_or_default();
    let as_events = query.split('&').any(|pair| pair.ends_with("alt=sse"));
    let place = Place {
        path_args: vec![("model", model.to_owned()), ("verb", verb.to_owned())],
        key_in_query: true,
        in_array: verb == "streamGenerateContent" && !as_events,
    };
    let target = Target { dialect, operation: "" };
    invoke_at(edge, target, place, request).await.unwrap_or_else(EdgeError::into_response)
}

/// Answers `GET …/models`.
pub(crate) async fn list_models(edge: Edge, request: Request) -> Response {
    let place = Place { key_in_query: true, ..Place::default() };
    invoke_at(edge, LIST, place, request).await.unwrap_or_else(EdgeError::into_response)
}

/// Answers `GET …/models/{model}`.
pub(crate) async fn get_model(
    State(edge): State<Edge>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let path = request.uri().path();
    let Ok(Path(id)) = id else { return EdgeError::bad_path(path).into_response() };
    if path.contains("//") || path.ends_with('/') {
        return EdgeError::unknown_path(request.method(), path).into_response();
    }
    let place = Place { path_args: vec![("id", id)], key_in_query: true, in_array: false };
    invoke_at(edge, GET, place, request).await.unwrap_or_else(EdgeError::into_response)
}
