//! Where a provider's opaque reasoning comes from.
//!
//! Signatures and encrypted reasoning mean something only to the vendor that made them, and callers hand them back in whatever
//! dialect they speak. So in the hub, and in answers to callers of another dialect, such a text is *sealed*: base64 of its origin
//! and itself. A provider is only ever given what its own dialect made; what is another's is left out and reported.
//!
//! Base64, because some SDKs (google-genai) refuse any other text there. The origin is a whole number of base64 groups long, so
//! that a sealed text can be told by its beginning, and a body that holds one by one search.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::Dialect;

/// Opens every sealed text: a multiple of three bytes, so that it is the same four characters a group in all of them.
const MARK: &str = "orc-seal:";
/// [`MARK`] in base64: how every sealed text begins. A body that holds one must not travel as it is: the provider would refuse it.
pub const MARK_BASE64: &str = "b3JjLXNlYWw6";

/// Whose reasoning a text is.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened {
    /// Made by a provider of the dialect that asked: the text as the provider gave it.
    Own(String),
    /// Made by another's, which is the only one that can read it.
    Foreign,
}

/// Seals what a provider of `origin` made. What is sealed already stays as it is.
pub fn seal(origin: Dialect, text: &str) -> String {
    if is_sealed(text) {
        return text.to_owned();
    }
    STANDARD.encode(format!("{MARK}{}:{text}", origin.name()))
}

/// What a provider of `dialect` may be told. A text that is not sealed comes from a caller of the typed plane that had it from
/// elsewhere; it is taken at its word.
pub fn open(dialect: Dialect, text: &str) -> Opened {
    if !is_sealed(text) {
        return Opened::Own(text.to_owned());
    }
    match unsealed(text) {
        Some((origin, own)) if origin == dialect.name() => Opened::Own(own),
        _ => Opened::Foreign,
    }
}

/// What a caller of `dialect` is told: its own vendor's text as it was, another's sealed.
pub fn show(dialect: Dialect, text: &str) -> String {
    match open(dialect, text) {
        Opened::Own(own) => own,
        Opened::Foreign => text.to_owned(),
    }
}

/// Whether a text is sealed.
pub fn is_sealed(text: &str) -> bool {
    text.starts_with(MARK_BASE64)
}

fn unsealed(text: &str) -> Option<(String, String)> {
    let plain = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let (origin, own) = plain.strip_prefix(MARK)?.split_once(':')?;
    Some((origin.to_owned(), own.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: Dialect = Dialect::OpenAiChat;

    #[test]
    fn what_one_vendor_signed_is_given_to_it_alone_and_unchanged() {
        let sealed = seal(CHAT, "s/g==: ä");
        assert_eq!(open(CHAT, &sealed), Opened::Own("s/g==: ä".to_owned()));
        assert_eq!(open(Dialect::OpenAiEmbeddings, &sealed), Opened::Foreign);
        assert_eq!(show(CHAT, &sealed), "s/g==: ä");
        assert_eq!(show(Dialect::OpenAiEmbeddings, &sealed), sealed);
    }

    #[test]
    fn a_sealed_text_is_known_and_not_sealed_twice() {
        let sealed = seal(CHAT, "");
        assert!(is_sealed(&sealed) && !is_sealed("orc-seal:"));
        assert_eq!(seal(Dialect::OpenAiEmbeddings, &sealed), sealed);
    }

    #[test]
    fn a_broken_seal_belongs_to_nobody() {
        for broken in ["b3JjLXNlYWw6", "b3JjLXNlYWw6!", "b3JjLXNlYWw6Zm9v"] {
            assert_eq!(open(CHAT, broken), Opened::Foreign, "{broken}");
        }
    }
}
