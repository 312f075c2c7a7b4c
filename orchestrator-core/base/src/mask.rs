//! What may be shown of a secret: enough to tell two apart, too little to use.

use std::{borrow::Cow, collections::BTreeMap};

/// What stands for something that is not shown.
pub const HIDDEN: &str = "****";

/// Below this many characters nothing of a secret is shown: the ends would be too much of it.
const LEAST_SHOWN: usize = 16;

/// Query parameters and headers that carry credentials have one of these in their name (Gemini's `?key=`, `access_token`, `X-Amz-Signature`, …).
const SECRET_NAMES: &[&str] =
    &["key", "token", "secret", "pass", "pwd", "sig", "auth", "cred", "jwt", "bearer", "cookie"];

/// Whether everything is shown: for the one test that shows what masking is for. A release build has no such switch.
#[cfg(debug_assertions)]
static UNMASKED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// From now on this process, of a debug build, shows its secrets.
#[cfg(debug_assertions)]
#[doc(hidden)]
pub fn show_secrets() {
    UNMASKED.store(true, std::sync::atomic::Ordering::Relaxed);
}

/// Whether secrets are hidden, as in every release build.
fn hides() -> bool {
    #[cfg(debug_assertions)]
    if UNMASKED.load(std::sync::atomic::Ordering::Relaxed) {
        return false;
    }
    true
}

/// In place of a secret, all of it: [`HIDDEN`].
pub fn hidden(secret: &str) -> &str {
    if hides() { HIDDEN } else { secret }
}

/// `sk-p…4xYz`: the first and last four characters; of a short secret, nothing.
pub fn secret(secret: &str) -> String {
    if !hides() {
        return secret.to_owned();
    }
    let characters: Vec<char> = secret.chars().collect();
    if characters.len() < LEAST_SHOWN {
        return HIDDEN.to_owned();
    }
    let head: String = characters[..4].iter().collect();
    let tail: String = characters[characters.len() - 4..].iter().collect();
    format!("{head}…{tail}")
}

/// A URL without its user information and without the values of query parameters that carry credentials.
///
/// It works on the text, so that a URL that does not parse is masked too. Whatever stands before the last `@` counts as user
/// information: passwords hold unescaped slashes and question marks in practice, and hiding too much harms nobody.
pub fn url(url: &str) -> String {
    if !hides() {
        return url.to_owned();
    }
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let mut shown = String::with_capacity(url.len());
    if !scheme.is_empty() {
        shown.push_str(scheme);
        shown.push_str("://");
    }
    let rest = match rest.rsplit_once('@') {
        Some((_, after)) => {
            shown.push_str(HIDDEN);
            shown.push('@');
            after
        }
        None => rest,
    };
    shown.push_str(&path(rest));
    shown
}

/// Whether a header, or a parameter, of this name carries a secret, as far as its name says.
pub fn is_secret_name(name: &str) -> bool {
    let lowercase = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|word| lowercase.contains(word))
}

/// Headers with their values, but for those that carry secrets by their names: these are [`HIDDEN`].
pub fn headers(headers: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let shown = |(name, value): (&String, &String)| {
        let value = if is_secret_name(name) { hidden(value) } else { value };
        (name.clone(), value.to_owned())
    };
    headers.iter().map(shown).collect()
}

/// A path and its query, without the values of parameters that carry credentials.
pub fn path(path: &str) -> Cow<'_, str> {
    match path.split_once('?') {
        Some((before, query)) if hides() => Cow::Owned(format!("{before}?{}", masked_query(query))),
        _ => Cow::Borrowed(path),
    }
}

fn masked_query(query: &str) -> String {
    let mut shown = Vec::new();
    for parameter in query.split('&') {
        let (name, _) = parameter.split_once('=').unwrap_or((parameter, ""));
        // As a server reads it: `k%65y` is `key`.
        let read = url::form_urlencoded::parse(name.as_bytes()).next().unwrap_or_default();
        if is_secret_name(&read.0) {
            shown.push(format!("{name}={HIDDEN}"));
        } else {
            shown.push(parameter.to_owned());
        }
    }
    shown.join("&")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_secret_shows_its_ends_and_a_short_one_nothing() {
        assert_eq!(secret("sk-proj-abcdefgh4xYz"), "sk-p…4xYz");
        assert_eq!(secret("fifteen-letters"), "****");
        assert_eq!(secret("clé-très-secrète-é"), "clé-…te-é");
        assert_eq!(secret(""), "****");
    }

    #[test]
    fn a_url_shows_neither_user_nor_key() {
        let cases = [
            ("https://api.openai.com/v1", "https://api.openai.com/v1"),
            ("postgres://ann:p4ss@db:5432/llm", "postgres://****@db:5432/llm"),
            ("postgres://ann:p/4?s@s@db/llm", "postgres://****@db/llm"),
            ("https://h/v1?alt=sse&key=AIza123", "https://h/v1?alt=sse&key=****"),
            ("https://h/?X-API-Key=1&Access_Token=2", "https://h/?X-API-Key=****&Access_Token=****"),
            ("ann:p4ss@db", "****@db"),
            ("sqlite+aiosqlite:///./data/x.db", "sqlite+aiosqlite:///./data/x.db"),
        ];
        for (given, shown) in cases {
            assert_eq!(url(given), shown);
        }
    }

    #[test]
    fn a_path_shows_no_key_however_its_name_is_written() {
        assert_eq!(path("/v1/x?a=1&k%65y=2&sig=3&alt=sse"), "/v1/x?a=1&k%65y=****&sig=****&alt=sse");
        assert_eq!(path("/v1/models/a@b"), "/v1/models/a@b");
    }

    proptest! {
        #[test]
        fn no_text_makes_masking_fail(text in ".*") {
            let _ = (secret(&text), url(&text));
        }
    }
}
