//! What a configuration becomes, layer by layer, and everything that can be wrong with one.

mod shown;

use std::{fs, path::Path};

use super::*;
use crate::config::{
    DatabaseTarget, LogFormat, init_env,
    settings::{Shape, in_file},
    show,
};

/// A directory of its own to load from.
struct Home {
    directory: tempfile::TempDir,
    sources: Sources,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let sources = Sources { working_dir: directory.path().to_owned(), ..Sources::default() };
        Self { directory, sources }
    }

    fn file(self, name: impl AsRef<Path>, text: &str) -> Self {
        fs::write(self.directory.path().join(name), text).unwrap();
        self
    }

    fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.sources.environment.insert(name.into(), value.into());
        self
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.sources.command_line.push((name.into(), value.into()));
        self
    }

    fn load(&self) -> Loaded {
        load(&self.sources, Role::Core).unwrap()
    }

    /// The problems for a core, a line each.
    fn problems(&self) -> String {
        self.problems_of(Role::Core)
    }

    fn problems_of(&self, role: Role) -> String {
        match load(&self.sources, role) {
            Ok(_) => String::new(),
            Err(problems) => problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"),
        }
    }
}

/// A key that is good enough for production.
const GOOD_KEY: &str = "kVq39dLx0ZuT7wPb2mR8sNcYh5";

#[test]
fn each_layer_counts_for_more_than_the_one_before() {
    let mut home = Home::new();
    assert_eq!(home.load().config.edge.port, 8000);
    home = home.file("orchestrator.toml", "[edge]\nport = 1\n");
    assert_eq!(home.load().config.edge.port, 1);
    home = home.file(".env", "APP_PORT=2\n");
    assert_eq!(home.load().config.edge.port, 2);
    home = home.variable("APP_PORT", "3");
    assert_eq!(home.load().config.edge.port, 3);
    home = home.set("edge.port", "4").set("edge.port", "5");
    assert_eq!(home.load().config.edge.port, 5, "of equal settings the last");
    home = home.set("edge.port", "");
    assert_eq!(home.load().config.edge.port, 8000, "an empty one takes all of it back");
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let home = Home::new().file("orchestrator.toml", "edge.port = 1\n").variable("APP_PORT", "");
    assert_eq!(home.load().config.edge.port, 1);
}

/// A value of this shape that is not the default.
fn sample(shape: Shape, default: &str) -> &'static str {
    match shape {
        Shape::Switch if default == "true" => "false",
        Shape::Switch => "true",
        Shape::Word(words) => words.last().unwrap(),
        Shape::Number(..) => "77",
        Shape::Port => "777",
        Shape::Host => "::1",
        Shape::Path => "elsewhere",
        Shape::Endpoints => "http://core-a:1,https://core-b",
        Shape::Origins => "https://chat.example.com",
        Shape::BaseUrl => "https://api.example.com/v1",
        Shape::DatabaseUrl => "sqlite://elsewhere.db",
        Shape::RedisUrl => "redis://elsewhere:6380/1",
        Shape::KeyPrefix => "elsewhere:",
        Shape::Dollars => "2.50",
        Shape::Percents => "50, 75",
        Shape::Share => "0.25",
        Shape::Names => "one, two",
        Shape::Text => "somebody",
        Shape::Pairs | Shape::SecretPairs => "a.b=c%20d,e=f",
        Shape::Networks => "10.0.0.0/8, ::1",
        Shape::Secret => GOOD_KEY,
        Shape::SecretUrl => "https://hooks.example.com/x?token=y",
    }
}

fn shown(home: &Home, name: &str) -> String {
    let table: toml::Table = show(&home.load()).parse().unwrap();
    let (section, key) = name.split_once('.').unwrap();
    table[in_file(section)].get(key).map_or_else(String::new, toml::Value::to_string)
}

