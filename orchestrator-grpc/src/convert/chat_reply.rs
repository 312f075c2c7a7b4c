//! The typed plane's whole chat answer, out of the hub's words.

use orchestrator_core::{
    call::UsageSource,
    chat::{ChatReply, Choice, Finish, FinishReason, Usage},
    orchestrator::Answered,
};
use orchestrator_proto::v1;

use super::{message::encode_message, served::encode_routing};

/// The answer, with its usage and how it was served.
pub fn encode_reply(answered: Answered<ChatReply>) -> v1::ChatResponse {
    let Answered { reply, usage, usage_source, served } = answered;
    v1::ChatResponse {
        id: reply.id,
        model: reply.model,
        created_unix: reply.created,
        choices: reply.choices.into_iter().map(encode_choice).collect(),
        usage: Some(encode_usage(usage, usage_source)),
        service_tier: reply.service_tier,
        routing: Some(encode_routing(&served)),
        extras_json: reply.extras,
    }
}

fn encode_choice(choice: Choice) -> v1::Choice {
    v1::Choice {
        index: choice.index,
        message: Some(encode_message(choice.message)),
        finish_reason: encode_finish(&choice.finish).into(),
        native_finish_reason: choice.finish.native,
        logprobs_json: choice.logprobs,
    }
}

/// The reason in the contract's words.
pub fn encode_finish(finish: &Finish) -> v1::FinishReason {
    match finish.reason {
        None => v1::FinishReason::Unspecified,
        Some(FinishReason::Stop) => v1::FinishReason::Stop,
        Some(FinishReason::Length) => v1::FinishReason::Length,
        Some(FinishReason::ToolCalls) => v1::FinishReason::ToolCalls,
        Some(FinishReason::ContentFilter) => v1::FinishReason::ContentFilter,
        Some(FinishReason::Other) => v1::FinishReason::Other,
    }
}

/// Tokens used, and who counted them.
pub fn encode_usage(usage: Usage, source: UsageSource) -> v1::Usage {
    v1::Usage {
        prompt_tokens: usage.prompt,
        completion_tokens: usage.completion,
        cached_read_tokens: usage.cached_read,
        cache_write_tokens: usage.cache_write,
        reasoning_tokens: usage.reasoning,
        prompt_audio_tokens: usage.prompt_audio,
        completion_audio_tokens: usage.completion_audio,
        source: encode_source(source).into(),
    }
}

/// A count of a prompt's tokens.
pub fn encode_count(answered: &Answered<u64>) -> v1::CountTokensResponse {
    v1::CountTokensResponse {
        prompt_tokens: answered.reply,
        source: encode_source(answered.usage_source).into(),
        routing: Some(encode_routing(&answered.served)),
    }
}

/// Who counted, in the contract's words.
pub fn encode_source(source: UsageSource) -> v1::UsageSource {
    match source {
        UsageSource::Provider => v1::UsageSource::Provider,
        UsageSource::Estimated => v1::UsageSource::Estimated,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use orchestrator_core::{
        call::Served,
        chat::{Message, PartKind, ReasoningPart, Role, ToolCall},
    };

    use super::*;

    #[test]
    fn a_whole_answer_keeps_every_field() {
        let parts = vec![
            PartKind::Reasoning(ReasoningPart {
                text: "hm".into(),
                signature: Some("sig".into()),
                encrypted: None,
            })
            .into(),
            PartKind::Text("Hello".into()).into(),
            PartKind::ToolCall(ToolCall {
                id: "call_1".into(),
                name: "weather".into(),
                arguments: "{\"city\":".into(),
                signature: None,
            })
            .into(),
        ];
        let reply = ChatReply {
            id: "chatcmpl-1".into(),
            model: "gpt-4.1-2025".into(),
            created: 7,
            choices: vec![Choice {
                index: 1,
                message: Message { role: Role::Assistant, parts, name: None },
                finish: Finish { reason: Some(FinishReason::ToolCalls), native: "tool_calls".into() },
                logprobs: Some("{}".into()),
            }],
            usage: None,
            service_tier: Some("flex".into()),
            extras: BTreeMap::from([("openai_chat.system_fingerprint".into(), "\"fp\"".into())]),
        };
        let usage = Usage {
            prompt: 1,
            completion: 2,
            cached_read: 3,
            cache_write: 4,
            reasoning: 5,
            prompt_audio: 6,
            completion_audio: 7,
        };
        let served = Served {
            provider: "openai".into(),
            upstream_model: "gpt-4.1".into(),
            attempts: 2,
            dropped: vec!["top_k".into()],
            overhead_us: 90,
            repeat: None,
        };
        let answered = Answered { reply, usage, usage_source: UsageSource::Provider, served };
        insta::assert_debug_snapshot!(encode_reply(answered));
    }
}
