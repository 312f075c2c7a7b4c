//! `encrypted_content`: what a reasoning item carries for its provider alone.
//!
//! OpenAI puts encrypted reasoning there. Other vendors sign instead: Anthropic its reasoning, Gemini its calls too. So that a caller
//! of Responses hands those back as well, a sealed signature stands there behind a word that says what it is. OpenAI's own content
//! never begins so: it is base64.

use super::OWN;
use crate::{chat::ReasoningPart, dialect::seal};

/// A signature over the item's own text.
const SIGNATURE: &str = "signature.";
/// A signature of the function call that follows the item.
const CALL: &str = "call-signature.";

/// What an `encrypted_content` is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sealed {
    /// Encrypted reasoning.
    Encrypted(String),
    /// A signature over the item's text.
    Signature(String),
    /// A signature of the call that follows.
    Call(String),
}

/// Reads an `encrypted_content`; the text in it is sealed afterwards.
pub(super) fn read(content: &str) -> Sealed {
    if let Some(signature) = content.strip_prefix(SIGNATURE) {
        return Sealed::Signature(seal::seal(OWN, signature));
    }
    if let Some(signature) = content.strip_prefix(CALL) {
        return Sealed::Call(seal::seal(OWN, signature));
    }
    Sealed::Encrypted(seal::seal(OWN, content))
}

/// What a caller is shown of reasoning.
pub(super) fn show(thought: &ReasoningPart) -> Option<String> {
    let signature = thought.signature.as_ref().map(|text| format!("{SIGNATURE}{}", seal::show(OWN, text)));
    thought.encrypted.as_ref().map(|text| seal::show(OWN, text)).or(signature)
}

/// What a caller is shown of a call's signature.
pub(super) fn show_call(signature: &str) -> String {
    format!("{CALL}{}", seal::show(OWN, signature))
}
