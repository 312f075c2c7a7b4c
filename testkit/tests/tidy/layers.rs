//! Imports of the core run downwards: a module names only what stands below it, and of its own layer only what is listed.

use crate::source::Source;

/// From the top; what stands in one row is one layer. A module that is not here gets a violation: say where it stands.
const LAYERS: [&[&str]; 6] = [
    &["orchestrator", "admin", "prober", "refresher", "model_lists", "transfer", "backup", "alerts"],
    &["admission", "attempt", "routing", "recording", "ledger"],
    &["provider", "dialect", "store", "shared_state"],
    &["audit", "condition", "health_board", "policy", "health", "catalog"],
    &["call", "chat", "embedding", "metrics", "origins", "secrets", "registry"],
    &["error"],
];

/// Who may name whom in its own layer.
const SIDEWAYS: [(&str, &[&str]); 15] = [
    ("store", &["shared_state"]),
    ("orchestrator", &["refresher"]),
    ("admin", &["refresher", "prober", "transfer", "backup"]),
    ("prober", &["model_lists"]),
    ("attempt", &["routing", "recording", "ledger", "admission"]),
    ("recording", &["ledger"]),
    ("admission", &["ledger"]),
    ("provider", &["dialect"]),
    ("audit", &["catalog", "health", "policy"]),
    ("condition", &["policy", "health", "health_board", "catalog"]),
    ("health_board", &["health"]),
    ("health", &["policy"]),
    ("catalog", &["policy"]),
    ("call", &["chat", "embedding"]),
    ("embedding", &["chat"]),
];

/// What stands in a module above, or beside, and is needed by one below: who may name what, and why.
const EXCEPTIONS: [(&str, &str); 8] = [
    // Which wire format: a name, not the code that speaks it.
    ("call", "crate::dialect::Dialect"),
    ("call", "crate::dialect::Operation"),
    ("catalog", "crate::dialect::Dialect"),
    ("catalog", "crate::dialect::Operation"),
    // How much for how long: two plain types that a row has.
    ("policy", "crate::catalog::limits::"),
    // The row that the store writes for the ledger is the ledger's to define.
    ("store", "crate::ledger::"),
    // Keys are decrypted when the catalog is loaded; Admin, which encrypts them, loads through the refresher.
    ("refresher", "crate::admin::secrets"),
    // The scenes, which are tests, probe the providers that they put on stage.
    ("orchestrator", "crate::prober::"),
];

pub(crate) fn check(source: &Source) -> Vec<String> {
    let Some(inner) = source.path.strip_prefix("orchestrator-core/src/") else { return Vec::new() };
    let module = inner.split(['/', '.']).next().unwrap_or_default();
    if module == "lib" {
        return Vec::new();
    }
    let Some(layer) = layer_of(module) else {
        return vec![source.at(
            1,
            &format!("the module {module} has no layer: give it one in testkit/tests/tidy/layers.rs"),
        )];
    };
    let top_level = !inner.contains('/');
    let mut violations = Vec::new();
    for (line, path) in source.paths() {
        let path = if top_level { path.replacen("super::", "crate::", 1) } else { path };
        let Some(target) = path.strip_prefix("crate::").and_then(|rest| rest.split("::").next()) else {
            continue;
        };
        let Some(target_layer) = layer_of(target) else { continue };
        let sideways = SIDEWAYS.iter().any(|(from, to)| *from == module && to.contains(&target));
        let excepted = EXCEPTIONS.iter().any(|(from, to)| *from == module && path.starts_with(to));
        if target == module || target_layer > layer || sideways || excepted {
            continue;
        }
        let direction =
            if target_layer == layer { "in its own layer, which is not listed" } else { "above it" };
        violations.push(source.at(line, &format!("{module} names {path}, {direction}")));
    }
    violations
}

/// 0 is the top.
fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caught(path: &str, code: &str) -> usize {
        check(&Source::new(&format!("orchestrator-core/src/{path}"), code)).len()
    }

    #[test]
    fn imports_upwards_and_sideways_are_caught() {
        assert_eq!(caught("policy/retry.rs", "use crate::{error::Error, attempt::Attempt};"), 1);
        assert_eq!(caught("store/key.rs", "let x = crate::admission::budget::reserve();"), 1);
        assert_eq!(caught("dialect/scan.rs", "use crate::provider::Provider;"), 1);
        assert_eq!(caught("chat.rs", "use super::orchestrator::Orchestrator;"), 1);
        assert_eq!(caught("call.rs", "use crate::dialect::Wire;"), 1);
        assert_eq!(caught("novelty.rs", ""), 1);
    }

    #[test]
    fn imports_downwards_listed_ones_and_ones_own_are_not() {
        assert_eq!(caught("attempt.rs", "use crate::{routing::plan, provider::http, error::Error};"), 0);
        assert_eq!(
            caught("provider/openai.rs", "use crate::{provider::Kind, dialect::Dialect};\nuse super::Kind;"),
            0
        );
        assert_eq!(caught("call.rs", "use crate::{dialect::Dialect, chat::Usage};"), 0);
        assert_eq!(caught("lib.rs", "pub use crate::orchestrator::Orchestrator;"), 0);
        assert_eq!(caught("chat.rs", "#[cfg(test)]\nmod tests {\n    use crate::orchestrator::X;\n}"), 0);
    }
}
