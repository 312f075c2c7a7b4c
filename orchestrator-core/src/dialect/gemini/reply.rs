//! Whole answers, both ways.

use bytes::Bytes;

use super::{
    EXTRA, chunk, citation,
    decode::{leftovers, list},
    decode_parts::{self, Asked},
    encode_parts::{PartWriter, Written},
    error::stream_error,
    finish, usage,
};
use crate::{
    chat::{ChatReply, Choice, Citation, Message, Part, PartKind, Role},
    dialect::{
        Dialect,
        json::{Fields, ObjectWriter, array, array_at, checked},
        scan::{self, Object},
        splice::{Edit, splice},
    },
    error::{Error, ErrorKind, Result},
};

/// Ids of calls are made of the answer's own id, up to this many bytes: some vendors take no more than 40.
const MAX_ID: usize = 26;

/// Gives calls that have no id one that no other answer has.
#[derive(Debug, Default)]
pub(super) struct CallIds {
    answer: String,
    made: u32,
}

impl CallIds {
    /// For the answer of that id.
    pub(super) fn new(answer: &str) -> Self {
        let fit = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
        Self { answer: answer.chars().filter(fit).take(MAX_ID).collect(), made: 0 }
    }

    /// The id of the next call.
    pub(super) fn of(&mut self, own: String) -> String {
        let number = self.made;
        self.made += 1;
        match (own.is_empty(), self.answer.is_empty()) {
            (false, _) => own,
            (true, false) => format!("call_{}_{number}", self.answer),
            (true, true) => format!("call_{number}"),
        }
    }
}

/// Reads a provider's answer. Errors are the provider's: an error body under a 200, or what is no answer.
pub(super) fn decode(body: &Bytes) -> Result<ChatReply> {
    let mut fields = Fields::body(body).map_err(|_| stream_error(body, Dialect::Gemini))?;
    if fields.has("error") || !(fields.has("candidates") || fields.has("promptFeedback")) {
        return Err(stream_error(body, Dialect::Gemini));
    }
    let mut reply = answer(&mut fields).map_err(unreadable)?;
    reply.extras.extend(fields.rest().map(|(name, json)| (format!("{EXTRA}{name}"), json.to_owned())));
    Ok(reply)
}

/// A wrong field in an answer is nothing that the caller could mend.
fn unreadable(error: Error) -> Error {
    let message = format!("the provider's answer cannot be read: {}", error.message);
    Error::new(ErrorKind::ProviderFailed, message)
}

fn answer(fields: &mut Fields<'_>) -> Result<ChatReply> {
    let mut reply = ChatReply {
        id: fields.lenient_string("responseId"),
        model: fields.lenient_string("modelVersion"),
        created: chunk::created(&fields.lenient_string("createTime")),
        usage: fields.take("usageMetadata").and_then(|json| usage::read(json.as_bytes())),
        ..ChatReply::default()
    };
    let mut ids = CallIds::new(&reply.id);
    let mut left: Vec<String> = Vec::new();
    for (at, json) in fields.array("candidates")?.unwrap_or_default().into_iter().enumerate() {
        let (choice, rest) = candidate(Fields::parse(json, &format!("candidates[{at}]"))?, at, &mut ids)?;
        reply.choices.push(choice);
        left.push(rest.unwrap_or_else(|| "{}".to_owned()));
    }
    if left.iter().any(|rest| rest != "{}") {
        reply.extras.insert(format!("{EXTRA}candidates"), array(&left));
    }
    if reply.choices.is_empty() {
        let feedback = fields.take("promptFeedback").unwrap_or("{}");
        reply.extras.insert(format!("{EXTRA}promptFeedback"), feedback.to_owned());
        let message = Message { role: Role::Assistant, parts: Vec::new(), name: None };
        let finish = finish::blocked(feedback).unwrap_or_default();
        reply.choices.push(Choice { index: 0, message, finish, logprobs: None });
    }
    Ok(reply)
}

/// A candidate, and what the hub has no word for in it.
fn candidate(mut fields: Fields<'_>, at: usize, ids: &mut CallIds) -> Result<(Choice, Option<String>)> {
    let mut parts: Vec<Part> = Vec::new();
    if let Some(mut content) = fields.object("content")? {
        for (path, json) in list(&mut content, "parts")? {
            parts.extend(decode_parts::part(json, &path, &mut |asked| match asked {
                Asked::Call { id, .. } | Asked::Result { id, .. } => Ok(ids.of(id)),
            })?);
        }
    }
    let (grounding, attribution) = (fields.take("groundingMetadata"), fields.take("citationMetadata"));
    cite(&mut parts, grounding, attribution);
    let called = parts.iter().any(|part| matches!(part.kind, PartKind::ToolCall(_)));
    let finish = fields.take("finishReason").and_then(|json| finish::read(json, called));
    let choice = Choice {
        index: fields.integer("index")?.unwrap_or(at as u32),
        message: Message { role: Role::Assistant, parts, name: None },
        finish: finish.unwrap_or_default(),
        logprobs: fields.take("logprobsResult").map(str::to_owned),
    };
    Ok((choice, leftovers(fields)))
}

