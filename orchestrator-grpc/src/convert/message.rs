//! Messages and their parts, both ways: they stand in requests and in answers.

use orchestrator_core::chat::{
    Citation, Media, MediaSource, Message, Part, PartKind, ReasoningPart, Role, ToolCall, ToolResult,
};
use orchestrator_proto::v1;
use v1::{media::Source, part::Kind};

use super::field::{Wrong, json, required};

/// A message of a request.
pub fn decode_message(message: v1::Message, max_depth: usize) -> Result<Message, Wrong> {
    let role = decode_role(message.role)?;
    if message.parts.is_empty() {
        return Err(Wrong::new("parts", "must have at least one part"));
    }
    let mut parts = Vec::with_capacity(message.parts.len());
    for (index, part) in message.parts.into_iter().enumerate() {
        let part =
            decode_part(part, max_depth).map_err(|wrong| wrong.inside(format_args!("parts[{index}]")))?;
        if role == Role::Tool && !matches!(part.kind, PartKind::ToolResult(_)) {
            return Err(Wrong::new(
                format!("parts[{index}]"),
                "must be a tool_result in a message of ROLE_TOOL",
            ));
        }
        parts.push(part);
    }
    Ok(Message { role, parts, name: message.name })
}

fn decode_role(role: i32) -> Result<Role, Wrong> {
    match v1::Role::try_from(role) {
        Ok(v1::Role::System) => Ok(Role::System),
        Ok(v1::Role::Developer) => Ok(Role::Developer),
        Ok(v1::Role::User) => Ok(Role::User),
        Ok(v1::Role::Assistant) => Ok(Role::Assistant),
        Ok(v1::Role::Tool) => Ok(Role::Tool),
        Ok(v1::Role::Unspecified) => Err(Wrong::new("role", "must be given")),
        Err(_) => Err(Wrong::new("role", format!("{role} is no role"))),
    }
}

fn decode_part(part: v1::Part, max_depth: usize) -> Result<Part, Wrong> {
    let Some(kind) = part.kind else {
        return Err(Wrong::new("kind", "must be set: text, image, file or another"));
    };
    if let Some(mark) = &part.cache_control_json {
        json("cache_control_json", mark, max_depth)?;
    }
    let mut citations = Vec::with_capacity(part.citations.len());
    for (index, citation) in part.citations.into_iter().enumerate() {
        citations.push(
            decode_citation(citation, max_depth)
                .map_err(|wrong| wrong.inside(format_args!("citations[{index}]")))?,
        );
    }
    Ok(Part { kind: decode_kind(kind, max_depth)?, cache_control: part.cache_control_json, citations })
}

fn decode_kind(kind: Kind, max_depth: usize) -> Result<PartKind, Wrong> {
    let media = |name: &'static str, media| decode_media(media).map_err(|wrong| wrong.inside(name));
    Ok(match kind {
        Kind::Text(text) => PartKind::Text(text),
        Kind::Image(image) => PartKind::Image(media("image", image)?),
        Kind::File(file) => PartKind::File(media("file", file)?),
        Kind::Audio(audio) => PartKind::Audio(media("audio", audio)?),
        Kind::Refusal(text) => PartKind::Refusal(text),
        Kind::Reasoning(v1::ReasoningPart { text, signature, encrypted }) => {
            PartKind::Reasoning(ReasoningPart { text, signature, encrypted })
        }
        Kind::ToolCall(call) => {
            PartKind::ToolCall(decode_tool_call(call).map_err(|wrong| wrong.inside("tool_call"))?)
        }
        Kind::ToolResult(result) => PartKind::ToolResult(
            decode_tool_result(result, max_depth).map_err(|wrong| wrong.inside("tool_result"))?,
        ),
        Kind::Opaque(v1::OpaquePart { dialect, json: text }) => {
            required("opaque.dialect", &dialect)?;
            json("opaque.json", &text, max_depth)?;
            PartKind::Opaque { dialect, json: text }
        }
    })
}

