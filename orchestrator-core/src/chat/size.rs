//! How much there is of a prompt, for estimates of its tokens.

use super::{ChatRequest, Message, PartKind, ResponseFormat, Tool};

/// What a picture, a recording or a file counts for, whatever its size: a thousand tokens, at four bytes each. Its tokens have nothing to
/// do with its bytes; vendors count from 85 (OpenAI, low detail) over 258 (Gemini, a tile) to some 1,600 (Anthropic, the largest).
pub const MEDIA_BYTES: usize = 4_000;

/// The bytes of all that a model reads: messages, tools, and the schema of its answer.
pub fn prompt_bytes(request: &ChatRequest) -> usize {
    let messages: usize = request.messages.iter().map(message_bytes).sum();
    let tools: usize = request.tools.iter().map(tool_bytes).sum();
    // Tools that a provider runs itself.
    let own_tools = request
        .extras
        .iter()
        .filter(|(name, _)| name.split_once('.').is_some_and(|(_, field)| field == "tools"));
    let own_tools: usize = own_tools.map(|(_, json)| json.len()).sum();
    let schema = match &request.response_format {
        Some(ResponseFormat::JsonSchema { schema, .. }) => schema.len(),
        Some(ResponseFormat::Text | ResponseFormat::JsonObject) | None => 0,
    };
    messages + tools + own_tools + schema
}

fn message_bytes(message: &Message) -> usize {
    message.parts.iter().map(|part| part_bytes(&part.kind)).sum()
}

fn tool_bytes(tool: &Tool) -> usize {
    tool.name.len() + tool.description.as_ref().map_or(0, String::len) + tool.parameters.len()
}

fn part_bytes(part: &PartKind) -> usize {
    match part {
        PartKind::Text(text) | PartKind::Refusal(text) => text.len(),
        PartKind::Reasoning(reasoning) => reasoning.text.len(),
        PartKind::ToolCall(call) => call.name.len() + call.arguments.len(),
        PartKind::ToolResult(result) => result.parts.iter().map(|part| part_bytes(&part.kind)).sum(),
        PartKind::Opaque { json, .. } => json.len(),
        PartKind::Image(_) | PartKind::File(_) | PartKind::Audio(_) => MEDIA_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;

    use super::*;
    use crate::dialect::{Dialect, HubRequest};

    fn bytes_of(body: &serde_json::Value) -> usize {
        let wire = Dialect::AnthropicCount.wire();
        match wire.decode_request(&Bytes::from(body.to_string())).unwrap() {
            HubRequest::Chat(request) => prompt_bytes(&request),
            HubRequest::Embed(_) => panic!("a chat was expected"),
        }
    }

    #[test]
    fn all_that_a_model_reads_is_counted_and_a_picture_is_flat() {
        let data = |length: usize| "A".repeat(length);
        let body = |image: &str| {
            serde_json::json!({"model": "m", "system": "abcd", "messages": [{"role": "user", "content": [
                {"type": "text", "text": "efgh"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": image}},
            ]}]})
        };
        assert_eq!(bytes_of(&body(&data(4))), 8 + MEDIA_BYTES);
        assert_eq!(bytes_of(&body(&data(400_000))), 8 + MEDIA_BYTES);
        let tool = Tool {
            name: "add".into(),
            description: Some("sums".into()),
            parameters: "{}".into(),
            strict: None,
        };
        let extras = BTreeMap::from([("anthropic.tools".to_owned(), "[{}]".to_owned())]);
        assert_eq!(prompt_bytes(&ChatRequest { tools: vec![tool], extras, ..ChatRequest::default() }), 9 + 4);
    }
}
