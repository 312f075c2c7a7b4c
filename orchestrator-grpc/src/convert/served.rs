//! How a call was served: as the typed answer's `Routing`, and as metadata.
//!
//! The metadata goes out at an answer's beginning, not in its trailers: all of it is known by then (a stream is handed out when
//! it is committed), and a client that streams wants to know its provider before the end. In an error it is part of the status.

use std::fmt::Display;

use orchestrator_core::call::Served;
use orchestrator_proto::v1;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};

/// The most bytes of dropped fields that are listed. The typed answer's `Routing` has them all.
const LONGEST_LIST: usize = 4096;

/// For the typed answer.
pub fn encode_routing(served: &Served) -> v1::Routing {
    v1::Routing {
        provider: served.provider.clone(),
        upstream_model: served.upstream_model.clone(),
        attempts: served.attempts,
        dropped: served.dropped.clone(),
    }
}

/// The `x-orchestrator-*` of an answer on the typed plane.
pub fn encode_metadata(served: &Served) -> MetadataMap {
    let mut metadata = MetadataMap::with_capacity(8);
    let mut put = |name: &'static str, value: &dyn Display| {
        metadata.insert(name, ascii(&value.to_string()));
    };
    if !served.provider.is_empty() {
        put("x-orchestrator-provider", &served.provider);
        put("x-orchestrator-model", &served.upstream_model);
    }
    put("x-orchestrator-attempts", &served.attempts);
    put("x-orchestrator-overhead-us", &served.overhead_us);
    if !served.dropped.is_empty() {
        put("x-orchestrator-dropped", &listed(&served.dropped));
    }
    if let Some(repeat) = &served.repeat {
        put("x-orchestrator-idempotency", &repeat.how);
        put("x-orchestrator-original-request-id", &repeat.original);
    }
    metadata
}

/// As many of the paths as have room.
fn listed(paths: &[String]) -> String {
    let mut list = String::new();
    for path in paths {
        if list.len() + path.len() > LONGEST_LIST {
            list.push_str(", ...");
            break;
        }
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(path);
    }
    list
}

/// Metadata holds visible ASCII and spaces; each other character becomes a question mark.
fn ascii(text: &str) -> AsciiMetadataValue {
    let visible = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    let text: String = text.chars().map(visible).collect();
    AsciiMetadataValue::try_from(text).unwrap_or_else(|_| AsciiMetadataValue::from_static("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_who_served_it_in_metadata() {
        let served = Served {
            provider: "zürich".into(),
            upstream_model: "gpt-4.1".into(),
            attempts: 2,
            dropped: vec!["top_k".into(), "messages[0].parts[1].audio".into()],
            overhead_us: 84,
            repeat: None,
        };
        let metadata = encode_metadata(&served);
        let said = |name| metadata.get(name).unwrap().to_str().unwrap();
        assert_eq!(said("x-orchestrator-provider"), "z?rich");
        assert_eq!(said("x-orchestrator-model"), "gpt-4.1");
        assert_eq!(said("x-orchestrator-attempts"), "2");
        assert_eq!(said("x-orchestrator-overhead-us"), "84");
        assert_eq!(said("x-orchestrator-dropped"), "top_k, messages[0].parts[1].audio");
    }

    #[test]
    fn a_long_list_of_dropped_fields_is_cut() {
        let served = Served { dropped: vec!["x".repeat(1000); 9], ..Served::default() };
        let metadata = encode_metadata(&served);
        let list = metadata.get("x-orchestrator-dropped").unwrap().to_str().unwrap();
        assert!(list.len() < 4200 && list.ends_with(", ..."), "{} bytes", list.len());
    }
}
