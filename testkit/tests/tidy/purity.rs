//! What decides does not wait, read a clock, or touch a file: time and randomness are arguments, and property tests reach
//! every branch.

use crate::source::{Source, has_word, starts_with};

/// Modules with everything below them.
const PURE: [&str; 9] = [
    "orchestrator-core/src/policy.rs",
    "orchestrator-core/src/policy/",
    "orchestrator-core/src/routing.rs",
    "orchestrator-core/src/routing/",
    "orchestrator-core/src/dialect.rs",
    "orchestrator-core/src/dialect/",
    "orchestrator-core/src/provider/sse.rs",
    "orchestrator-core/src/health.rs",
    "orchestrator-core/src/health/",
];

/// Types that come as arguments: a point in time, an address. What they can be asked beyond that is caught by its name.
const TYPES: [&str; 5] = [
    "tokio::time::Instant",
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::net::SocketAddr",
];

pub(crate) fn check(source: &Source) -> Vec<String> {
    if !source.is_in(&PURE) {
        return Vec::new();
    }
    let mut violations = Vec::new();
    for line in source.code() {
        let waits = has_word(&line.code, "async") || line.code.contains(".await");
        let asks = line.code.contains("Instant::now") || line.code.contains("SystemTime");
        if waits || asks {
            violations.push(source.at(line.number, "pure code neither waits nor asks what time it is"));
        }
    }
    let outside =
        ["tokio", "std::fs", "std::net", "std::env", "std::thread", "orchestrator_base::random", "getrandom"];
    for (line, path) in source.paths() {
        if outside.iter().any(|prefix| starts_with(&path, prefix)) && !TYPES.contains(&path.as_str()) {
            violations.push(source.at(line, &format!("pure code does not name {path}")));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_reading_and_asking_are_caught() {
        let caught = |path: &str, code: &str| {
            check(&Source::new(&format!("orchestrator-core/src/{path}"), code)).len()
        };
        let impure = [
            "pub async fn plan() {}",
            "let x = ask().await;",
            "use tokio::sync::Mutex;",
            "use std::{fs, io};",
            "let l = std::net::TcpListener::bind(x);",
            "let now = Instant::now();",
        ];
        for code in impure {
            for pure in
                ["policy/retry.rs", "routing.rs", "dialect/openai/tap.rs", "provider/sse.rs", "health.rs"]
            {
                assert_eq!(caught(pure, code), 1, "{pure}: {code}");
            }
            assert_eq!(caught("attempt.rs", code), 0, "{code}");
        }
        assert_eq!(caught("policy/retry.rs", "use tokio::time::Instant;\nfn next(now: Instant) {}"), 0);
        assert_eq!(caught("policy/retry.rs", "// async, .await\nlet s = \"async\";"), 0);
    }
}