#[test]
fn every_variable_has_its_effect() {
    for setting in SETTINGS {
        let default = shown(&Home::new(), setting.name);
        let sample = sample(setting.shape, &default);
        // Production needs keys, and the effect of the setting alone is asked for here.
        let keyed = || Home::new().file(".env", &format!("ADMIN_KEY={GOOD_KEY}1\nMASTER_KEY={GOOD_KEY}2\n"));
        let variables = setting.variable.map(str::to_owned).into_iter().chain([setting.generic_variable()]);
        for variable in variables {
            let home = keyed().variable(&variable, sample);
            assert_ne!(shown(&home, setting.name), default, "{variable}");
            assert_eq!(home.load().places[setting.name], variable);
        }
        if setting.shape.is_secret() {
            let variable = format!("{}_FILE", setting.variable.unwrap());
            let home = keyed().file("secret", &format!("{sample}\n")).variable(variable, "secret");
            assert_ne!(shown(&home, setting.name), default, "{}", setting.name);
        }
        let home = keyed().set(setting.name, sample);
        assert_ne!(shown(&home, setting.name), default, "{} on the command line", setting.name);
    }
}

#[test]
fn values_are_read_in_the_forms_that_people_write() {
    let home = Home::new()
        .file(
            "orchestrator.toml",
            "[edge]\ncors_origins = ['HTTPS://Chat.Example.com:443/', 'tauri://localhost']\n",
        )
        .variable("LOG_LEVEL", "WARNING")
        .variable("LOG_FORMAT", "Pretty")
        .variable("APP_DEBUG", "Yes")
        .variable("GRPC_HOST", "[::]")
        .variable("CORE_ENDPOINT", " http://a:1/ , http://b:2")
        .variable("DATABASE_URL", "sqlite+aiosqlite:///./data/x.db");
    let config = home.load().config;
    assert_eq!(config.edge.cors_origins, ["https://chat.example.com", "tauri://localhost"]);
    assert_eq!((config.log.level.as_str(), config.log.format), ("warn", Some(LogFormat::Pretty)));
    assert!(config.app.debug);
    assert_eq!(config.grpc.host, "::");
    assert_eq!(config.edge.core_endpoint.as_deref(), Some("http://a:1,http://b:2"));
    let path = "./data/x.db".into();
    assert_eq!(config.database_target(), Ok(DatabaseTarget::Sqlite { path }));
}

#[test]
fn a_secret_may_be_named_instead_of_given() {
    let home = Home::new()
        .file(".env", "VAULT=from-the-env-file\n")
        .file("master", "from-a-file\r\n")
        .file("client", "from-a-file-variable\n")
        .file("orchestrator.toml", "[keys]\nadmin = 'env:VAULT'\nmaster = 'file:master'\n")
        .variable("CLIENT_KEY_FILE", "client");
    let keys = home.load().config.keys;
    let text = |key: &Option<SecretString>| key.as_ref().unwrap().expose_secret().to_owned();
    assert_eq!(text(&keys.admin), "from-the-env-file");
    assert_eq!(text(&keys.master), "from-a-file");
    assert_eq!(text(&keys.client), "from-a-file-variable");
}

