//! Whole answers, both ways.

use bytes::Bytes;

use super::{
    EXTRA, decode_items,
    event::{failure_of, finish_of},
    items::{For, Items},
    object::{Ending, Head},
    usage,
};
use crate::{
    chat::{ChatReply, Choice, PartKind},
    dialect::{
        json::{Fields, checked},
        openai::error::stream_error,
        openai_chat::reply::unreadable,
        scan::Object,
        splice::{Edit, splice},
    },
    error::{Error, Result},
};

use super::OWN;

/// Fields of an answer that the hub's own words decide.
const WRITTEN: [&str; 6] = ["object", "status", "error", "incomplete_details", "completed_at", "output_text"];

/// Reads a provider's answer. Errors are the provider's: an error body under a 200, or what is no answer.
pub(super) fn decode(body: &Bytes) -> Result<ChatReply> {
    let mut fields = Fields::body(body).map_err(|_| stream_error(body, OWN))?;
    if !fields.has("output") {
        return Err(stream_error(body, OWN));
    }
    let status = fields.lenient_string("status");
    let error = fields.take("error");
    if status == "failed" {
        return Err(failure_of(error));
    }
    let reply = answer(&mut fields, &status).map_err(unreadable)?;
    let rest = fields.rest().filter(|(name, _)| !WRITTEN.contains(&name.as_str()));
    let extras = rest.map(|(name, json)| (format!("{EXTRA}{name}"), json.to_owned())).collect();
    Ok(ChatReply { extras, ..reply })
}

fn answer(fields: &mut Fields<'_>, status: &str) -> Result<ChatReply> {
    let output = decode_items::output(fields.array("output")?.unwrap_or_default())?;
    let calls = output.message.parts.iter().any(|part| matches!(part.kind, PartKind::ToolCall(_)));
    let finish = finish_of(status, fields.take("incomplete_details"), calls);
    let logprobs = output.logprobs.join(",");
    let choice = Choice {
        index: 0,
        message: output.message,
        finish: finish.unwrap_or_default(),
        logprobs: (!logprobs.is_empty()).then(|| format!(r#"{{"content":[{logprobs}],"refusal":null}}"#)),
    };
    Ok(ChatReply {
        id: fields.lenient_string("id"),
        model: fields.lenient_string("model"),
        created: fields.lenient_seconds("created_at"),
        choices: vec![choice],
        usage: fields.take("usage").and_then(usage::read),
        service_tier: Some(fields.lenient_string("service_tier")).filter(|tier| !tier.is_empty()),
        ..ChatReply::default()
    })
}

/// Writes an answer for a caller: its first choice, for here there is one.
pub(super) fn encode(reply: &ChatReply) -> Result<Bytes> {
    let Some(choice) = reply.choices.first() else {
        return Err(Error::internal("an answer without a choice"));
    };
    let head = Head::new(&reply.id, reply.created, &reply.model);
    let ending = Ending::of(&choice.finish);
    // An answer has no list of what was dropped.
    let mut dropped = Vec::new();
    let mut items = Items::new(For::Caller(head.ids(), ending.status), &mut dropped);
    if let Some(elements) = choice.logprobs.as_deref().and_then(logprob_elements) {
        items = items.with_logprobs(elements.to_owned());
    }
    items.message(&choice.message, "output")?;
    let output = items.finish();
    let body = head.object(ending, &output, reply.usage.as_ref(), reply.service_tier.as_deref());
    let mut extras: Vec<Edit> = Vec::new();
    for (name, json) in &reply.extras {
        if let Some(field) = name.strip_prefix(EXTRA) {
            extras.push(Edit::Set(field.to_owned(), checked(json, name)?.to_owned()));
        }
    }
    if extras.is_empty() { Ok(Bytes::from(body)) } else { splice(body.as_bytes(), &extras) }
}

/// The elements of log probabilities in Chat's form, an array: they are the same here. Other dialects' would break the caller's parser.
pub(super) fn logprob_elements(json: &str) -> Option<&str> {
    let object = Object::scan(json.as_bytes(), 128).ok()?;
    let elements = std::str::from_utf8(object.get_non_null("content")?).ok()?;
    elements.starts_with('[').then_some(elements)
}
