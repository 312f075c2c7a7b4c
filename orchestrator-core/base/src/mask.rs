//! What may be shown of a secret: enough to tell two apart, too little to use.

/// What stands for something that is not shown.
pub const HIDDEN: &str = "****";

/// Below this many characters nothing of a secret is shown: the ends would be too much of it.
const LEAST_SHOWN: usize = 16;

/// Query parameters that carry credentials have one of these in their name (Gemini's `?key=`, `access_token`, `X-Amz-Signature`, …).
const SECRET_PARAMETERS: &[&str] = &["key", "token", "secret", "password", "signature", "sig"];

/// `sk-p…4xYz`: the first and last four characters; of a short secret, nothing.
pub fn secret(secret: &str) -> String {
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
    match rest.split_once('?') {
        Some((before, query)) => {
            shown.push_str(before);
            shown.push('?');
            shown.push_str(&masked_query(query));
        }
        None => shown.push_str(rest),
    }
    shown
}

fn masked_query(query: &str) -> String {
    let mut shown = Vec::new();
    for parameter in query.split('&') {
        let (name, _) = parameter.split_once('=').unwrap_or((parameter, ""));
        let lowercase = name.to_ascii_lowercase();
        if SECRET_PARAMETERS.iter().any(|word| lowercase.contains(word)) {
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

    proptest! {
        #[test]
        fn no_text_makes_masking_fail(text in ".*") {
            let _ = (secret(&text), url(&text));
        }
    }
}
