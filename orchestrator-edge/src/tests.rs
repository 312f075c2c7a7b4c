//! The edge against a scripted core.

mod admin;
pub(crate) mod fake_core;
mod native;
mod sessions;
mod surface;

use axum::{body::Body, extract::Request};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use orchestrator_base::{config::Config, stopping::Stages};
use tower::ServiceExt as _;

use crate::{App, core_client::CoreChannel};

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub(crate) fn app(core: CoreChannel) -> App {
    app_with(core, |_| {})
}

pub(crate) fn app_with(core: CoreChannel, change: impl FnOnce(&mut Config)) -> App {
    app_in(core, Stages::default(), change)
}

pub(crate) fn app_in(core: CoreChannel, stages: Stages, change: impl FnOnce(&mut Config)) -> App {
    let mut config = Config::default();
    change(&mut config);
    App::new(&config, core, stages)
}

/// Asks the routes directly, without a socket.
pub(crate) async fn ask(app: &App, request: Request) -> Answer {
    let (head, body) = app.router().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

pub(crate) fn get(path: &str) -> Request {
    request("GET", path, &[], "")
}

pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}
