//! Every path, on one screen.
//!
//! A path is served as it is written here and in no other spelling: no double slashes, no other case, no trailing slash.

use axum::{
    Router,
    extract::{Path, Request, State, rejection::PathRejection},
    response::{IntoResponse as _, Response},
    routing::{get, head, post},
};
use http::{HeaderValue, StatusCode, header};

use crate::{
    Edge, admin_api, docs,
    error::{EVENT_LOGGING, EdgeError, Voice},
    metrics,
    native::{Target, gemini, invoke, invoke_named},
    openapi, ops,
};

const CHAT: Target = Target { dialect: "openai_chat", operation: "" };
const COMPLETIONS: Target = Target { dialect: "openai_completions", operation: "" };
const EMBEDDINGS: Target = Target { dialect: "openai_embeddings", operation: "" };
const RESPONSES: Target = Target { dialect: "openai_responses", operation: "" };
const GET_RESPONSE: Target = Target { dialect: "openai_responses", operation: "responses.get" };
const DELETE_RESPONSE: Target = Target { dialect: "openai_responses", operation: "responses.delete" };
const CANCEL_RESPONSE: Target = Target { dialect: "openai_responses", operation: "responses.cancel" };
const INPUT_ITEMS: Target = Target { dialect: "openai_responses", operation: "responses.input_items" };
const COUNT_RESPONSES: Target = Target { dialect: "openai_responses_count", operation: "" };
const COUNT_MESSAGES: Target = Target { dialect: "anthropic_count", operation: "" };
const MESSAGES: Target = Target { dialect: "anthropic", operation: "" };
const ANTHROPIC_MODELS: Target = Target { dialect: "anthropic", operation: "models.list" };
const ANTHROPIC_MODEL: Target = Target { dialect: "anthropic", operation: "models.get" };
const LIST_MODELS: Target = Target { dialect: "openai_chat", operation: "models.list" };
const GET_MODEL: Target = Target { dialect: "openai_chat", operation: "models.get" };

/// Which paths a listener has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surface {
    /// All of them.
    Whole,
    /// Those that are not for operators, who have a listener of their own.
    Callers,
    /// Those for operators, and health with its numbers, which every listener has.
    Operators,
}

/// The routes of a listener.
pub(crate) fn routes(edge: Edge, surface: Surface) -> Router {
    let mut router = Router::new().route("/", head(async || StatusCode::OK));
    if surface != Surface::Operators {
        router = callers(router);
    }
    for prefix in ["", "/api/v1"] {
        router = operations(router, prefix);
    }
    if surface != Surface::Callers {
        router = operators(router);
    }
    router
        .fallback(async |request: Request| {
            EdgeError::unknown_path(request.method(), request.uri().path()).into_response()
        })
        .method_not_allowed_fallback(async |request: Request| {
            EdgeError::method_not_allowed(request.method(), request.uri().path()).into_response()
        })
        .with_state(edge)
}

/// What models' callers use.
fn callers(mut router: Router<Edge>) -> Router<Edge> {
    for prefix in ["/v1", "/openai/v1", "/api/v1"] {
        router = client_api(router, prefix);
    }
    for prefix in ["/v1", "/anthropic/v1", "/claude/v1"] {
        router = anthropic_api(router, prefix);
    }
    for prefix in ["/anthropic/v1", "/claude/v1"] {
        router = anthropic_models(router, prefix);
    }
    router = router.route(EVENT_LOGGING, post(drop_events));
    for prefix in ["/v1beta", "/gemini/v1beta"] {
        router = gemini_api(router, prefix);
    }
    router
}

/// What operators use: gone from the public listener where they have one of their own.
fn operators(mut router: Router<Edge>) -> Router<Edge> {
    for prefix in ["/admin", "/api/admin"] {
        router = admin_api::routes(router, prefix);
    }
    router = admin_api::llmio_routes(router).route("/openapi.json", get(openapi::serve));
    docs::routes(router)
}

