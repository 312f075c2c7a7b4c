//! The admin key of a call, in metadata `authorization: Bearer KEY` or `x-admin-key: KEY`; and where the call comes from.

use std::net::IpAddr;

use orchestrator_core::{
    admin::Role,
    audit::Actor,
    error::{Error, ErrorKind, Result},
};
use tonic::{
    Request,
    metadata::{Ascii, MetadataMap, MetadataValue},
    transport::server::TcpConnectInfo,
};

use crate::layers::trace::RequestId;

/// The metadata in which an edge says whom it speaks for.
const CLIENT_ADDRESS: &str = "x-orchestrator-client-address";

/// Every key that is presented.
pub(super) fn presented(metadata: &MetadataMap) -> Result<Vec<&str>> {
    let mut presented = Vec::new();
    for value in metadata.get_all("authorization") {
        presented.push(bearer(text(value)?)?);
    }
    for value in metadata.get_all("x-admin-key") {
        presented.push(text(value)?);
    }
    Ok(presented)
}

/// Whoever calls, before his key is looked at: where from, and in which request.
///
/// An edge in this process has no peer address, so what it says stands alone. Anybody else may say what he likes: it is kept beside the
/// address that he has, which he cannot choose.
pub(super) fn nobody<T>(request: &Request<T>) -> Actor {
    let said = request.metadata().get(CLIENT_ADDRESS).and_then(|said| said.to_str().ok());
    let said = said.and_then(|said| said.parse::<IpAddr>().ok());
    let peer = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    let address = match (said, peer.map(|peer| peer.ip())) {
        (Some(said), Some(peer)) => format!("{said} via {peer}"),
        (Some(only), None) | (None, Some(only)) => only.to_string(),
        (None, None) => String::new(),
    };
    let request_id = match request.extensions().get::<RequestId>() {
        Some(id) => id.as_str(),
        None => request.metadata().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default(),
    };
    Actor { name: String::new(), role: Role::default(), address, request_id: request_id.to_owned() }
}

fn text(value: &MetadataValue<Ascii>) -> Result<&str> {
    value.to_str().map_err(|_| refused("the key is not ASCII text"))
}

/// The scheme's case means nothing (RFC 9110, 11.1).
fn bearer(value: &str) -> Result<&str> {
    match value.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => Ok(key.trim()),
        _ => Err(refused("authorization must be \"Bearer KEY\"")),
    }
}

fn refused(message: &str) -> Error {
    Error::new(ErrorKind::Unauthenticated, message).with_code("invalid_admin_key")
}
