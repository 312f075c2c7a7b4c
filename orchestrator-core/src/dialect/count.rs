//! Counts of a prompt's tokens: what their dialects have in common.
//!
//! A count's request is a chat's, less all that says how to answer; its answer is one number. So a count is a dialect of its own
//! beside its vendor's chat, whose code reads and writes the prompt; what differs is said by [`Counting`], in each vendor's
//! `count.rs`. In the hub a count's request is a chat, and its answer is [`HubReply::Count`]. There are no streams in it.

use bytes::Bytes;

use super::{
    Dialect, Edits, EncodeTarget, Encoded, ErrorAnswer, HubReply, HubRequest, StreamDecoder, StreamEncoder,
    Tap, Wire,
    json::{Fields, ObjectWriter},
    scan,
    splice::{Edit, splice},
};
use crate::{
    call::{Facts, ModelInfo, Signals, UsageSource},
    chat::{ChatRequest, JsonText},
    error::{Error, ErrorKind, Result},
};

/// How a vendor counts.
pub trait Counting: Send + Sync + 'static {
    /// The count's name.
    const DIALECT: Dialect;
    /// Top-level fields of the vendor's chat that its count takes. Vendors refuse the others.
    const FIELDS: &'static [&'static str];
    /// Where the number stands in an answer.
    const TOKENS: &'static str;

    /// The chat whose prompts are counted.
    fn chat() -> &'static dyn Wire;

    /// Reads the facts of a count's body.
    fn peek(body: &Bytes, max_depth: usize) -> Result<Facts> {
        Self::chat().peek(body, max_depth)
    }

    /// Rewrites the model in a count's body. The overrides among the edits are of [`Self::FIELDS`].
    fn splice(body: &Bytes, edits: &Edits<'_>) -> Result<Bytes> {
        Self::chat().splice(body, edits)
    }

    /// Reads a count's body. Errors name the path of the wrong field.
    fn decode(body: &Bytes) -> Result<HubRequest> {
        Self::chat().decode_request(body)
    }

    /// A count's body out of a chat's that has nothing but [`Self::FIELDS`].
    fn wrap(body: Bytes, _model: &str) -> Result<Bytes> {
        Ok(body)
    }

    /// An answer.
    fn reply(tokens: u64) -> String {
        let mut out = ObjectWriter::new();
        out.plain(Self::TOKENS, tokens);
        out.finish()
    }
}

/// A vendor's count as a dialect.
#[derive(Clone, Copy, Debug)]
pub struct Counter<C>(pub C);

impl<C: Counting> Wire for Counter<C> {
    fn dialect(&self) -> Dialect {
        C::DIALECT
    }

    /// A count uses no tokens, so of its length no estimate of any is made.
    fn peek(&self, body: &Bytes, max_depth: usize) -> Result<Facts> {
        let facts = C::peek(body, max_depth)?;
        Ok(Facts { stream: false, include_usage: false, body_bytes: 0, ..facts })
    }

    fn splice(&self, body: &Bytes, edits: &Edits<'_>) -> Result<Bytes> {
        let overrides = taken::<C>(edits.overrides);
        C::splice(body, &Edits { include_usage: false, overrides: &overrides, ..edits.clone() })
    }

    fn tap(&self, drop_injected_usage: bool) -> Box<dyn Tap> {
        C::chat().tap(drop_injected_usage)
    }

    /// An answer without a number is none.
    fn inspect(&self, body: &Bytes) -> Signals {
        Signals { error: tokens::<C>(body).err(), ..Signals::default() }
    }

    fn decode_request(&self, body: &Bytes) -> Result<HubRequest> {
        C::decode(body)
    }

    fn encode_request(&self, request: &HubRequest, target: &EncodeTarget<'_>) -> Result<Encoded> {
        let HubRequest::Chat(chat) = request else {
            return Err(Error::internal("embeddings are not counted"));
        };
        let overrides = taken::<C>(target.overrides);
        let target = EncodeTarget { include_usage: false, overrides: &overrides, ..*target };
        let Encoded { body, dropped } = C::chat().encode_request(&HubRequest::Chat(prompt(chat)), &target)?;
        Ok(Encoded { body: C::wrap(only_taken::<C>(&body)?, target.model)?, dropped })
    }

    fn decode_reply(&self, body: &Bytes) -> Result<HubReply> {
        Ok(HubReply::Count { tokens: tokens::<C>(body)?, source: UsageSource::Provider })
    }

    fn encode_reply(&self, reply: &HubReply) -> Result<Bytes> {
        match reply {
            HubReply::Count { tokens, .. } => Ok(C::reply(*tokens).into()),
            HubReply::Chat(_) | HubReply::Embed(_) => {
                Err(Error::internal("a count has nothing but a number"))
            }
        }
    }

    /// Streams of counts do not exist: no path asks for one.
    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        C::chat().stream_decoder()
    }

    fn stream_encoder(&self, facts: &Facts) -> Box<dyn StreamEncoder> {
        C::chat().stream_encoder(facts)
    }

    fn read_error(&self, answer: &ErrorAnswer<'_>) -> Error {
        C::chat().read_error(answer)
    }

    fn render_error(&self, error: &Error, request_id: &str) -> Bytes {
        C::chat().render_error(error, request_id)
    }

    fn render_error_event(&self, error: &Error, request_id: &str) -> Bytes {
        C::chat().render_error_event(error, request_id)
    }

    fn render_models(&self, models: &[ModelInfo]) -> Bytes {
        C::chat().render_models(models)
    }

    fn render_model(&self, model: &ModelInfo) -> Bytes {
        C::chat().render_model(model)
    }

    fn idle_bytes(&self) -> Option<Bytes> {
        None
    }
}

/// What of a chat is counted, so that nothing else is reported as dropped.
fn prompt(chat: &ChatRequest) -> Box<ChatRequest> {
    Box::new(ChatRequest {
        model: chat.model.clone(),
        messages: chat.messages.clone(),
        tools: chat.tools.clone(),
        tool_choice: chat.tool_choice.clone(),
        parallel_tool_calls: chat.parallel_tool_calls,
        response_format: chat.response_format.clone(),
        reasoning: chat.reasoning.clone(),
        extras: chat.extras.clone(),
        ..ChatRequest::default()
    })
}

/// Of a provider's overrides those that its count takes.
fn taken<C: Counting>(overrides: &[(String, JsonText)]) -> Vec<(String, JsonText)> {
    overrides.iter().filter(|(name, _)| C::FIELDS.contains(&name.as_str())).cloned().collect()
}

/// A chat's body less what its count refuses.
fn only_taken<C: Counting>(body: &Bytes) -> Result<Bytes> {
    let text =
        std::str::from_utf8(body).map_err(|_| Error::internal("a request was written that is no text"))?;
    let names = scan::entries(text)?.into_iter().map(|(name, _)| name.into_owned());
    let refused: Vec<Edit> =
        names.filter(|name| !C::FIELDS.contains(&name.as_str())).map(Edit::Remove).collect();
    splice(body, &refused)
}

/// The number in a provider's answer.
fn tokens<C: Counting>(body: &Bytes) -> Result<u64> {
    let number = Fields::body(body).and_then(|mut fields| fields.integer::<u64>(C::TOKENS));
    number.ok().flatten().ok_or_else(|| {
        let message = format!("the provider answered a count without `{}`", C::TOKENS);
        Error::new(ErrorKind::ProviderFailed, message)
    })
}

#[cfg(test)]
mod tests;
