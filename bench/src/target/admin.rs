//! A few calls to the gateway's Admin, before a measurement.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use orchestrator_base::task;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::serve::AnyError;

/// Where Admin is.
#[derive(Debug)]
pub(crate) struct Admin {
    address: SocketAddr,
    key: &'static str,
}

impl Admin {
    /// At an edge's address.
    pub(crate) fn new(address: SocketAddr, key: &'static str) -> Self {
        Self { address, key }
    }

    /// One call on a connection of its own: the status, and the answer (null when it is no JSON).
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value), AnyError> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        task::spawn("admin", async move {
            let _ = connection.await;
        });
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }

    /// Makes a resource and gives its id.
    pub(crate) async fn create(&self, path: &str, body: &Value) -> Result<String, AnyError> {
        let (status, answer) = self.call(Method::POST, path, Some(body)).await?;
        match answer["id"].as_str() {
            Some(id) if status == 201 => Ok(id.to_owned()),
            _ => Err(format!("POST {path}: {status} {answer}").into()),
        }
    }
}
