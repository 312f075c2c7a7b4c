//! Whole answers, both ways.

use bytes::Bytes;

use super::{EXTRA, decode_messages, encode_messages::Sorted};
use crate::{
    chat::{ChatReply, Choice, Citation, Message, PartKind},
    dialect::Dialect,
    dialect::{
        Thinking,
        json::{Fields, ObjectWriter, array, checked},
        openai::{
            citations,
            content::{self, Reader},
            error::stream_error,
            usage,
            write::{Head, finish_reason, logprobs_with},
        },
        splice::{Edit, splice},
    },
    error::{Error, ErrorKind, Result},
};

/// Reads a provider's answer. Errors are the provider's: an error body under a 200, or what is no answer.
pub(super) fn decode(body: &Bytes) -> Result<ChatReply> {
    let mut fields = Fields::body(body).map_err(|_| stream_error(body, Dialect::OpenAiChat))?;
    if fields.has("error") || !fields.has("choices") {
        return Err(stream_error(body, Dialect::OpenAiChat));
    }
    let mut reply = answer(&mut fields).map_err(unreadable)?;
    // Perplexity's lists stay beside the answer too: its clients look for them there.
    let lists = ["citations", "search_results"].map(|name| fields.peek(name));
    if let Some(choice) = reply.choices.first_mut() {
        attach(&mut choice.message, citations::sources(lists[0], lists[1]));
    }
    reply.extras = fields.rest().map(|(name, json)| (format!("{EXTRA}{name}"), json.to_owned())).collect();
    Ok(reply)
}

/// Gives the last text of a message the sources that it does not name yet.
fn attach(message: &mut Message, sources: Vec<Citation>) {
    let text = message.parts.iter_mut().rfind(|part| matches!(part.kind, PartKind::Text(_)));
    let Some(text) = text else { return };
    for source in sources {
        if !text.citations.iter().any(|known| known.url == source.url) {
            text.citations.push(source);
        }
    }
}

/// A wrong field in an answer is nothing that the caller could mend.
pub(in crate::dialect) fn unreadable(error: Error) -> Error {
    let message = format!("the provider's answer cannot be read: {}", error.message);
    Error::new(ErrorKind::ProviderFailed, message)
}

fn answer(fields: &mut Fields<'_>) -> Result<ChatReply> {
    fields.take("object");
    let mut choices = Vec::new();
    for (at, json) in fields.array("choices")?.unwrap_or_default().into_iter().enumerate() {
        choices.push(choice(Fields::parse(json, &format!("choices[{at}]"))?, at)?);
    }
    Ok(ChatReply {
        id: fields.lenient_string("id"),
        model: fields.lenient_string("model"),
        created: fields.lenient_seconds("created"),
        choices,
        usage: fields.take("usage").and_then(|json| usage::read(json.as_bytes())),
        service_tier: Some(fields.lenient_string("service_tier")).filter(|tier| !tier.is_empty()),
        ..ChatReply::default()
    })
}

fn choice(mut fields: Fields<'_>, at: usize) -> Result<Choice> {
    let Some(mut message) = fields.object("message")? else {
        return Err(Error::invalid(fields.path_of("message"), "a choice has no message"));
    };
    message.take("role");
    let reason = Some(fields.lenient_string("finish_reason")).filter(|reason| !reason.is_empty());
    Ok(Choice {
        index: fields.integer("index")?.unwrap_or(at as u32),
        message: decode_messages::assistant(message, "call_0")?,
        finish: reason.map(content::finish).unwrap_or_default(),
        logprobs: fields.take("logprobs").map(str::to_owned),
    })
}

/// Writes an answer for a caller. An answer without an id gets `chatcmpl-0`.
pub(super) fn encode(reply: &ChatReply) -> Result<Bytes> {
    let mut choices: Vec<String> = Vec::with_capacity(reply.choices.len());
    for (at, choice) in reply.choices.iter().enumerate() {
        choices.push(write_choice(choice, at)?);
    }
    let mut out = Head::new(&reply.id, reply.created, &reply.model, "chatcmpl-0").open("chat.completion");
    out.raw("choices", &array(&choices));
    if let Some(usage) = &reply.usage {
        out.raw("usage", &usage::write(usage));
    }
    out.optional_string("service_tier", reply.service_tier.as_deref());
    let body = out.finish();
    let mut extras: Vec<Edit> = Vec::new();
    for (name, json) in &reply.extras {
        if let Some(field) = name.strip_prefix(EXTRA) {
            extras.push(Edit::Set(field.to_owned(), checked(json, name)?.to_owned()));
        }
    }
    if extras.is_empty() { Ok(Bytes::from(body)) } else { splice(body.as_bytes(), &extras) }
}

fn write_choice(choice: &Choice, at: usize) -> Result<String> {
    let mut message = ObjectWriter::new();
    message.string("role", "assistant");
    // An answer has no list of what was dropped: what another dialect alone has a word for is no part of a caller's answer.
    let mut dropped = Vec::new();
    Sorted::of(&choice.message, &format!("choices[{at}].message"), Reader::Caller, &mut dropped)?
        .write_assistant(Thinking::Content, &mut message)?;
    let mut out = ObjectWriter::new();
    out.plain("index", choice.index);
    out.raw("message", &message.finish());
    out.raw("logprobs", logprobs_with(choice.logprobs.as_ref(), &["content", "refusal"]).unwrap_or("null"));
    out.raw("finish_reason", finish_reason(&choice.finish));
    Ok(out.finish())
}
