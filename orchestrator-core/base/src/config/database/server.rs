//! URLs of servers: what other programs' drivers call things becomes what ours do.
//!
//! A parameter that is not understood is an error. One that is passed over could be the one that asked for TLS.

use url::Url;

use super::ServerUrl;

/// What a URL may say, by all the names that drivers have for it, and what ours takes; an empty name drops it.
type Parameters = &'static [(&'static str, &'static str)];

const MYSQL: Parameters = &[
    ("ssl-mode", "ssl-mode"),
    ("sslmode", "ssl-mode"),
    ("ssl_mode", "ssl-mode"),
    ("ssl-ca", "ssl-ca"),
    ("sslca", "ssl-ca"),
    ("ssl_ca", "ssl-ca"),
    ("ssl-cert", "ssl-cert"),
    ("sslcert", "ssl-cert"),
    ("ssl_cert", "ssl-cert"),
    ("ssl-key", "ssl-key"),
    ("sslkey", "ssl-key"),
    ("ssl_key", "ssl-key"),
    ("socket", "socket"),
    ("unix_socket", "socket"),
    ("statement-cache-capacity", "statement-cache-capacity"),
    // This program chooses them itself.
    ("charset", ""),
    ("collation", ""),
    ("autocommit", ""),
];

const POSTGRES: Parameters = &[
    ("sslmode", "sslmode"),
    ("ssl-mode", "sslmode"),
    ("ssl", "sslmode"),
    ("sslrootcert", "sslrootcert"),
    ("sslcert", "sslcert"),
    ("sslkey", "sslkey"),
    ("host", "host"),
    ("options", "options"),
    ("statement-cache-capacity", "statement-cache-capacity"),
    ("application_name", ""),
    ("client_encoding", ""),
];

const MYSQL_MODES: &[&str] = &["disabled", "preferred", "required", "verify_ca", "verify_identity"];
const POSTGRES_MODES: &[&str] = &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// `rest` is what follows `mysql:`.
pub(super) fn mysql(rest: &str) -> Result<ServerUrl, String> {
    read("mysql", rest, MYSQL, MYSQL_MODES)
}

/// `rest` is what follows `postgres:`.
pub(super) fn postgres(rest: &str) -> Result<ServerUrl, String> {
    read("postgres", rest, POSTGRES, POSTGRES_MODES)
}

fn read(scheme: &str, rest: &str, parameters: Parameters, modes: &[&str]) -> Result<ServerUrl, String> {
    let form = format!("{scheme}://USER:PASSWORD@HOST:PORT/DATABASE");
    let Some(rest) = rest.strip_prefix("//") else {
        return Err(format!("is not of the form {form}"));
    };
    // `user@/database` is PostgreSQL's form for a socket, which a parameter names.
    let rest = match rest.split_once("@/") {
        Some((user, path)) if !user.contains('/') => format!("{user}@localhost/{path}"),
        _ => rest.to_owned(),
    };
    let mut url = Url::parse(&format!("{scheme}://{rest}")).map_err(|error| {
        format!(
            "cannot be read: {error} (in a password, @ is %40, / is %2F, : is %3A, ? is %3F and # is %23)"
        )
    })?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("names no host: {form}"));
    }
    if url.path().trim_matches('/').is_empty() {
        return Err(format!("names no database: {form}"));
    }
    let given: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    url.set_query(None);
    for (name, value) in given {
        let lowercase = name.to_ascii_lowercase();
        let Some((_, ours)) = parameters.iter().find(|(theirs, _)| *theirs == lowercase) else {
            return Err(format!("has a parameter that is not understood: {name}"));
        };
        let value = if ours.ends_with("mode") { mode(ours, &value, modes)? } else { value };
        if !ours.is_empty() {
            url.query_pairs_mut().append_pair(ours, &value);
        }
    }
    Ok(String::from(url).into())
}

/// `Required` and `VERIFY-CA` are understood whatever the case and the dash.
fn mode(name: &str, value: &str, modes: &[&str]) -> Result<String, String> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('_', "-");
    if let Some(mode) = modes.iter().find(|mode| plain(mode) == plain(value)) {
        return Ok((*mode).to_owned());
    }
    let (last, others) = modes.split_last().unwrap_or((&"", &[]));
    Err(format!("has a {name} that is not understood: use {} or {last}", others.join(", ")))
}