/// Puts the citations to the candidate's last text; without any they have nothing to support.
fn cite(parts: &mut [Part], grounding: Option<&str>, attribution: Option<&str>) {
    let Some(last) = parts.iter_mut().rfind(|part| matches!(part.kind, PartKind::Text(_))) else { return };
    if let PartKind::Text(text) = &last.kind {
        last.citations = citation::read(grounding, attribution, text);
    }
}

/// Writes an answer for a caller.
pub(super) fn encode(reply: &ChatReply) -> Result<Bytes> {
    let left = reply.extras.get("gemini.candidates");
    let left = left.map(|json| array_at(json, "extras.gemini.candidates")).transpose()?.unwrap_or_default();
    let mut out = ObjectWriter::new();
    let blocked = reply.extras.contains_key("gemini.promptFeedback")
        && reply.choices.iter().all(|choice| choice.message.parts.is_empty());
    if !blocked {
        let mut candidates: Vec<String> = Vec::with_capacity(reply.choices.len());
        for (at, choice) in reply.choices.iter().enumerate() {
            candidates.push(write_candidate(choice, at, left.get(at).copied())?);
        }
        out.raw("candidates", &array(&candidates));
    }
    if let Some(usage) = &reply.usage {
        out.raw("usageMetadata", &usage::write(usage));
    }
    if !reply.model.is_empty() {
        out.string("modelVersion", &reply.model);
    }
    if !reply.id.is_empty() {
        out.string("responseId", &reply.id);
    }
    if let Ok(time) = jiff::Timestamp::from_second(reply.created)
        && reply.created > 0
    {
        out.string("createTime", &time.to_string());
    }
    let body = out.finish();
    let mut extras: Vec<Edit> = Vec::new();
    for (name, json) in &reply.extras {
        if let Some(field) = name.strip_prefix(EXTRA).filter(|field| *field != "candidates") {
            extras.push(Edit::Set(field.to_owned(), checked(json, name)?.to_owned()));
        }
    }
    if extras.is_empty() { Ok(Bytes::from(body)) } else { splice(body.as_bytes(), &extras) }
}

fn write_candidate(choice: &Choice, at: usize, left: Option<&str>) -> Result<String> {
    // An answer has no list of what was dropped.
    let mut dropped = Vec::new();
    let mut writer = PartWriter::new(false, &mut dropped);
    for (place, part) in choice.message.parts.iter().enumerate() {
        writer.add(part, &format!("choices[{at}].message.parts[{place}]"))?;
    }
    let mut out = ObjectWriter::new();
    out.raw("content", &content(writer.finish()));
    out.string("finishReason", finish::write(&choice.finish));
    out.plain("index", choice.index);
    let cited = choice.message.parts.iter().rfind(|part| !part.citations.is_empty());
    for (name, json) in cited.map(cited_members).unwrap_or_default() {
        out.raw(&name, &json);
    }
    if let Some(json) = logprobs(choice.logprobs.as_ref()) {
        out.raw("logprobsResult", json);
    }
    if let Some(left) = left {
        for (name, json) in scan::entries(left)? {
            out.raw(&name, json);
        }
    }
    Ok(out.finish())
}

fn cited_members(part: &Part) -> Vec<(String, String)> {
    let text = if let PartKind::Text(text) = &part.kind { text.as_str() } else { "" };
    let citations: &[Citation] = &part.citations;
    citation::write(citations, text)
}

/// A candidate's content.
pub(super) fn content(parts: Vec<Written>) -> String {
    let parts: Vec<String> = parts.into_iter().map(|part| part.json).collect();
    format!(r#"{{"parts":{},"role":"model"}}"#, array(&parts))
}

/// Log probabilities if they are Gemini's; what another dialect answered would only break the caller's parser.
pub(super) fn logprobs(json: Option<&String>) -> Option<&str> {
    let json = json?;
    let object = Object::scan(json.as_bytes(), usize::MAX).ok()?;
    object.get("chosenCandidates").map(|_| json.as_str())
}
