//! Which package may depend on which.

use toml::{Table, Value};

/// A package, the internal packages it may be built on, and the outside crates it must not know.
struct Wall {
    package: &'static str,
    internal: &'static [&'static str],
    forbidden: &'static [&'static str],
}

/// Crates that only the store or the shared state may name, and so only the core may have.
const STORAGE: [&str; 5] = ["sqlx", "bb8", "bb8-redis", "redis", "deadpool-redis"];

const WALLS: [Wall; 7] = [
    Wall { package: "orchestrator-proto", internal: &[], forbidden: &STORAGE },
    Wall { package: "orchestrator-base", internal: &[], forbidden: &STORAGE },
    Wall {
        package: "orchestrator-core",
        internal: &["orchestrator-base"],
        forbidden: &["tonic", "prost", "prost-types", "axum", "tower", "tower-http"],
    },
    Wall {
        package: "orchestrator-grpc",
        internal: &["orchestrator-base", "orchestrator-core", "orchestrator-proto"],
        forbidden: &STORAGE,
    },
    Wall {
        package: "orchestrator-edge",
        internal: &["orchestrator-base", "orchestrator-proto", "orchestrator-grpc"],
        forbidden: &STORAGE,
    },
    // It measures the programs as they are shipped, from outside; but what a million rows cost is asked of the store itself, whose
    // queries no door outside gives away. The servers that it is asked on are the tests'.
    Wall {
        package: "orchestrator-bench",
        internal: &["orchestrator-base", "orchestrator-core", "orchestrator-proto", "orchestrator-testkit"],
        forbidden: &STORAGE,
    },
    // So does the chaos test, which brings scripted providers and looks into the database.
    Wall {
        package: "orchestrator-chaos",
        internal: &["orchestrator-base", "orchestrator-testkit"],
        forbidden: &STORAGE,
    },
];

pub(crate) fn check(path: &str, text: &str) -> Vec<String> {
    let manifest: Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![format!("{path}: {error}")],
    };
    let package = manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
    let Some(wall) = WALLS.iter().find(|wall| Some(wall.package) == package) else { return Vec::new() };

    let mut violations = Vec::new();
    for (name, dependency) in dependencies(&manifest) {
        if name.starts_with("orchestrator-") && !wall.internal.contains(&name.as_str()) {
            violations.push(format!("{path}: {} must not depend on {name}", wall.package));
        }
        if wall.forbidden.contains(&name.as_str()) {
            violations.push(format!("{path}: {} must not know {name}", wall.package));
        }
        let optional = dependency.get("optional").and_then(Value::as_bool).unwrap_or(false);
        if (wall.package, name.as_str()) == ("orchestrator-edge", "orchestrator-grpc") && !optional {
            violations
                .push(format!("{path}: the edge knows orchestrator-grpc only behind its feature `embedded`"));
        }
    }
    if wall.package == "orchestrator-edge" {
        violations.extend(features_that_embed(&manifest).map(|name| {
            format!("{path}: only the feature `embedded` brings orchestrator-grpc in, not {name}")
        }));
    }
    violations
}

/// What the package is built on, for every target; what only its tests need is not looked at.
fn dependencies(manifest: &Table) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut collect = |table: &Table| {
        for section in ["dependencies", "build-dependencies"] {
            if let Some(Value::Table(dependencies)) = table.get(section) {
                found.extend(dependencies.iter().map(|(name, value)| {
                    let renamed = value.get("package").and_then(Value::as_str);
                    (renamed.unwrap_or(name).to_owned(), value.clone())
                }));
            }
        }
    };
    collect(manifest);
    if let Some(Value::Table(targets)) = manifest.get("target") {
        targets.values().filter_map(Value::as_table).for_each(collect);
    }
    found
}

fn features_that_embed(manifest: &Table) -> impl Iterator<Item = &String> {
    let features = manifest.get("features").and_then(Value::as_table).into_iter().flatten();
    features
        .filter(|(name, parts)| {
            let embeds = |part: &Value| part.as_str().is_some_and(|part| part.contains("orchestrator-grpc"));
            *name != "embedded" && parts.as_array().is_some_and(|parts| parts.iter().any(embeds))
        })
        .map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wall_stands() {
        let caught = |package: &str, rest: &str| {
            check("x/Cargo.toml", &format!("[package]\nname = \"orchestrator-{package}\"\n{rest}"))
        };
        let broken = [
            ("core", "[dependencies]\ntonic = \"1\""),
            ("core", "[dependencies]\norchestrator-proto.workspace = true"),
            ("core", "[target.'cfg(unix)'.dependencies]\ntower = \"1\""),
            ("core", "[dependencies]\nrenamed = { package = \"axum\", version = \"1\" }"),
            ("base", "[build-dependencies]\norchestrator-core.workspace = true"),
            ("edge", "[dependencies]\norchestrator-core.workspace = true"),
            ("edge", "[dependencies]\norchestrator-grpc.workspace = true"),
            ("edge", "[features]\nfull = [\"dep:orchestrator-grpc\"]"),
            ("grpc", "[dependencies]\nsqlx = \"1\""),
            ("grpc", "[dependencies]\norchestrator-edge.workspace = true"),
            ("bench", "[dependencies]\norchestrator-grpc.workspace = true"),
            ("chaos", "[dependencies]\norchestrator-core.workspace = true"),
        ];
        for (package, rest) in broken {
            assert_eq!(caught(package, rest).len(), 1, "{package}: {rest}");
        }
        let sound = "[features]\nembedded = [\"dep:orchestrator-grpc\"]\n[dependencies]\n\
            orchestrator-grpc = { workspace = true, optional = true }\n[dev-dependencies]\norchestrator-testkit.workspace = true";
        assert_eq!(caught("edge", sound), Vec::<String>::new());
    }
}