fn decode_citation(citation: v1::Citation, max_depth: usize) -> Result<Citation, Wrong> {
    let v1::Citation { url, title, cited_text, span, native } = citation;
    let span = span.map(|span| (span.start, span.end));
    if span.is_some_and(|(start, end)| start > end) {
        return Err(Wrong::new("span", "must not end before it starts"));
    }
    if let Some(native) = &native {
        required("native.dialect", &native.dialect)?;
        json("native.json", &native.json, max_depth)?;
    }
    Ok(Citation { url, title, cited_text, span, native: native.map(|native| (native.dialect, native.json)) })
}

fn decode_media(media: v1::Media) -> Result<Media, Wrong> {
    let source = match media.source {
        None => return Err(Wrong::new("source", "must be set: url, data or file_id")),
        Some(Source::Url(url)) => {
            required("url", &url)?;
            MediaSource::Url(url)
        }
        Some(Source::Data(data)) => {
            if data.is_empty() {
                return Err(Wrong::new("data", "must not be empty"));
            }
            if media.mime_type.is_empty() {
                return Err(Wrong::new("mime_type", "must be given with data"));
            }
            MediaSource::Data(data)
        }
        Some(Source::FileId(id)) => {
            required("file_id", &id)?;
            MediaSource::FileId(id)
        }
    };
    Ok(Media { source, mime_type: media.mime_type, filename: media.filename, detail: media.detail })
}

fn decode_tool_call(call: v1::ToolCall) -> Result<ToolCall, Wrong> {
    required("id", &call.id)?;
    required("name", &call.name)?;
    // The arguments are what the model wrote, which is not always JSON: they travel as a string, never as JSON.
    Ok(ToolCall { id: call.id, name: call.name, arguments: call.arguments_json, signature: call.signature })
}

fn decode_tool_result(result: v1::ToolResult, max_depth: usize) -> Result<ToolResult, Wrong> {
    required("tool_call_id", &result.tool_call_id)?;
    let mut parts = Vec::with_capacity(result.parts.len());
    for (index, part) in result.parts.into_iter().enumerate() {
        // Looked at first, so that results cannot nest in results.
        if !matches!(part.kind, None | Some(Kind::Text(_) | Kind::Image(_) | Kind::File(_))) {
            return Err(Wrong::new(format!("parts[{index}]"), "must be text, an image or a file"));
        }
        parts.push(
            decode_part(part, max_depth).map_err(|wrong| wrong.inside(format_args!("parts[{index}]")))?,
        );
    }
    Ok(ToolResult { tool_call_id: result.tool_call_id, name: result.name, parts, is_error: result.is_error })
}

/// A message of an answer.
pub fn encode_message(message: Message) -> v1::Message {
    let role = match message.role {
        Role::System => v1::Role::System,
        Role::Developer => v1::Role::Developer,
        Role::User => v1::Role::User,
        Role::Assistant => v1::Role::Assistant,
        Role::Tool => v1::Role::Tool,
    };
    v1::Message { role: role.into(), parts: encode_parts(message.parts), name: message.name }
}

fn encode_parts(parts: Vec<Part>) -> Vec<v1::Part> {
    let encode = |part: Part| v1::Part {
        kind: Some(encode_kind(part.kind)),
        cache_control_json: part.cache_control,
        citations: part.citations.into_iter().map(encode_citation).collect(),
    };
    parts.into_iter().map(encode).collect()
}

/// Where a claim comes from.
pub fn encode_citation(citation: Citation) -> v1::Citation {
    let Citation { url, title, cited_text, span, native } = citation;
    let span = span.map(|(start, end)| v1::CharacterSpan { start, end });
    let native = native.map(|(dialect, json)| v1::OpaquePart { dialect, json });
    v1::Citation { url, title, cited_text, span, native }
}

