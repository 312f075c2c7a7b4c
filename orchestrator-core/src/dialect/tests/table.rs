//! What becomes of each field at each dialect: a request with that field alone is written, and read again. `docs/DIALECTS.md` keeps
//! the answers; `UPDATE_MATRIX=1` writes them anew.

use std::fmt::Write as _;

use bytes::Bytes;

use super::matrix::{chat_dialects, hold};
use crate::{
    chat::{
        ChatRequest, Citation, Media, MediaSource, Message, Part, PartKind, Reasoning, ReasoningPart,
        ResponseFormat, Role, Tool, ToolCall, ToolChoice, ToolResult,
    },
    dialect::{Dialect, EncodeTarget, HubRequest, Quirks, seal},
};

const TARGET: EncodeTarget<'static> = EncodeTarget {
    model: "m",
    include_usage: false,
    overrides: &[],
    legacy_names: false,
    quirks: Quirks::NONE,
};

type Field = (&'static str, Box<dyn Fn(&mut ChatRequest)>);

fn field(name: &'static str, set: impl Fn(&mut ChatRequest) + 'static) -> Field {
    (name, Box::new(set))
}

fn said(role: Role, kind: PartKind) -> Message {
    Message { role, parts: vec![Part::from(kind)], name: None }
}

fn text(text: &str) -> PartKind {
    PartKind::Text(text.to_owned())
}

fn media(source: MediaSource, mime_type: &str) -> Media {
    Media { source, mime_type: mime_type.to_owned(), filename: None, detail: None }
}

/// Reasoning as that vendor gives it: Responses encrypt it, the others sign it.
fn thought(origin: Dialect) -> ReasoningPart {
    let sealed = Some(seal::seal(origin, r#"{"type":"reasoning.text","signature":"s"}"#));
    let text = "hm".to_owned();
    if origin.name() == "openai_responses" {
        return ReasoningPart { text, signature: None, encrypted: sealed };
    }
    ReasoningPart { text, signature: sealed, encrypted: None }
}

/// The least request: one question.
fn least() -> ChatRequest {
    ChatRequest { model: "m".into(), messages: vec![said(Role::User, text("q"))], ..ChatRequest::default() }
}

fn tool() -> Tool {
    Tool {
        name: "f".into(),
        parameters: r#"{"type":"object","properties":{"x":{"type":"string"}}}"#.into(),
        ..Tool::default()
    }
}

fn steering() -> Vec<Field> {
    vec![
        field("max_output_tokens", |it| it.max_output_tokens = Some(7)),
        field("temperature 0.5", |it| it.temperature = Some(0.5)),
        field("temperature 1.5", |it| it.temperature = Some(1.5)),
        field("top_p", |it| it.top_p = Some(0.5)),
        field("top_k", |it| it.top_k = Some(7)),
        field("frequency_penalty", |it| it.frequency_penalty = Some(0.5)),
        field("presence_penalty", |it| it.presence_penalty = Some(0.5)),
        field("stop", |it| it.stop = vec!["x".into()]),
        field("seed", |it| it.seed = Some(7)),
        field("candidate_count 2", |it| it.candidate_count = Some(2)),
        field("top_logprobs", |it| it.top_logprobs = Some(2)),
        field("service_tier", |it| it.service_tier = Some("flex".into())),
        field("end_user", |it| it.end_user = Some("u".into())),
        field("reasoning.effort", |it| {
            it.reasoning = Some(Reasoning { effort: Some("high".into()), ..Reasoning::default() });
        }),
        field("reasoning.budget_tokens", |it| {
            it.reasoning = Some(Reasoning { budget_tokens: Some(2000), ..Reasoning::default() });
        }),
        field("response_format json_object", |it| it.response_format = Some(ResponseFormat::JsonObject)),
        field("response_format json_schema", |it| {
            let schema = r#"{"type":"object","properties":{"a":{"type":"string"}}}"#.to_owned();
            let name = "s".to_owned();
            it.response_format =
                Some(ResponseFormat::JsonSchema { name, description: None, schema, strict: Some(true) });
        }),
    ]
}

fn tools() -> Vec<Field> {
    vec![
        field("tools", |it| it.tools = vec![tool()]),
        field("tools[].strict", |it| it.tools = vec![Tool { strict: Some(true), ..tool() }]),
        field("tool_choice none", |it| (it.tools, it.tool_choice) = (vec![tool()], Some(ToolChoice::None))),
        field("tool_choice required", |it| {
            (it.tools, it.tool_choice) = (vec![tool()], Some(ToolChoice::Required));
        }),
        field("tool_choice named", |it| {
            (it.tools, it.tool_choice) = (vec![tool()], Some(ToolChoice::Named("f".into())));
        }),
        field("parallel_tool_calls false", |it| {
            (it.tools, it.parallel_tool_calls) = (vec![tool()], Some(false));
        }),
        field("tool call and result", |it| it.messages.extend(called(vec![text("r")], false))),
        field("tool result with a picture", |it| {
            let picture = PartKind::Image(media(MediaSource::Data(Bytes::from_static(&[0])), "image/png"));
            it.messages.extend(called(vec![text("r"), picture], false));
        }),
        field("tool result is_error", |it| it.messages.extend(called(vec![text("r")], true))),
    ]
}

fn called(parts: Vec<PartKind>, is_error: bool) -> Vec<Message> {
    let call = ToolCall {
        id: "call_1".into(),
        name: "f".into(),
        arguments: "{\"x\":\"y\"}".into(),
        signature: None,
    };
    let parts = parts.into_iter().map(Part::from).collect();
    let result = ToolResult { tool_call_id: "call_1".into(), name: Some("f".into()), parts, is_error };
    vec![said(Role::Assistant, PartKind::ToolCall(call)), said(Role::Tool, PartKind::ToolResult(result))]
}

fn messages() -> Vec<Field> {
    vec![
        field("system message", |it| it.messages.insert(0, said(Role::System, text("s")))),
        field("developer message", |it| it.messages.insert(0, said(Role::Developer, text("d")))),
        field("system message behind others", |it| it.messages.push(said(Role::System, text("s")))),
        field("message name", |it| it.messages[0].name = Some("bob".into())),
        field("cache mark", |it| {
            it.messages[0].parts[0].cache_control = Some(r#"{"type":"ephemeral"}"#.into());
        }),
        field("picture, inline", |it| {
            it.messages.push(said(
                Role::User,
                PartKind::Image(media(MediaSource::Data(Bytes::from_static(&[0])), "image/png")),
            ));
        }),
        field("picture, address", |it| {
            let source = MediaSource::Url("https://x.test/a.png".into());
            it.messages.push(said(Role::User, PartKind::Image(media(source, "image/png"))));
        }),
        field("document, inline", |it| {
            let source = MediaSource::Data(Bytes::from_static(b"%PDF"));
            let file = Media { filename: Some("a.pdf".into()), ..media(source, "application/pdf") };
            it.messages.push(said(Role::User, PartKind::File(file)));
        }),
        field("sound, inline", |it| {
            it.messages.push(said(
                Role::User,
                PartKind::Audio(media(MediaSource::Data(Bytes::from_static(&[0])), "audio/wav")),
            ));
        }),
        field("refusal", |it| it.messages.push(said(Role::Assistant, PartKind::Refusal("no".into())))),
        field("citation", |it| {
            let mut answer = said(Role::Assistant, text("a"));
            answer.parts[0].citations =
                vec![Citation { url: Some("https://x.test".into()), ..Citation::default() }];
            it.messages.push(answer);
        }),
        field("another dialect's extra", |it| {
            it.extras.insert("elsewhere.x".into(), "1".into());
        }),
    ]
}

/// What becomes of it: read again it is the same, or another thing, or it is said to be lost.
fn fate(dialect: Dialect, request: &ChatRequest) -> &'static str {
    let hub = HubRequest::Chat(Box::new(request.clone()));
    let Ok(encoded) = dialect.wire().encode_request(&hub, &TARGET) else { return "refused" };
    if !encoded.dropped.is_empty() {
        return "dropped";
    }
    let Ok(HubRequest::Chat(again)) = dialect.wire().decode_request(&encoded.body) else { return "refused" };
    // What every request of this dialect says, whatever it was asked for, is nothing of this field's.
    let usual = decoded(dialect, &least());
    let mut again = *again;
    again.extras.retain(|name, json| usual.extras.get(name) != Some(json));
    again.include_usage = request.include_usage;
    if again == *request { "carried" } else { "mapped" }
}

fn decoded(dialect: Dialect, request: &ChatRequest) -> ChatRequest {
    let encoded =
        dialect.wire().encode_request(&HubRequest::Chat(Box::new(request.clone())), &TARGET).unwrap();
    match dialect.wire().decode_request(&encoded.body) {
        Ok(HubRequest::Chat(chat)) => *chat,
        other => panic!("{other:?}"),
    }
}

fn table() -> String {
    let dialects: Vec<Dialect> = chat_dialects().collect();
    let mut out = String::from("| field |");
    for dialect in &dialects {
        write!(out, " `{}` |", dialect.name()).unwrap();
    }
    write!(out, "\n|---|{}", "---|".repeat(dialects.len())).unwrap();
    for (name, set) in steering().into_iter().chain(tools()).chain(messages()) {
        write!(out, "\n| {name} |").unwrap();
        for dialect in &dialects {
            let mut request = least();
            set(&mut request);
            write!(out, " {} |", fate(*dialect, &request)).unwrap();
        }
    }
    for origin in &dialects {
        write!(out, "\n| reasoning signed by `{}` |", origin.name()).unwrap();
        for dialect in &dialects {
            let mut request = least();
            request.messages.push(said(Role::Assistant, PartKind::Reasoning(thought(*origin))));
            write!(out, " {} |", fate(*dialect, &request)).unwrap();
        }
    }
    out.push('\n');
    out
}

#[test]
fn the_document_says_what_becomes_of_each_field() {
    hold("DIALECTS.md", "fields", &table());
}
