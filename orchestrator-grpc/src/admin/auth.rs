//! The admin key of a call: in metadata `authorization: Bearer KEY` or `x-admin-key: KEY`.

use orchestrator_core::{
    admin::AdminAuth,
    error::{Error, ErrorKind, Result},
};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

/// Lets the holder of an admin key in.
pub(super) fn check(auth: &AdminAuth, metadata: &MetadataMap) -> Result<()> {
    let mut presented = Vec::new();
    for value in metadata.get_all("authorization") {
        presented.push(bearer(text(value)?)?);
    }
    for value in metadata.get_all("x-admin-key") {
        presented.push(text(value)?);
    }
    auth.check(&presented)
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
