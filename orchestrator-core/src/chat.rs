//! The hub's words for chat: what every dialect is translated into and out of. The typed plane's protobuf messages mirror them.
//!
//! Rich enough to lose nothing that two dialects share; what only one dialect has travels in `extras`, named
//! `DIALECT.FIELD`, and comes back out where that dialect is spoken. JSON that nobody here needs to read (schemas, arguments,
//! extras) is kept as text, so that numbers and key order survive.

pub mod answer;
pub mod size;

use std::collections::BTreeMap;

use bytes::Bytes;

pub use answer::{
    ChatEvent, ChatReply, Choice, Citation, Finish, FinishReason, OpenChoices, ToolCallDelta, Usage,
};

/// JSON text, passed on as it is.
pub type JsonText = String;

/// A request for one chat completion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatRequest {
    /// The model asked for.
    pub model: String,
    /// Oldest first.
    pub messages: Vec<Message>,
    /// Functions that the model may call.
    pub tools: Vec<Tool>,
    /// Whether and which tool must be called.
    pub tool_choice: Option<ToolChoice>,
    /// `Some(false)`: at most one tool call.
    pub parallel_tool_calls: Option<bool>,
    /// The most tokens to generate, reasoning included.
    pub max_output_tokens: Option<u32>,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// Sample from the k likeliest tokens.
    pub top_k: Option<u32>,
    /// -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// -2 to 2.
    pub presence_penalty: Option<f64>,
    /// Texts at which generation ends.
    pub stop: Vec<String>,
    /// Best-effort determinism.
    pub seed: Option<i64>,
    /// How many choices; `None` means one.
    pub candidate_count: Option<u32>,
    /// The form of the answer.
    pub response_format: Option<ResponseFormat>,
    /// How much the model should reason.
    pub reasoning: Option<Reasoning>,
    /// How many alternatives a token to give log probabilities for, 0 to 20; `None` means no log probabilities.
    pub top_logprobs: Option<u32>,
    /// The provider's service tier.
    pub service_tier: Option<String>,
    /// The end user on whose behalf the call is made.
    pub end_user: Option<String>,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// Whether the caller asked for usage at the end of its stream.
    pub include_usage: bool,
    /// `DIALECT.FIELD` to JSON.
    pub extras: BTreeMap<String, JsonText>,
}

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions of the operator.
    System,
    /// Instructions of the developer.
    Developer,
    /// The person or program that asks.
    User,
    /// The model.
    Assistant,
    /// Results of tools.
    Tool,
}

/// One turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
    /// Tells apart speakers of one role.
    pub name: Option<String>,
}

/// A piece of a message, with its prompt-cache mark if it has one.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// A prompt-cache mark after this part.
    pub cache_control: Option<JsonText>,
    /// Where a text's claims come from.
    pub citations: Vec<Citation>,
}

impl From<PartKind> for Part {
    fn from(kind: PartKind) -> Self {
        Self { kind, cache_control: None, citations: Vec::new() }
    }
}

/// What a piece of a message is.
#[derive(Clone, Debug, PartialEq)]
pub enum PartKind {
    /// Text.
    Text(String),
    /// A picture.
    Image(Media),
    /// A document.
    File(Media),
    /// Sound.
    Audio(Media),
    /// A refusal by the model, in its words.
    Refusal(String),
    /// Reasoning of the model; goes back unchanged to the provider that it came from.
    Reasoning(ReasoningPart),
    /// A call of a tool.
    ToolCall(ToolCall),
    /// The result of a tool call.
    ToolResult(ToolResult),
    /// A part that the hub does not model.
    Opaque {
        /// The dialect it is written in.
        dialect: String,
        /// The part as that dialect has it.
        json: JsonText,
    },
}

/// A picture, document or sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    /// Where it is.
    pub source: MediaSource,
    /// `image/png`; empty when unknown.
    pub mime_type: String,
    /// A file's name.
    pub filename: Option<String>,
    /// How closely a picture is looked at.
    pub detail: Option<String>,
}

/// Where a medium is.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaSource {
    /// At an address.
    Url(String),
    /// Here, decoded.
    Data(Bytes),
    /// Uploaded to the provider.
    FileId(String),
}

/// Reasoning as the model gave it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReasoningPart {
    /// The visible text; may be empty.
    pub text: String,
    /// The provider's signature over it, [sealed](crate::dialect::seal).
    pub signature: Option<String>,
    /// Encrypted or redacted reasoning, sealed.
    pub encrypted: Option<String>,
}

/// A call of a tool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolCall {
    /// The result names it.
    pub id: String,
    /// The tool.
    pub name: String,
    /// JSON text as the model wrote it, not always valid.
    pub arguments: JsonText,
    /// The provider's signature over the call's reasoning, [sealed](crate::dialect::seal).
    pub signature: Option<String>,
}

/// The result of a tool call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolResult {
    /// The id of the call.
    pub tool_call_id: String,
    /// The tool, where the caller knows it.
    pub name: Option<String>,
    /// Text, images or files.
    pub parts: Vec<Part>,
    /// The tool failed and the parts say how.
    pub is_error: bool,
}

/// A function that the model may call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// JSON schema of the arguments; empty means none.
    pub parameters: JsonText,
    /// The arguments must follow the schema exactly.
    pub strict: Option<bool>,
}

/// Whether and which tool must be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// No tool.
    None,
    /// The model decides.
    Auto,
    /// Some tool.
    Required,
    /// This tool.
    Named(String),
}

/// The form of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum ResponseFormat {
    /// Text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON after a schema.
    JsonSchema {
        /// At most 64 of letters, digits, `_`, `-`.
        name: String,
        /// What it is for.
        description: Option<String>,
        /// The schema.
        schema: JsonText,
        /// Must be followed exactly.
        strict: Option<bool>,
    },
}

/// How much a model should reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reasoning {
    /// `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`.
    pub effort: Option<String>,
    /// The most tokens for it.
    pub budget_tokens: Option<u32>,
    /// Whether its text should come with the answer.
    pub include_text: Option<bool>,
}
