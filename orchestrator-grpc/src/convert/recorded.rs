//! The typed plane's answers as they are written down for requests under an idempotency key, and read again: the contract's own
//! messages. Each stream's message is a whole [`v1::ChatEvent`].

use bytes::Bytes;
use orchestrator_core::{
    call::Idempotency,
    error::{Error, Result},
    orchestrator::{Form, TypedEvent},
    recording::claims::fingerprint,
};
use orchestrator_proto::v1;
use prost::Message;

use super::{
    chat_event::EventEncoder,
    chat_reply::{encode_count, encode_reply},
    embed,
};

/// A chat, whole.
pub const CHAT: Form = Form::Chat(|answered| encode(&encode_reply(answered)));
/// Embeddings.
pub const EMBED: Form = Form::Embed(|answered| encode(&embed::encode_reply(answered)));
/// A count of tokens.
pub const COUNT: Form = Form::Count(|answered| encode(&encode_count(&answered)));
/// A chat, streamed.
pub const STREAM: Form = Form::Stream(|served| {
    let mut encoder = EventEncoder::new(served);
    Box::new(move |said: TypedEvent| {
        let said = encoder.encode(said);
        said.into_iter().chain(encoder.held()).map(|event| encode(&event)).collect()
    })
});

fn encode(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

/// A message that was written down.
pub fn decode<M: Message + Default>(message: Bytes) -> Result<M> {
    M::decode(message).map_err(|_| Error::internal("what was written down of the answer cannot be read"))
}

/// What the options say, of a request that asks `message` of `method`. The message is one without its options: they do not change what
/// is asked.
pub fn idempotency(
    options: Option<&v1::CallOptions>,
    method: &str,
    message: &impl Message,
) -> Option<Box<Idempotency>> {
    let key = options.map(|options| &options.idempotency_key).filter(|key| !key.is_empty())?;
    let asked = fingerprint(&[method.as_bytes(), &message.encode_to_vec()]);
    Some(Box::new(Idempotency { key: key.clone(), asked: Some(asked) }))
}
