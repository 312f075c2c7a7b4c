//! What is translated: a coding agent's request of about 8 KiB, an answer with a call, and a stream of the same.

use bytes::Bytes;
use orchestrator_core::{
    call::Facts,
    chat::{
        ChatEvent, ChatReply, ChatRequest, Choice, Finish, FinishReason, Message, Part, PartKind, Role, Tool,
        ToolCall, ToolCallDelta, ToolResult, Usage,
    },
    dialect::{Dialect, EncodeTarget, HubReply, HubRequest, Quirks},
};

/// The target of every request that is written here.
pub(crate) const TARGET: EncodeTarget<'static> = EncodeTarget {
    model: "upstream",
    include_usage: true,
    overrides: &[],
    legacy_names: false,
    quirks: Quirks::NONE,
};

const SENTENCE: &str =
    "A gateway stands between its callers and many providers, and says \"yes\" more often than \"no\".\n";
const ARGUMENTS: &str = r#"{"path":"src/main.rs","limit":120}"#;

fn said(role: Role, kind: PartKind) -> Message {
    Message { role, parts: vec![Part::from(kind)], name: None }
}

fn prose(sentences: usize) -> PartKind {
    PartKind::Text(SENTENCE.repeat(sentences))
}

fn call(id: &str) -> PartKind {
    let arguments = ARGUMENTS.to_owned();
    PartKind::ToolCall(ToolCall {
        id: id.to_owned(),
        name: "read_file".to_owned(),
        arguments,
        signature: None,
    })
}

fn result(id: &str) -> PartKind {
    let parts = vec![Part::from(prose(10))];
    let name = Some("read_file".to_owned());
    PartKind::ToolResult(ToolResult { tool_call_id: id.to_owned(), name, parts, is_error: false })
}

/// A body of that dialect that asks for a stream: instructions, three turns with a call each, three tools.
pub(crate) fn request(dialect: Dialect) -> Bytes {
    let mut messages = vec![said(Role::System, prose(10))];
    for turn in 0..3 {
        let id = format!("call_{turn}");
        messages.push(said(Role::User, prose(5)));
        messages.push(said(Role::Assistant, call(&id)));
        messages.push(said(Role::Tool, result(&id)));
    }
    messages.push(said(Role::User, prose(5)));
    let tools = ["read_file", "write_file", "run"].map(|name| Tool {
        name: name.to_owned(),
        description: Some(SENTENCE.to_owned()),
        parameters: r#"{"type":"object","properties":{"path":{"type":"string"},"limit":{"type":"integer"}},"required":["path"]}"#
            .to_owned(),
        strict: None,
    });
    let request = ChatRequest {
        model: "m".to_owned(),
        messages,
        tools: tools.to_vec(),
        max_output_tokens: Some(4096),
        stream: true,
        ..ChatRequest::default()
    };
    let hub = HubRequest::Chat(Box::new(request));
    dialect.wire().encode_request(&hub, &TARGET).expect("the sample can be told in every dialect").body
}

/// A whole answer of that dialect: half a page of text, and a call.
pub(crate) fn reply(dialect: Dialect) -> Bytes {
    let parts = vec![Part::from(prose(10)), Part::from(call("call_9"))];
    let message = Message { role: Role::Assistant, parts, name: None };
    let choice = Choice { index: 0, message, finish: finish(), logprobs: None };
    let reply = ChatReply {
        id: "answer-1".to_owned(),
        model: "upstream".to_owned(),
        created: 1_757_000_000,
        choices: vec![choice],
        usage: Some(usage()),
        ..ChatReply::default()
    };
    dialect.wire().encode_reply(&HubReply::Chat(reply)).expect("the sample can be told in every dialect")
}

fn finish() -> Finish {
    Finish { reason: Some(FinishReason::ToolCalls), native: "tool_calls".to_owned() }
}

fn usage() -> Usage {
    Usage { prompt: 2100, completion: 240, cached_read: 1024, ..Usage::default() }
}

/// A stream of that dialect as pieces: its beginning, chunks of a few words each, and its end.
pub(crate) fn stream(dialect: Dialect, chunks: usize) -> Vec<Bytes> {
    let facts = Facts { include_usage: true, stream: true, ..Facts::default() };
    let mut encoder = dialect.wire().stream_encoder(&facts);
    let started = ChatEvent::Started {
        id: "answer-1".to_owned(),
        model: "upstream".to_owned(),
        created: 1_757_000_000,
    };
    let mut pieces = vec![encoder.encode(&[started, text()])];
    pieces.extend((0..chunks).map(|_| encoder.encode(&[text()])));
    let call = ToolCallDelta {
        id: Some("call_9".to_owned()),
        name: Some("read_file".to_owned()),
        arguments: ARGUMENTS.to_owned(),
        ..ToolCallDelta::default()
    };
    let finished = ChatEvent::Finished { choice: 0, finish: finish() };
    let end = [ChatEvent::ToolCall(call), ChatEvent::Usage(usage()), finished, ChatEvent::Done];
    pieces.push(encoder.encode(&end));
    pieces.push(encoder.finish());
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

fn text() -> ChatEvent {
    ChatEvent::Text { choice: 0, text: " more often than".to_owned() }
}
