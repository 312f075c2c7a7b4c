//! Which file may name which crate, and where two worlds must not meet.

use crate::source::{Source, starts_with};

/// Within a scope, these paths may only be named in these places.
struct Wall {
    scope: &'static [&'static str],
    paths: &'static [&'static str],
    places: &'static [&'static str],
    why: &'static str,
}

const PRODUCT: [&str; 1] = ["orchestrator-"];

const WALLS: [Wall; 7] = [
    Wall {
        scope: &PRODUCT,
        paths: &["sqlx"],
        places: &["orchestrator-core/src/store"],
        why: "only the store speaks SQL",
    },
    Wall {
        scope: &PRODUCT,
        // `redis` alone is also the name of our own module and section.
        paths: &[
            "bb8",
            "bb8_redis",
            "deadpool_redis",
            "redis::aio",
            "redis::cmd",
            "redis::pipe",
            "redis::Client",
            "redis::Cmd",
            "redis::Pipeline",
            "redis::RedisError",
            "redis::Script",
            "redis::ScriptInvocation",
        ],
        places: &["orchestrator-core/src/shared_state/redis"],
        why: "only shared_state/redis speaks to Redis",
    },
    Wall {
        scope: &["orchestrator-core/src/"],
        paths: &["hyper", "hyper_util", "hyper_rustls"],
        places: &["orchestrator-core/src/provider/http"],
        why: "only provider/http.rs knows the HTTP client",
    },
    Wall {
        scope: &PRODUCT,
        paths: &["opentelemetry", "opentelemetry_proto", "opentelemetry_sdk", "tracing_opentelemetry"],
        places: &["orchestrator-core/base/src/telemetry"],
        why: "only base/telemetry knows what makes spans and sends them",
    },
    Wall {
        scope: &PRODUCT,
        paths: &["std::env"],
        places: &["orchestrator-core/base/src/config"],
        why: "only base/config reads the environment",
    },
    Wall {
        scope: &["orchestrator-edge/src/"],
        paths: &["orchestrator_grpc"],
        places: &["orchestrator-edge/src/core_client"],
        why: "only core_client.rs knows that a core can be embedded",
    },
    Wall {
        scope: &["orchestrator-edge/src/"],
        paths: &["orchestrator_core"],
        places: &[],
        why: "the edge knows the contract, not the domain",
    },
];

/// The domain's own words, which only `convert*` turns into the contract's.
const DOMAIN_WORDS: [&str; 3] =
    ["orchestrator_core::chat", "orchestrator_core::embedding", "orchestrator_core::catalog"];

pub(crate) fn check(source: &Source) -> Vec<String> {
    if !source.is_product() {
        return Vec::new();
    }
    let paths = source.paths();
    let mut violations = Vec::new();
    for wall in WALLS.iter().filter(|wall| source.is_in(wall.scope) && !source.is_in(wall.places)) {
        for (line, path) in &paths {
            if wall.paths.iter().any(|forbidden| starts_with(path, forbidden)) {
                violations.push(source.at(*line, &format!("names {path}: {}", wall.why)));
            }
        }
    }
    if source.is_in(&["orchestrator-grpc/src/"]) && !source.is_in(&["orchestrator-grpc/src/convert"]) {
        let names = |prefix: &str| paths.iter().find(|(_, path)| starts_with(path, prefix));
        let domain = DOMAIN_WORDS.iter().find_map(|word| names(word));
        if let (Some(_), Some((line, path))) = (names("orchestrator_proto"), domain) {
            let message = format!("names {path} beside orchestrator_proto: only convert* sees both worlds");
            violations.push(source.at(*line, &message));
        }
    }
    violations.extend(boundary(source));
    violations
}

/// A boundary maps every kind by name: a new one must not compile until somebody has thought of it. In `status.rs` nothing is
/// matched by `_`; a dialect's `error.rs` also reads a vendor's open lists (statuses, JSON), so there it is matches on our kinds.
fn boundary(source: &Source) -> Vec<String> {
    let status = source.path.ends_with("/status.rs");
    let error = source.is_in(&["orchestrator-core/src/dialect/"]) && source.path.ends_with("/error.rs");
    let mut violations = Vec::new();
    for (index, line) in source.code().iter().enumerate() {
        let code = line.code.trim_start();
        let wild = code.starts_with("_ =>") || code.starts_with("_ if ") || code.contains(" _ =>");
        if wild && (status || (error && is_about_kinds(source, index))) {
            violations.push(source.at(line.number, "a boundary file names every kind: no `_ =>` here"));
        }
    }
    violations
}

