//! Sessions of browsers: a cookie in place of an admin key.
//!
//! `POST /admin/session` with an admin key begins one. The core makes and checks its token; the edge carries it in a cookie that no
//! script can read and that no other site's page is sent with. A change that comes with the cookie must carry a header of ours too, which
//! a page of another site cannot send without being allowed to ([`check_origin`]). `DELETE /admin/session` ends it.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::PoisonError,
};

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::post,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use prost_reflect::{DynamicMessage, ReflectMessage as _};

use super::{AdminError, BOUND_SESSIONS, call, metadata, show};
use crate::{Edge, listener::PeerAddress};

/// The cookie's name.
const COOKIE: &str = "orchestrator_session";
/// What the admin interface's own requests carry, whatever it says.
const OURS: HeaderName = HeaderName::from_static("x-orchestrator-csrf");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// As long as the core lets a session last.
const LASTS_SECONDS: u32 = 12 * 60 * 60;

/// Registers the paths. Who has signed in (`GET`) is a row of the table.
pub(super) fn routes(router: Router<Edge>, prefix: &str) -> Router<Edge> {
    router.route(&format!("{prefix}/session"), post(begin).delete(end))
}

/// The credential of a request that carries a session's cookie and no key.
///
/// Errors: it may come from another site's page.
pub(super) fn credential(head: &Parts) -> Result<Option<HeaderValue>, AdminError> {
    let Some(token) = token(&head.headers) else { return Ok(None) };
    check_origin(head)?;
    let mut bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| AdminError::internal())?;
    bearer.set_sensitive(true);
    Ok(Some(bearer))
}

/// The session's token in the cookies, which may come in several headers (HTTP/2).
fn token(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, token)| *name == COOKIE && !token.is_empty()).map(|(_, token)| token)
}

/// Refuses what another site's page can make a browser send: the cookie's own rule (`SameSite=Strict`), and, where a browser should not
/// know it, what it says about where the request comes from.
fn check_origin(head: &Parts) -> Result<(), AdminError> {
    let headers = &head.headers;
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    match text(&SEC_FETCH_SITE) {
        Some("same-origin") => {}
        // Somebody typed the address of an export.
        Some("none") if is_read => {}
        Some(_) => return Err(AdminError::foreign("It comes from another site.")),
        None => {
            let host = text(&FORWARDED_HOST).or_else(|| text(&header::HOST));
            let host = host.or_else(|| head.uri.authority().map(http::uri::Authority::as_str));
            let origin =
                text(&header::ORIGIN).map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
            if origin.is_some() && origin != host {
                return Err(AdminError::foreign("It comes from another site."));
            }
        }
    }
    if is_read || headers.contains_key(&OURS) {
        return Ok(());
    }
    Err(AdminError::foreign("A change that is made with a session needs the header x-orchestrator-csrf."))
}

/// `POST /session`: an admin key becomes a session.
async fn begin(State(edge): State<Edge>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    sign_in(&edge, &head).await.unwrap_or_else(AdminError::into_response)
}

async fn sign_in(edge: &Edge, head: &Parts) -> Result<Response, AdminError> {
    if head.headers.contains_key(header::COOKIE) || head.headers.contains_key(header::ORIGIN) {
        check_origin(head)?;
    }
    let mut bare = head.clone();
    // A session of before has no say.
    bare.headers.remove(header::COOKIE);
    let metadata = metadata(&bare)?;
    let from =
        head.extensions.get::<PeerAddress>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    let guard = || edge.sign_ins.lock().unwrap_or_else(PoisonError::into_inner);
    let attempt = guard().attempt(from, edge.clock.now());
    attempt.map_err(|wait| AdminError::too_many_attempts(wait.as_secs()))?;
    let rpc = &BOUND_SESSIONS.begin;
    let answer = call(edge, rpc, metadata, &DynamicMessage::new(rpc.input.clone())).await;
    let is_wrong = matches!(&answer, Err(error) if error.status == StatusCode::UNAUTHORIZED);
    if !is_wrong {
        guard().forgive(from, answer.is_ok(), edge.clock.now());
    }
    let mut session = answer?;
    let token = session.descriptor().get_field_by_name("token").ok_or_else(AdminError::internal)?;
    let cookie = session.get_field(&token).as_str().map(|token| cookie(head, token, LASTS_SECONDS));
    // It is in the cookie alone: nothing that runs in the page ever has it.
    session.clear_field(&token);
    let json = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::SET_COOKIE, cookie.ok_or_else(AdminError::internal)??),
    ];
    Ok((StatusCode::CREATED, json, show::message(&session, false)).into_response())
}

/// `DELETE /session`: signs out. Whatever the core says of the session, the browser forgets it; only where the core cannot be asked is
/// that told, for the session goes on then.
async fn end(State(edge): State<Edge>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    sign_out(&edge, &head).await.unwrap_or_else(AdminError::into_response)
}

async fn sign_out(edge: &Edge, head: &Parts) -> Result<Response, AdminError> {
    let rpc = &BOUND_SESSIONS.end;
    match call(edge, rpc, metadata(head)?, &DynamicMessage::new(rpc.input.clone())).await {
        Ok(_) => {}
        Err(error) if error.status == StatusCode::UNAUTHORIZED && token(&head.headers).is_some() => {}
        Err(error) => return Err(error),
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie(head, "", 0)?)]).into_response())
}

/// Sent to Admin's paths alone. Over TLS, ours or a proxy's, it never goes another way.
fn cookie(head: &Parts, token: &str, seconds: u32) -> Result<HeaderValue, AdminError> {
    let forwarded = head.headers.get(FORWARDED_PROTO).is_some_and(|scheme| scheme == "https");
    let secure = if forwarded || head.uri.scheme_str() == Some("https") { "; Secure" } else { "" };
    let cookie =
        format!("{COOKIE}={token}; Path=/admin; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    let mut cookie = HeaderValue::try_from(cookie).map_err(|_| AdminError::internal())?;
    cookie.set_sensitive(true);
    Ok(cookie)
}
