//! Makes a value of a setting's text, or says why it is none. Messages quote what was given, except secrets.

use secrecy::{ExposeSecret as _, SecretString};
use toml::Value;
use url::Url;

use super::{
    database,
    layers::Layers,
    settings::{LEVELS, Shape},
    sources::Sources,
};
use crate::{mask, network::Network};

/// A file that holds one secret and is larger holds something else.
const MOST_SECRET_BYTES: u64 = 64 * 1024;
/// How many characters of a wrong value a message quotes.
const MOST_QUOTED: usize = 80;

/// Reads `text` as a value of this `shape`.
pub(super) fn parse(shape: Shape, text: &str, sources: &Sources, layers: &Layers) -> Result<Value, String> {
    let text = text.trim();
    match shape {
        Shape::Switch => switch(text),
        Shape::Word(words) => word(words, text),
        Shape::Number(least, most) => number(text, least, most),
        Shape::Port => port(text),
        Shape::Host => host(text),
        Shape::Path | Shape::Text => Ok(Value::from(text)),
        Shape::Endpoints => endpoints(text),
        Shape::Origins => origins(text),
        Shape::BaseUrl => base_url(text).map(Value::from),
        Shape::Dollars => dollars(text),
        Shape::Percents => percents(text),
        Shape::Share => share(text),
        Shape::Names => names(text),
        Shape::Pairs => pairs(text).map(|_| Value::from(text)),
        Shape::SecretPairs => {
            let secret = resolve(text, sources, layers)?;
            pairs(secret.expose_secret())?;
            Ok(Value::from(secret.expose_secret()))
        }
        Shape::Networks => networks(text),
        Shape::SecretUrl => {
            let url = resolve(text, sources, layers)?;
            let known = Url::parse(url.expose_secret()).ok();
            if known.is_none_or(|url| !matches!(url.scheme(), "http" | "https") || !url.has_host()) {
                return Err("is not an http or https URL".to_owned());
            }
            Ok(Value::from(url.expose_secret()))
        }
        Shape::Secret => Ok(Value::from(resolve(text, sources, layers)?.expose_secret())),
        Shape::DatabaseUrl => {
            let url = resolve(text, sources, layers)?;
            database::parse(url.expose_secret())?;
            Ok(Value::from(url.expose_secret()))
        }
        Shape::RedisUrl => {
            let url = resolve(text, sources, layers)?;
            redis_url(url.expose_secret())?;
            Ok(Value::from(url.expose_secret()))
        }
        Shape::KeyPrefix => key_prefix(text),
    }
}

/// `redis://[USER[:PASSWORD]@]HOST[:PORT][/NUMBER]`, `rediss` for TLS. Nothing of it is quoted.
fn redis_url(text: &str) -> Result<(), String> {
    let wrong = || "is not a URL of the form redis://[USER:PASSWORD@]HOST[:PORT][/NUMBER]".to_owned();
    let url = Url::parse(text).map_err(|_| wrong())?;
    let number = url.path().trim_start_matches('/');
    let is_numbered = number.is_empty() || number.parse::<u16>().is_ok();
    let is_redis = matches!(url.scheme(), "redis" | "rediss") && url.has_host();
    if is_redis && is_numbered { Ok(()) } else { Err(wrong()) }
}

/// Braces would say to which of a cluster's servers a key belongs.
fn key_prefix(text: &str) -> Result<Value, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '/');
    if text.len() <= 64 && text.chars().all(is_plain) {
        return Ok(Value::from(text));
    }
    Err(format!("{} is not made of at most 64 letters, digits and : - _ . /", quoted(text)))
}

fn switch(text: &str) -> Result<Value, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(Value::from(true)),
        "false" | "0" | "no" | "off" => Ok(Value::from(false)),
        _ => Err(format!("{} is neither true nor false", quoted(text))),
    }
}

fn word(words: &[&str], text: &str) -> Result<Value, String> {
    let mut lowercase = text.to_ascii_lowercase();
    if words == LEVELS {
        // What Python's and syslog's levels are called.
        lowercase = match lowercase.as_str() {
            "warning" => "warn".to_owned(),
            "critical" | "fatal" => "error".to_owned(),
            _ => lowercase,
        };
    }
    if words.contains(&lowercase.as_str()) {
        return Ok(Value::from(lowercase));
    }
    Err(format!("{} is not one of {}", quoted(text), words.join(", ")))
}

fn number(text: &str, least: i64, most: i64) -> Result<Value, String> {
    let number: i64 = text.parse().map_err(|_| format!("{} is not a whole number", quoted(text)))?;
    if number < least {
        return Err(format!("{number} is below {least}, the least that makes sense"));
    }
    if number > most {
        return Err(format!("{number} is above {most}, the most that makes sense"));
    }
    Ok(Value::from(number))
}

fn dollars(text: &str) -> Result<Value, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 9 {
        return Err(format!("{} is no number of dollars such as 2.50", quoted(text)));
    }
    match whole.parse::<u64>() {
        Ok(whole) if whole < 1_000_000 => Ok(Value::from(text)),
        _ => Err(format!("{} is a million dollars or more, the most that makes sense", quoted(text))),
    }
}

fn percents(text: &str) -> Result<Value, String> {
    let percents: Result<Vec<Value>, String> = list(text).map(|text| number(text, 1, 1000)).collect();
    Ok(Value::from(percents?))
}

fn share(text: &str) -> Result<Value, String> {
    let is_share = text.parse::<f64>().is_ok_and(|share| (0.0..=1.0).contains(&share));
    if is_share { Ok(Value::from(text)) } else { Err(format!("{} is no number from 0 to 1", quoted(text))) }
}