/// Whether the wildcard arm in that line stands beside arms that name kinds, which rustfmt indents alike.
fn is_about_kinds(source: &Source, wild: usize) -> bool {
    let indent = |code: &str| code.len() - code.trim_start().len();
    let names_kind =
        |code: &str| code.split("=>").next().is_some_and(|pattern| pattern.contains("ErrorKind::"));
    let lines = source.code();
    let own = indent(&lines[wild].code);
    let above =
        lines[..wild].iter().rev().take_while(|line| line.code.is_empty() || indent(&line.code) >= own);
    let mut arms = above.filter(|line| indent(&line.code) == own);
    names_kind(&lines[wild].code) || arms.any(|line| line.code.trim_start() != "}" && names_kind(&line.code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caught(path: &str, code: &str) -> usize {
        check(&Source::new(path, code)).len()
    }

    #[test]
    fn each_crate_stays_in_its_place() {
        let cases = [
            ("use sqlx::Row;", "orchestrator-core/src/store/key.rs", "orchestrator-core/src/admin/key.rs"),
            ("#[derive(sqlx::FromRow)]", "orchestrator-core/src/store.rs", "orchestrator-grpc/src/admin.rs"),
            (
                "use bb8_redis::bb8;",
                "orchestrator-core/src/shared_state/redis.rs",
                "orchestrator-core/src/admission.rs",
            ),
            (
                "use hyper::Request;",
                "orchestrator-core/src/provider/http.rs",
                "orchestrator-core/src/provider/openai.rs",
            ),
            (
                "use std::{env, fs};",
                "orchestrator-core/base/src/config/load.rs",
                "orchestrator-core/base/src/tls.rs",
            ),
            (
                "let x = std::env::var(y);",
                "orchestrator-core/base/src/config.rs",
                "orchestrator-edge/src/main.rs",
            ),
            (
                "use orchestrator_grpc::x;",
                "orchestrator-edge/src/core_client.rs",
                "orchestrator-edge/src/router.rs",
            ),
        ];
        for (code, inside, outside) in cases {
            assert_eq!((caught(inside, code), caught(outside, code)), (0, 1), "{code}");
        }
        assert_eq!(caught("orchestrator-edge/src/core_client.rs", "use orchestrator_core::error::Error;"), 1);
        assert_eq!(caught("orchestrator-edge/src/router.rs", "use hyper::Request;"), 0);
        assert_eq!(caught("orchestrator-core/src/attempt/queue.rs", "let x = redis::cmd(y);"), 1);
        assert_eq!(
            caught("orchestrator-core/src/shared_state.rs", "use self::redis::Shared;\nmod redis;"),
            0
        );
    }

    #[test]
    fn only_convert_sees_protobuf_and_domain_side_by_side() {
        let both =
            "use orchestrator_proto::v1::Chat;\nuse orchestrator_core::{chat::ChatRequest, error::Error};";
        assert_eq!(caught("orchestrator-grpc/src/orchestrate.rs", both), 1);
        assert_eq!(caught("orchestrator-grpc/src/convert/chat.rs", both), 0);
        let service =
            "use orchestrator_proto::v1::Chat;\nuse orchestrator_core::{Orchestrator, error::Error};";
        assert_eq!(caught("orchestrator-grpc/src/orchestrate.rs", service), 0);
    }

    #[test]
    fn a_boundary_file_has_no_wildcard_arm() {
        let wild = "match kind {\n    ErrorKind::A | ErrorKind::B => {\n        1\n    }\n    _ => 2,\n}";
        assert_eq!(caught("orchestrator-grpc/src/status.rs", wild), 1);
        assert_eq!(caught("orchestrator-core/src/dialect/openai/error.rs", wild), 1);
        assert_eq!(
            caught("orchestrator-core/src/dialect/openai/error.rs", "match k { ErrorKind::A => 1, _ => 2 }"),
            1
        );
        assert_eq!(caught("orchestrator-core/src/dialect/openai/reply.rs", wild), 0);
        assert_eq!(caught("orchestrator-grpc/src/status.rs", "let f = |_| 1; // _ => x"), 0);

        let open_list =
            "match status {\n    404 => ErrorKind::NotFound,\n    _ => ErrorKind::ProviderFailed,\n}";
        assert_eq!(caught("orchestrator-core/src/dialect/openai/error.rs", open_list), 0);
        assert_eq!(caught("orchestrator-grpc/src/status.rs", open_list), 1);
    }
}
