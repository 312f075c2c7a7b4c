//! The hub's words for embeddings.

use std::collections::BTreeMap;

use crate::chat::{JsonText, Usage};

/// A request for the embeddings of some inputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbedRequest {
    /// The model asked for.
    pub model: String,
    /// At least one.
    pub inputs: Vec<EmbedInput>,
    /// The length of the vectors, where the model lets one choose.
    pub dimensions: Option<u32>,
    /// How the answer writes its vectors.
    pub encoding: EmbedEncoding,
    /// The end user on whose behalf the call is made.
    pub end_user: Option<String>,
    /// `DIALECT.FIELD` to JSON.
    pub extras: BTreeMap<String, JsonText>,
}

/// One input.
#[derive(Clone, Debug, PartialEq)]
pub enum EmbedInput {
    /// Text.
    Text(String),
    /// Tokens of the model's own vocabulary.
    Tokens(Vec<u32>),
}

/// How an answer writes its vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmbedEncoding {
    /// JSON numbers.
    #[default]
    Float,
    /// Base64 of little-endian 32-bit floats.
    Base64,
}

/// The embeddings, one an input and in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbedReply {
    /// The model that answered, in the provider's words.
    pub model: String,
    /// The vectors.
    pub embeddings: Vec<Vec<f32>>,
    /// How the caller is to get them: as the provider wrote them, for it was asked in the caller's encoding.
    pub encoding: EmbedEncoding,
    /// Tokens used, if the provider said.
    pub usage: Option<Usage>,
}