fn encode_kind(kind: PartKind) -> Kind {
    match kind {
        PartKind::Text(text) => Kind::Text(text),
        PartKind::Image(media) => Kind::Image(encode_media(media)),
        PartKind::File(media) => Kind::File(encode_media(media)),
        PartKind::Audio(media) => Kind::Audio(encode_media(media)),
        PartKind::Refusal(text) => Kind::Refusal(text),
        PartKind::Reasoning(ReasoningPart { text, signature, encrypted }) => {
            Kind::Reasoning(v1::ReasoningPart { text, signature, encrypted })
        }
        PartKind::ToolCall(ToolCall { id, name, arguments, signature }) => {
            Kind::ToolCall(v1::ToolCall { id, name, arguments_json: arguments, signature })
        }
        PartKind::ToolResult(ToolResult { tool_call_id, name, parts, is_error }) => {
            Kind::ToolResult(v1::ToolResult { tool_call_id, name, parts: encode_parts(parts), is_error })
        }
        PartKind::Opaque { dialect, json } => Kind::Opaque(v1::OpaquePart { dialect, json }),
    }
}

fn encode_media(media: Media) -> v1::Media {
    let source = match media.source {
        MediaSource::Url(url) => Source::Url(url),
        MediaSource::Data(data) => Source::Data(data),
        MediaSource::FileId(id) => Source::FileId(id),
    };
    v1::Media {
        source: Some(source),
        mime_type: media.mime_type,
        filename: media.filename,
        detail: media.detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(kind: Option<Kind>) -> v1::Message {
        let part = v1::Part { kind, ..v1::Part::default() };
        v1::Message { role: v1::Role::User.into(), parts: vec![part], name: None }
    }

    fn problem(message: v1::Message) -> String {
        orchestrator_core::error::Error::from(decode_message(message, 8).unwrap_err()).message
    }

    #[test]
    fn what_a_message_lacks_is_named() {
        let text = || user(Some(Kind::Text("hi".into())));
        let image = |source, mime: &str| {
            user(Some(Kind::Image(v1::Media { source, mime_type: mime.into(), ..v1::Media::default() })))
        };
        assert_eq!(problem(v1::Message { role: 0, ..text() }), "role: must be given");
        assert_eq!(problem(v1::Message { role: 77, ..text() }), "role: 77 is no role");
        assert_eq!(problem(v1::Message { parts: vec![], ..text() }), "parts: must have at least one part");
        assert_eq!(problem(user(None)), "parts[0].kind: must be set: text, image, file or another");
        assert_eq!(
            problem(image(None, "image/png")),
            "parts[0].image.source: must be set: url, data or file_id"
        );
        assert_eq!(
            problem(image(Some(Source::Data("x".into())), "")),
            "parts[0].image.mime_type: must be given with data"
        );
        assert_eq!(
            problem(v1::Message { role: v1::Role::Tool.into(), ..text() }),
            "parts[0]: must be a tool_result in a message of ROLE_TOOL"
        );
    }

    #[test]
    fn a_tools_result_holds_no_further_results() {
        let inner = user(Some(Kind::ToolResult(v1::ToolResult::default())));
        let result =
            v1::ToolResult { tool_call_id: "call_1".into(), parts: inner.parts, ..v1::ToolResult::default() };
        assert_eq!(
            problem(user(Some(Kind::ToolResult(result)))),
            "parts[0].tool_result.parts[0]: must be text, an image or a file"
        );
    }

    #[test]
    fn json_that_would_be_pasted_into_a_providers_body_is_checked() {
        let mut message = user(Some(Kind::Text("hi".into())));
        message.parts[0].cache_control_json = Some("{},\"model\":\"other\"".into());
        assert_eq!(problem(message), "parts[0].cache_control_json: must be JSON text");

        let opaque = v1::OpaquePart { dialect: "openai_chat".into(), json: "[[[[[[[[[1]]]]]]]]]".into() };
        assert_eq!(
            problem(user(Some(Kind::Opaque(opaque)))),
            "parts[0].opaque.json: must not nest deeper than 8"
        );
    }
}
