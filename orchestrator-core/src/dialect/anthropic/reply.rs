//! Whole answers, both ways.

use bytes::Bytes;

use super::{
    EXTRA,
    blocks::{self, Strictness},
    error::stream_error,
    finish, usage,
    usage::Counts,
    write::{Reader, blocks},
};
use crate::{
    call::Signals,
    chat::{ChatReply, Choice, Finish, FinishReason, Message, PartKind, Role, Usage},
    dialect::{
        json::{Fields, ObjectWriter, array, checked},
        splice::quoted,
    },
    error::{Error, Result},
};

/// The id of an answer whose provider gave none.
const NO_ID: &str = "msg_unknown";

/// Reads the signals of a whole answer.
pub(super) fn inspect(body: &Bytes) -> Signals {
    let failed = || Signals { error: Some(stream_error(body)), ..Signals::default() };
    let Ok(mut fields) = Fields::body(body) else { return failed() };
    if !fields.has("content") || fields.has("error") {
        return failed();
    }
    let counts = fields.take("usage").and_then(Counts::read);
    let reason = fields.lenient_string("stop_reason");
    Signals {
        content: true,
        usage: counts.as_ref().and_then(Counts::usage),
        finish: (!reason.is_empty()).then(|| finish::read(&reason)),
        terminator: true,
        model: Some(fields.lenient_string("model")).filter(|model| !model.is_empty()),
        output_bytes: fields.peek("content").map_or(0, str::len),
        ..Signals::default()
    }
}

/// Reads a provider's answer.
pub(super) fn decode(body: &[u8]) -> Result<ChatReply> {
    let mut fields = Fields::body(body)?;
    let content = fields.take("content").unwrap_or("[]");
    let parts = blocks::content(content, "content", Strictness::Answer)?;
    let counts = fields.take("usage").and_then(Counts::read);
    let reason = fields.lenient_string("stop_reason");
    let finish = if reason.is_empty() { Finish::default() } else { finish::read(&reason) };
    let message = Message { role: Role::Assistant, parts, name: None };
    let mut reply = ChatReply {
        id: fields.lenient_string("id"),
        model: fields.lenient_string("model"),
        choices: vec![Choice { index: 0, message, finish, logprobs: None }],
        usage: counts.as_ref().and_then(Counts::usage),
        service_tier: counts
            .and_then(|counts| counts.service_tier)
            .map(|it| usage::read_tier(&it).to_owned()),
        ..ChatReply::default()
    };
    for known in ["type", "role"] {
        fields.take(known);
    }
    for (name, json) in fields.rest() {
        reply.extras.insert(format!("{EXTRA}{name}"), json.to_owned());
    }
    Ok(reply)
}

/// Writes an answer for a caller. Messages have one choice.
pub(super) fn encode(reply: &ChatReply) -> Result<Bytes> {
    let choice = reply.choices.first().ok_or_else(|| Error::internal("an answer without a choice"))?;
    // A caller is told all: nothing is left out but sound, which no client of Anthropic's could play.
    let written = blocks(&choice.message.parts, Reader::Caller, "content", &mut Vec::new())?;
    let content: Vec<String> = written.into_iter().map(|written| written.json).collect();
    let called = choice.message.parts.iter().any(|part| matches!(part.kind, PartKind::ToolCall(_)));
    let mut out = ObjectWriter::new();
    out.string("id", if reply.id.is_empty() { NO_ID } else { &reply.id });
    out.string("type", "message");
    out.string("role", "assistant");
    out.string("model", &reply.model);
    out.raw("content", &array(&content));
    out.string("stop_reason", stop_reason(&choice.finish, called));
    let extra = |name: &str| reply.extras.get(&format!("{EXTRA}{name}"));
    let stop = extra("stop_sequence").map_or("null", String::as_str);
    out.raw("stop_sequence", checked(stop, "extras.anthropic.stop_sequence")?);
    // Clients demand it. Whoever knows the request has put an estimate there if nobody counted.
    let estimated = || Usage::estimated(0, content.iter().map(String::len).sum());
    out.raw("usage", &usage::write(&reply.usage.unwrap_or_else(estimated), reply.service_tier.as_deref()));
    for (name, json) in &reply.extras {
        if let Some(field) = name.strip_prefix(EXTRA).filter(|field| *field != "stop_sequence") {
            out.raw(field, checked(json, name)?);
        }
    }
    Ok(Bytes::from(out.finish()))
}

/// Some servers finish a turn of calls with `stop`; clients of Anthropic look only at the reason.
pub(super) fn stop_reason(finish: &Finish, called: bool) -> &str {
    match finish::write(finish) {
        // What ended for an odd reason is no turn of calls, whatever calls stand in it.
        "end_turn" if called && finish.reason != Some(FinishReason::Other) => "tool_use",
        reason => reason,
    }
}

/// `message_start` of a stream, with what is known of its usage so far.
pub(super) fn start(id: &str, model: &str, usage: &Usage) -> String {
    let id = quoted(if id.is_empty() { NO_ID } else { id });
    let usage = usage::write(usage, None);
    format!(
        r#"{{"type":"message_start","message":{{"id":{id},"type":"message","role":"assistant","model":{},"content":[],"stop_reason":null,"stop_sequence":null,"usage":{usage}}}}}"#,
        quoted(model)
    )
}