#[test]
fn files_may_be_named_and_must_then_exist() {
    let mut home = Home::new().file("other.toml", "edge.port = 1").file("other.env", "GRPC_PORT=2");
    home.sources.config_file = Some("other.toml".into());
    home.sources.env_file = Some("other.env".into());
    let loaded = home.load();
    assert_eq!((loaded.config.edge.port, loaded.config.grpc.port), (1, 2));
    assert_eq!(loaded.files, [PathBuf::from("other.env"), PathBuf::from("other.toml")]);

    home.sources.config_file = None;
    assert_eq!(home.variable("ORCHESTRATOR_CONFIG", "other.toml").load().config.edge.port, 1);

    let mut home = Home::new().variable("ORCHESTRATOR_CONFIG", "missing.toml");
    home.sources.env_file = Some("missing.env".into());
    insta::assert_snapshot!(home.problems(), @r"
    missing.env: cannot be read: No such file or directory (os error 2)
    missing.toml: cannot be read: No such file or directory (os error 2)
    ");
}

#[test]
fn all_problems_are_reported_at_once() {
    let toml = "
        server = 1
        [edge]
        prot = 1
        port = 70000
        max_headers = 0
        cors_origins = ['https://a/b']
        [edge.host]
        [grpc]
        port = [1]
        [nonsense]
        key = 1
    ";
    let home = Home::new()
        .file("orchestrator.toml", toml)
        .file(".env", "nonsense\nGRPC_HOST=two words\nUNRELATED=1\nORCHESTRATOR__LIMIT__MAX_JSON_DEPTH=1\n")
        .variable("APP_ENV", "staging")
        .variable("APP_DEBUG", "perhaps")
        .variable("CORE_ENDPOINT", "http://a:1,core:50051")
        .variable("TRUSTED_PROXIES", "::1,10.1.0.0/8")
        .variable("ADMIN_KEY", "s3cret-value-one")
        .variable("ADMIN_KEY_FILE", "admin")
        .variable("MASTER_KEY", "env:NOT_SET")
        .variable("CLIENT_KEY", "file:missing")
        .variable("OPENAI_BASE_URL", "https://user:s3cret@api.example.com/v1?key=s3cret")
        .variable("DATABASE_URL", "mysql://user:s3cret@db/llm?tls=s3cret")
        .variable("LOG_LEVEL", "loud")
        .variable("MAX_BODY_BYTES", "32MiB")
        .variable("ORCHESTRATOR__LIMITS__MAX_BODY_BYTES", "1")
        .variable("ORCHESTRATOR__TIMEOUTS__TOTAL_MS", "99999999999")
        .variable("ORCHESTRATOR__STREAM__EARLY_HEAD", "1")
        .variable("UNRELATED__VARIABLE", "1")
        .set("log.fromat", "json");
    let problems = home.problems();
    insta::assert_snapshot!(problems, @r#"
    .env: line 1 is not of the form NAME=value
    edge.host (orchestrator.toml): cannot be of type table
    edge.prot (orchestrator.toml): no such setting; the nearest is edge.port
    grpc.port (orchestrator.toml): cannot be of type array
    nonsense.key (orchestrator.toml): no such setting; the nearest is tls.edge_key
    server (orchestrator.toml): no such section; the nearest is [edge]
    ORCHESTRATOR__LIMIT__MAX_JSON_DEPTH in .env: no such setting; the nearest is ORCHESTRATOR__LIMITS__MAX_JSON_DEPTH
    keys.admin (ADMIN_KEY): ADMIN_KEY_FILE is set too, and differs; set one of them
    limits.max_body_bytes (MAX_BODY_BYTES): ORCHESTRATOR__LIMITS__MAX_BODY_BYTES is set too, and differs; set one of them
    ORCHESTRATOR__STREAM__EARLY_HEAD: no such setting; the nearest is ORCHESTRATOR__STREAM__EARLY_HEAD_MS
    log.fromat (command line): no such setting; the nearest is log.format
    app.env (APP_ENV): "staging" is not one of development, production
    app.debug (APP_DEBUG): "perhaps" is neither true nor false
    edge.port (orchestrator.toml): "70000" is not a port
    edge.core_endpoint (CORE_ENDPOINT): "core:50051" is not a URL of the form http://host:port
    edge.cors_origins (orchestrator.toml): "https://a/b" is neither * nor of the form https://host
    edge.max_headers (orchestrator.toml): 0 is below 1, the least that makes sense
    edge.trusted_proxies (TRUSTED_PROXIES): "10.1.0.0/8" has bits behind its prefix: 10.0.0.0/8 is the range
    grpc.host (GRPC_HOST in .env): "two words" is neither a host name nor an IP address
    keys.client (CLIENT_KEY): names the file "missing", which cannot be read: No such file or directory (os error 2)
    keys.master (MASTER_KEY): names the variable "NOT_SET", which is not set
    vendors.openai_base_url (OPENAI_BASE_URL): "https://****@api.example.com/v1?key=****" is not an http or https URL without user, query and fragment
    database.url (DATABASE_URL): has a parameter that is not understood: tls
    log.level (LOG_LEVEL): "loud" is not one of error, warn, info, debug, trace, off
    limits.max_body_bytes (MAX_BODY_BYTES): "32MiB" is not a whole number
    timeouts.total_ms (ORCHESTRATOR__TIMEOUTS__TOTAL_MS): 99999999999 is above 86400000, the most that makes sense
    "#);
    assert!(!problems.contains("s3cret"));
}

#[test]
fn a_broken_file_is_named_by_line_and_not_quoted() {
    let home = Home::new().file("orchestrator.toml", "[keys]\nadmin = 's3cret\n");
    let problems = home.problems();
    insta::assert_snapshot!(problems, @"orchestrator.toml: line 2: invalid literal string, expected `'`");
    assert!(!problems.contains("s3cret"));
}

#[test]
fn production_refuses_to_start_without_good_keys() {
    let production = || Home::new().variable("APP_ENV", "production");
    let home = production().variable("MASTER_KEY", "changeme");
    insta::assert_snapshot!(home.problems(), @r"
    keys.admin (ADMIN_KEY): is not set, and production generates no keys; `orchestrator-grpc init --env` makes a good one
    keys.master (MASTER_KEY): is weak: shorter than 24 characters; `orchestrator-grpc init --env` makes a good one
    ");
    assert_eq!(home.problems_of(Role::Edge), home.problems(), "an edge that embeds a core is one");

    let edge = production().variable("CORE_ENDPOINT", "http://core:50051");
    assert_eq!(edge.problems_of(Role::Edge), "", "an edge in front of a core holds no keys");
    assert_ne!(edge.problems(), "", "a core does, whoever the variable is for");

    let good = production().variable("ADMIN_KEY", GOOD_KEY).variable("MASTER_KEY", GOOD_KEY);
    assert_eq!(good.problems(), "");
}

#[test]
fn a_generated_env_file_is_good_for_production() {
    let (first, second) = (init_env::generate(), init_env::generate());
    assert_ne!(first, second);
    let loaded = Home::new().file(".env", &first).load();
    assert_eq!(loaded.config.app.env, AppEnv::Production);
    assert_eq!(loaded.places["keys.client"], "CLIENT_KEY in .env");

    // What it offers as a comment is a setting, and with its default value where it has one.
    let everything = first
        .replace("\n#", "\n")
        .replace("file:/run/secrets/openai", "x")
        .replace("file:/run/secrets/anthropic", "x")
        .replace("file:/run/secrets/gemini", "x");
    let uncommented: Vec<&str> =
        everything.lines().filter(|line| !line.is_empty() && !line.starts_with([' ', '#'])).collect();
    let loaded = Home::new().file(".env", &uncommented.join("\n")).load();
    assert_eq!(loaded.places.len(), uncommented.len());
    assert_eq!(loaded.config.limits.max_body_bytes, Config::default().limits.max_body_bytes);
    assert_eq!(loaded.config.timeouts.total_ms, Config::default().timeouts.total_ms);
}

#[test]
fn the_url_of_redis_is_checked_and_its_password_never_shown() {
    let home = Home::new().variable("REDIS_URL", "rediss://u:s3cret@cache:6380/2");
    let shown = show(&home.load());
    assert!(shown.contains("url = \"rediss://****@cache:6380/2\"  # REDIS_URL"), "{shown}");
    for wrong in ["http://u:s3cret@cache", "redis://u:s3cret@cache/name", "u:s3cret@cache"] {
        let told = Home::new().variable("REDIS_URL", wrong).problems();
        assert!(told.contains("redis.url") && !told.contains("s3cret"), "{told}");
    }
    let told = Home::new().set("redis.prefix", "{x}").problems();
    assert!(told.contains("redis.prefix"), "{told}");
}