fn names(text: &str) -> Result<Value, String> {
    let is_name_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    for name in list(text) {
        if name != "*" && (name.len() > 64 || !name.chars().all(is_name_char)) {
            return Err(format!("{} is neither * nor the name of a provider", quoted(name)));
        }
    }
    Ok(Value::from(list(text).collect::<Vec<_>>()))
}

/// Reads `name=value`, comma-separated, percent-encoded where needed: the form of the variables of the OpenTelemetry standard.
/// Messages quote nothing, for values may be secrets.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    for pair in list(text) {
        let wrong = || "is not of the form name=value, comma-separated".to_owned();
        let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
        let is_name_char =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/');
        let name = name.trim();
        if name.is_empty() || !name.bytes().all(is_name_char) {
            return Err("holds a name that is not made of letters, digits and . _ - /".to_owned());
        }
        let value = percent_decoded(value.trim()).filter(|value| !value.contains(char::is_control));
        let value = value.ok_or_else(|| "holds a value that cannot be decoded".to_owned())?;
        pairs.push((name.to_owned(), value));
    }
    Ok(pairs)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(hex::decode(digits).ok()?.pop()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

fn networks(text: &str) -> Result<Value, String> {
    let network = |text: &str| match text.parse::<Network>() {
        Ok(network) => Ok(Value::from(network.to_string())),
        Err(error) => Err(format!("{} {error}", quoted(text))),
    };
    let networks: Result<Vec<Value>, String> = list(text).map(network).collect();
    Ok(Value::from(networks?))
}

fn port(text: &str) -> Result<Value, String> {
    let port: u16 = text.parse().map_err(|_| format!("{} is not a port", quoted(text)))?;
    Ok(Value::from(i64::from(port)))
}

/// A name or an address, an IPv6 one with or without brackets; it is kept without.
fn host(text: &str) -> Result<Value, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let is_address = bare.parse::<std::net::IpAddr>().is_ok();
    if is_address || (bare == text && url::Host::parse(text).is_ok()) {
        return Ok(Value::from(bare));
    }
    Err(format!("{} is neither a host name nor an IP address", quoted(text)))
}

fn endpoints(text: &str) -> Result<Value, String> {
    let mut endpoints = Vec::new();
    for endpoint in list(text) {
        let wrong = || format!("{} is not a URL of the form http://host:port", quoted(&mask::url(endpoint)));
        let url = http_url(endpoint).ok_or_else(wrong)?;
        if url.path() != "/" {
            return Err(wrong());
        }
        endpoints.push(endpoint.trim_end_matches('/'));
    }
    if endpoints.is_empty() {
        return Err("names no endpoint".to_owned());
    }
    Ok(Value::from(endpoints.join(",")))
}

/// Origins as a browser sends them (RFC 6454, section 6.1): lower case, without the scheme's own port and without a path.
fn origins(text: &str) -> Result<Value, String> {
    let mut origins = Vec::new();
    for origin in list(text) {
        if origin == "*" {
            origins.push(origin.to_owned());
            continue;
        }
        let wrong = || format!("{} is neither * nor of the form https://host", quoted(&mask::url(origin)));
        let url = Url::parse(origin).map_err(|_| wrong())?;
        let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        if !url.has_host() || !is_bare || has_credentials(&url) {
            return Err(wrong());
        }
        // Other schemes (`tauri://localhost`, browser extensions) have no normal form.
        let standard = url.origin().ascii_serialization();
        origins.push(if url.origin().is_tuple() {
            standard
        } else {
            origin.trim_end_matches('/').to_owned()
        });
    }
    Ok(Value::from(origins))
}

fn base_url(text: &str) -> Result<String, String> {
    if http_url(text).is_none() {
        let shown = quoted(&mask::url(text));
        return Err(format!("{shown} is not an http or https URL without user, query and fragment"));
    }
    Ok(text.to_owned())
}

fn http_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
    let is_bare = url.query().is_none() && url.fragment().is_none() && !has_credentials(&url);
    (is_http && is_bare).then_some(url)
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|element| !element.is_empty())
}

/// A secret as it stands, or the one that `env:NAME` or `file:/path` names.
pub(super) fn resolve(text: &str, sources: &Sources, layers: &Layers) -> Result<SecretString, String> {
    let secret = if let Some(name) = text.strip_prefix("env:") {
        let found = [&sources.environment, &layers.env_file].into_iter().find_map(|known| known.get(name));
        found.ok_or_else(|| format!("names the variable {}, which is not set", quoted(name)))?.clone()
    } else if let Some(path) = text.strip_prefix("file:") {
        sources
            .read(path.as_ref(), MOST_SECRET_BYTES)
            .map_err(|error| format!("names the file {}, which cannot be read: {error}", quoted(path)))?
    } else {
        text.to_owned()
    };
    let secret = secret.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(SecretString::from(secret))
}

fn quoted(text: &str) -> String {
    let start: String = text.chars().take(MOST_QUOTED).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("{start:?}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_as_the_standard_writes_them() {
        let read = pairs(" api-key = a%2Cb%3D ,deployment.environment=test,,empty=").unwrap();
        let read: Vec<_> = read.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(read, [("api-key", "a,b="), ("deployment.environment", "test"), ("empty", "")]);
        for wrong in
            ["s3cret", "=s3cret", "na me=s3cret", "a=s3cret%", "a=s3cret%2", "a=s3cret%zz", "a=s3cret%0a"]
        {
            let problem = pairs(wrong).unwrap_err();
            assert!(!problem.contains("s3cret"), "{wrong}: {problem}");
        }
    }
}
