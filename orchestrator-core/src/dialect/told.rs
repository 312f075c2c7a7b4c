//! What a caller of another dialect is told of a provider's error: the provider's own words, in the caller's envelope.
//!
//! Logs and the ledger say a refused key in our words, for the provider's may show parts of it; callers of the same dialect get the
//! provider's body as it is, and callers of another one are told no less.

use std::borrow::Cow;

use serde_json::Value;

use crate::error::Error;

/// The provider's message if its body has one, else ours.
pub(crate) fn message(error: &Error) -> Cow<'_, str> {
    let body = error.upstream.as_ref().map(|upstream| &upstream.body).filter(|body| !body.is_empty());
    match body.and_then(|body| serde_json::from_slice::<Value>(body).ok()).as_ref().and_then(said) {
        Some(said) => Cow::Owned(said),
        None => Cow::Borrowed(&error.message),
    }
}

/// Every vendor's envelope has it as `error.message` or `message`, some have a list around it, Ollama has `error` alone.
fn said(json: &Value) -> Option<String> {
    let json = json.get(0).unwrap_or(json);
    let places = [&json["error"]["message"], &json["message"], &json["error"]];
    let said = places.into_iter().find_map(Value::as_str)?;
    (!said.trim().is_empty()).then(|| said.to_owned())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::error::{ErrorKind, Upstream};

    #[test]
    fn the_providers_words_come_before_ours() {
        let told = |body: &'static str| {
            let upstream = Upstream {
                provider: "acme".into(),
                dialect: "openai_chat",
                status: 401,
                body: Bytes::from_static(body.as_bytes()),
                kind: None,
            };
            let error = Error::new(ErrorKind::ProviderFailed, "ours").with_upstream(upstream);
            message(&error).into_owned()
        };
        assert_eq!(told(r#"{"error":{"message":"bad key"}}"#), "bad key");
        assert_eq!(told(r#"[{"error":{"message":"bad key"}}]"#), "bad key");
        assert_eq!(told(r#"{"error":"bad key"}"#), "bad key");
        for silent in ["", "<html>", "{}", r#"{"error":{"message":" "}}"#] {
            assert_eq!(told(silent), "ours", "{silent}");
        }
    }
}
