//! Whole answers, both ways.

use bytes::Bytes;

use crate::{
    chat::{ChatReply, Choice, Message, Part, PartKind, Role},
    dialect::{
        Dialect,
        json::ObjectWriter,
        json::{Fields, array},
        openai::{
            content,
            error::stream_error,
            usage,
            write::{Head, finish_reason, logprobs_with},
        },
        openai_chat::reply::unreadable,
    },
    error::Result,
};

/// Reads a provider's answer. Errors are the provider's.
pub(super) fn decode(body: &Bytes) -> Result<ChatReply> {
    let failed = || stream_error(body, Dialect::OpenAiCompletions);
    let mut fields = Fields::body(body).map_err(|_| failed())?;
    if fields.has("error") || !fields.has("choices") {
        return Err(failed());
    }
    answer(&mut fields).map_err(unreadable)
}

fn answer(fields: &mut Fields<'_>) -> Result<ChatReply> {
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
        ..ChatReply::default()
    })
}

fn choice(mut fields: Fields<'_>, at: usize) -> Result<Choice> {
    let text = fields.string("text")?.unwrap_or_default();
    let parts = if text.is_empty() { Vec::new() } else { vec![Part::from(PartKind::Text(text))] };
    let reason = Some(fields.lenient_string("finish_reason")).filter(|reason| !reason.is_empty());
    Ok(Choice {
        index: fields.integer("index")?.unwrap_or(at as u32),
        message: Message { role: Role::Assistant, parts, name: None },
        finish: reason.map(content::finish).unwrap_or_default(),
        logprobs: fields.take("logprobs").map(str::to_owned),
    })
}

/// Writes an answer for a caller: the text alone, for this dialect knows nothing else. An answer without an id gets `cmpl-0`.
pub(super) fn encode(reply: &ChatReply) -> Bytes {
    let choices: Vec<String> = reply.choices.iter().map(write_choice).collect();
    let mut out = Head::new(&reply.id, reply.created, &reply.model, "cmpl-0").open("text_completion");
    out.raw("choices", &array(&choices));
    if let Some(usage) = &reply.usage {
        out.raw("usage", &usage::write(usage));
    }
    Bytes::from(out.finish())
}

fn write_choice(choice: &Choice) -> String {
    let mut text = String::new();
    for part in &choice.message.parts {
        if let PartKind::Text(piece) = &part.kind {
            text.push_str(piece);
        }
    }
    let mut out = ObjectWriter::new();
    out.string("text", &text);
    out.plain("index", choice.index);
    out.raw("logprobs", logprobs_with(choice.logprobs.as_ref(), &["tokens"]).unwrap_or("null"));
    out.raw("finish_reason", finish_reason(&choice.finish));
    out.finish()
}
