//! The typed plane's embeddings, both ways.

use orchestrator_core::{
    embedding::{EmbedEncoding, EmbedInput, EmbedReply, EmbedRequest},
    orchestrator::Answered,
};
use orchestrator_proto::v1;
use v1::embed_input::Kind;

use super::{
    chat_reply::encode_usage,
    chat_request::decode_extras,
    field::{Wrong, required},
    served::encode_routing,
};

/// The whole request. JSON in it may nest `max_depth` deep. The `options` are not looked at.
pub fn decode_request(request: v1::EmbedRequest, max_depth: usize) -> Result<EmbedRequest, Wrong> {
    required("model", &request.model)?;
    if request.inputs.is_empty() {
        return Err(Wrong::new("inputs", "must have at least one input"));
    }
    if request.dimensions == Some(0) {
        return Err(Wrong::new("dimensions", "must be at least 1"));
    }
    let mut inputs = Vec::with_capacity(request.inputs.len());
    for (index, input) in request.inputs.into_iter().enumerate() {
        inputs.push(decode_input(input).map_err(|wrong| wrong.inside(format_args!("inputs[{index}]")))?);
    }
    Ok(EmbedRequest {
        model: request.model,
        inputs,
        dimensions: request.dimensions,
        // The typed answer holds numbers, however the provider was asked for them.
        encoding: EmbedEncoding::Float,
        end_user: request.end_user,
        extras: decode_extras(request.extras_json, max_depth)?,
    })
}

fn decode_input(input: v1::EmbedInput) -> Result<EmbedInput, Wrong> {
    match input.kind {
        None => Err(Wrong::new("kind", "must be set: text or tokens")),
        Some(Kind::Text(text)) => {
            required("text", &text)?;
            Ok(EmbedInput::Text(text))
        }
        Some(Kind::Tokens(v1::TokenList { ids })) if ids.is_empty() => {
            Err(Wrong::new("tokens.ids", "must not be empty"))
        }
        Some(Kind::Tokens(v1::TokenList { ids })) => Ok(EmbedInput::Tokens(ids)),
    }
}

/// The vectors, with their usage and how the call was served.
pub fn encode_reply(answered: Answered<EmbedReply>) -> v1::EmbedResponse {
    let Answered { reply, usage, usage_source, served } = answered;
    v1::EmbedResponse {
        model: reply.model,
        embeddings: reply.embeddings.into_iter().map(|values| v1::Embedding { values }).collect(),
        usage: Some(encode_usage(usage, usage_source)),
        routing: Some(encode_routing(&served)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use orchestrator_core::{
        call::{Served, UsageSource},
        chat::Usage,
        error::Error,
    };

    use super::*;

    fn input(kind: Kind) -> v1::EmbedInput {
        v1::EmbedInput { kind: Some(kind) }
    }

    fn request() -> v1::EmbedRequest {
        v1::EmbedRequest {
            model: "embedder".into(),
            inputs: vec![
                input(Kind::Text("a".into())),
                input(Kind::Tokens(v1::TokenList { ids: vec![1, 2] })),
            ],
            dimensions: Some(256),
            end_user: Some("u".into()),
            extras_json: BTreeMap::from([("openai_embeddings.x".into(), "1".into())]),
            options: None,
        }
    }

    #[test]
    fn a_request_keeps_every_field() {
        let expected = EmbedRequest {
            model: "embedder".into(),
            inputs: vec![EmbedInput::Text("a".into()), EmbedInput::Tokens(vec![1, 2])],
            dimensions: Some(256),
            encoding: EmbedEncoding::Float,
            end_user: Some("u".into()),
            extras: BTreeMap::from([("openai_embeddings.x".into(), "1".into())]),
        };
        assert_eq!(decode_request(request(), 8).unwrap(), expected);
    }

    #[test]
    fn what_a_request_lacks_is_named() {
        let problem = |request| Error::from(decode_request(request, 8).unwrap_err()).message;
        let unset = v1::EmbedInput { kind: None };
        let empty = input(Kind::Tokens(v1::TokenList::default()));
        let with = |inputs| v1::EmbedRequest { inputs, ..request() };
        assert_eq!(
            problem(v1::EmbedRequest { model: String::new(), ..request() }),
            "model: must not be empty"
        );
        assert_eq!(problem(with(vec![])), "inputs: must have at least one input");
        assert_eq!(problem(with(vec![unset])), "inputs[0].kind: must be set: text or tokens");
        assert_eq!(problem(with(vec![empty])), "inputs[0].tokens.ids: must not be empty");
    }

    #[test]
    fn vectors_come_back_in_their_order() {
        let reply = EmbedReply {
            model: "m".into(),
            embeddings: vec![vec![0.5, -1.0], vec![2.0]],
            ..EmbedReply::default()
        };
        let usage = Usage { prompt: 3, ..Usage::default() };
        let served = Served { provider: "openai".into(), attempts: 1, ..Served::default() };
        let response = encode_reply(Answered { reply, usage, usage_source: UsageSource::Estimated, served });

        let vectors: Vec<_> = response.embeddings.into_iter().map(|embedding| embedding.values).collect();
        assert_eq!(vectors, [vec![0.5, -1.0], vec![2.0]]);
        let usage = response.usage.unwrap();
        assert_eq!((usage.prompt_tokens, usage.source()), (3, v1::UsageSource::Estimated));
        assert_eq!(response.routing.unwrap().provider, "openai");
    }
}