fn client_api(router: Router<Edge>, prefix: &str) -> Router<Edge> {
    let to = |target: Target| move |State(edge): State<Edge>, request: Request| invoke(edge, target, request);
    let named = |target: Target| move |edge, id, request| invoke_named(edge, target, id, request);
    router
        .route(&format!("{prefix}/chat/completions"), post(to(CHAT)))
        .route(&format!("{prefix}/completions"), post(to(COMPLETIONS)))
        .route(&format!("{prefix}/embeddings"), post(to(EMBEDDINGS)))
        .route(&format!("{prefix}/responses"), post(to(RESPONSES)).get(no_upgrade))
        .route(&format!("{prefix}/responses/input_tokens"), post(to(COUNT_RESPONSES)))
        .route(&format!("{prefix}/responses/{{id}}"), get(named(GET_RESPONSE)).delete(named(DELETE_RESPONSE)))
        .route(&format!("{prefix}/responses/{{id}}/cancel"), post(named(CANCEL_RESPONSE)))
        .route(&format!("{prefix}/responses/{{id}}/input_items"), get(named(INPUT_ITEMS)))
        .route(&format!("{prefix}/models"), get(list_models))
        .route(&format!("{prefix}/models/{{*id}}"), get(get_model).post(gemini::invoke_verb))
}

/// `GET /models` is the same path with all vendors; the headers tell whose list is meant.
async fn list_models(State(edge): State<Edge>, request: Request) -> Response {
    match Voice::of(request.uri().path(), request.headers()) {
        Voice::Gemini => gemini::list_models(edge, request).await,
        Voice::Anthropic => invoke(edge, ANTHROPIC_MODELS, request).await,
        Voice::OpenAi => invoke(edge, LIST_MODELS, request).await,
    }
}

async fn get_model(edge: State<Edge>, id: Result<Path<String>, PathRejection>, request: Request) -> Response {
    match Voice::of(request.uri().path(), request.headers()) {
        Voice::Gemini => gemini::get_model(edge, id, request).await,
        Voice::Anthropic => invoke_named(edge, ANTHROPIC_MODEL, id, request).await,
        Voice::OpenAi => invoke_named(edge, GET_MODEL, id, request).await,
    }
}

fn anthropic_api(router: Router<Edge>, prefix: &str) -> Router<Edge> {
    let to = |target: Target| move |State(edge): State<Edge>, request: Request| invoke(edge, target, request);
    router
        .route(&format!("{prefix}/messages"), post(to(MESSAGES)))
        .route(&format!("{prefix}/messages/count_tokens"), post(to(COUNT_MESSAGES)))
}

/// The lists that only clients of Anthropic ask for.
fn anthropic_models(router: Router<Edge>, prefix: &str) -> Router<Edge> {
    let to = |target: Target| move |State(edge): State<Edge>, request: Request| invoke(edge, target, request);
    let named = |target: Target| move |edge, id, request| invoke_named(edge, target, id, request);
    router
        .route(&format!("{prefix}/models"), get(to(ANTHROPIC_MODELS)))
        .route(&format!("{prefix}/models/{{*id}}"), get(named(ANTHROPIC_MODEL)))
}

/// Anthropic's coding agent reports what its user does. Nobody here wants to know: the body is read, so that the connection can
/// be used again, and forgotten.
async fn drop_events(State(edge): State<Edge>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    match edge.bodies.read(&head.headers, body).await {
        Ok(_) => axum::Json(serde_json::json!({})).into_response(),
        Err(error) => error.into_response(),
    }
}

fn gemini_api(router: Router<Edge>, prefix: &str) -> Router<Edge> {
    router
        .route(
            &format!("{prefix}/models"),
            get(|State(edge): State<Edge>, request: Request| gemini::list_models(edge, request)),
        )
        .route(&format!("{prefix}/models/{{*id}}"), get(gemini::get_model).post(gemini::invoke_verb))
        .route(&format!("{prefix}/{{*rest}}"), post(gemini::invoke_verb))
}

/// Coding agents try a WebSocket here first, and fall back at once when they are told that there is none.
async fn no_upgrade(request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    if request.headers().contains_key(header::UPGRADE) {
        return EdgeError::upgrade_required(path).into_response();
    }
    let allow = [(header::ALLOW, HeaderValue::from_static("POST"))];
    (allow, EdgeError::method_not_allowed(method, path)).into_response()
}

fn operations(router: Router<Edge>, prefix: &str) -> Router<Edge> {
    router
        .route(&format!("{prefix}/health"), get(ops::health))
        .route(&format!("{prefix}/healthz"), get(ops::health))
        .route(&format!("{prefix}/health/live"), get(ops::live))
        .route(&format!("{prefix}/health/ready"), get(ops::ready))
        .route(&format!("{prefix}/health/metrics"), get(metrics::show))
        .route(&format!("{prefix}/metrics"), get(metrics::show))
        .route(&format!("{prefix}/health/detailed"), get(admin_api::detailed))
        .route(&format!("{prefix}/health/queue/status"), get(admin_api::queue_status))
        .route(&format!("{prefix}/version"), get(ops::version))
}
