//! Across vendors: clients of OpenAI's at Gemini, clients of Gemini's at OpenAI, each judged by what the other vendor publishes.

use bytes::Bytes;
use http::Method;
use orchestrator_testkit::{
    fixtures,
    judge::{Body, Judge, Operation},
    provider::{Answer as Scripted, Cut, Endpoint, Provider},
};
use serde_json::{Value, json};

use super::{ASK, add_gemini, answer_of};
use crate::gateway::{CHANNELS, CLIENT_KEY, Channel, Gateway, PROVIDER_KEY};

/// A gateway with the model `m` at one provider of another vendor than the caller's.
struct House {
    gateway: Gateway,
    endpoint: Endpoint,
    _provider: Provider,
}

impl House {
    /// The provider is Gemini.
    async fn of_gemini(channel: Channel, upstream: &str) -> Self {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        let endpoint = provider.named("google");
        let id = add_gemini(&gateway, "google", &endpoint, 100).await;
        gateway.add_model("m", upstream, &[&id]).await;
        Self { gateway, endpoint, _provider: provider }
    }

    /// The provider is OpenAI.
    async fn of_openai(channel: Channel) -> Self {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        let endpoint = provider.named("openai");
        let id = gateway.add_provider("openai", &endpoint.base_url(), json!({"max_retries": 0})).await;
        gateway.add_model("m", "gpt-4o-mini", &[&id]).await;
        Self { gateway, endpoint, _provider: provider }
    }

    fn judge(&self, operation: Operation, model: &str) {
        let judge = Judge::new(operation, PROVIDER_KEY, model, Body::published()).secret(CLIENT_KEY);
        self.endpoint.judge(operation.path().trim_start_matches('/'), judge);
    }

    async fn post(&self, path: &str, body: &Value) -> crate::client::Answer {
        self.gateway.client.send(Method::POST, path, &[], Bytes::from(body.to_string())).await
    }

    #[track_caller]
    fn content(&self) {
        assert_eq!(self.endpoint.complaints(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_tool_loop_of_an_openai_client_at_gemini_hands_the_signature_back() {
    for channel in CHANNELS {
        let house = House::of_gemini(channel, "gemini-3-flash").await;
        house.judge(Operation::GenerateContent, "gemini-3-flash");
        house.endpoint.route("", answer_of("gemini_tool_calls"));
        let tools = json!([{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]);
        let user = json!({"role": "user", "content": "Weather in Zürich and Łódź?"});
        let mut body = json!({"model": "m", "messages": [user], "tools": tools});
        let answer = house.post("/v1/chat/completions", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let message = answer.json()["choices"][0]["message"].clone();
        let calls = message["tool_calls"].as_array().unwrap().clone();
        assert_eq!(calls.len(), 2);
        let mut messages = vec![user, message];
        // The results come in another order than the calls.
        for call in calls.iter().rev() {
            let city: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
            messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": format!("rain in {}", city["city"])}));
        }
        body["messages"] = messages.into();
        house.endpoint.route("", answer_of("gemini_chat"));
        let answer = house.post("/v1/chat/completions", &body).await;
        assert_eq!(answer.json()["choices"][0]["message"]["content"], "Grüße aus Bern.", "{}", answer.text());
        house.content();
        let sent = house.endpoint.seen().last().unwrap().json();
        assert_eq!(sent["contents"][1]["parts"][1]["thoughtSignature"], "c2lnLTE=", "{sent}");
        let results: Vec<&Value> = sent["contents"][2]["parts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| &part["functionResponse"]["response"]["result"])
            .collect();
        assert_eq!(results, ["rain in \"Zürich\"", "rain in \"Łódź\""]);
        house.gateway.stop().await;
    }
}

#[tokio::test]
async fn an_openai_client_hears_geminis_stream_and_its_errors() {
    for channel in CHANNELS {
        let house = House::of_gemini(channel, "gemini-2.5-flash").await;
        house.judge(Operation::StreamGenerateContent, "gemini-2.5-flash");
        let body = json!({"model": "m", "stream": true, "stream_options": {"include_usage": true}, "messages": [{"role": "user", "content": "hi"}]});
        for cut in [Cut::Whole, Cut::EveryByte] {
            house.endpoint.route("", fixtures::named("gemini_stream_two_ends").answer(&cut));
            let text = house.post("/v1/chat/completions", &body).await.text();
            assert!(text.contains("It is 42.") && text.ends_with("data: [DONE]\n\n"), "{text}");
            assert_eq!(text.matches("\"finish_reason\":\"stop\"").count(), 1, "one end: {text}");
            assert!(text.find("It is 42.") < text.find("\"finish_reason\":\"stop\""), "{text}");
            assert!(text.contains("\"total_tokens\":17"), "{text}");
        }
        house.endpoint.route("", answer_of("gemini_stream_error_midway"));
        let text = house.post("/v1/chat/completions", &body).await.text();
        assert!(text.contains("The model is overloaded") && !text.contains("[DONE]"), "{text}");
        assert!(!text.contains("\"finish_reason\":\""), "{text}");
        house.content();

        house.endpoint.route("", answer_of("error_429_gemini"));
        let answer = house.post("/v1/chat/completions", &body).await;
        assert_eq!((answer.status, answer.header("retry-after")), (429, "49"), "{}", answer.text());
        let (_, _, message) = crate::gateway::openai_error(&answer);
        assert!(message.contains("You exceeded your current quota."), "{message}");
        house.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_gemini_client_uses_openais_models_whole_and_streamed() {
    let ask = json!({
        "system_instruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Weather?"}, {"inline_data": {"mime_type": "image/png", "data": "iVBO"}}]},
            {"role": "model", "parts": [{"function_call": {"name": "get_weather", "args": {"city": "Bern"}}, "thought_signature": "c2ln"}]},
            {"role": "user", "parts": [{"function_response": {"name": "get_weather", "response": {"result": "rain"}}}]},
        ],
        "tools": [{"function_declarations": [{"name": "get_weather", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}}]}],
        "generation_config": {"max_output_tokens": 99, "stop_sequences": ["END"], "response_mime_type": "application/json",
            "response_schema": {"type": "OBJECT", "properties": {"x": {"type": "INTEGER"}}}},
        "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    });
    for channel in CHANNELS {
        let house = House::of_openai(channel).await;
        house.judge(Operation::ChatCompletions, "gpt-4o-mini");
        house.endpoint.route("chat/completions", answer_of("chat_tool_calls"));
        let answer = house.post("/v1beta/models/m:generateContent", &ask).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let candidate = answer.json()["candidates"][0].clone();
        assert_eq!(candidate["finishReason"], "STOP");
        assert_eq!(
            candidate["content"]["parts"][0]["functionCall"]["args"],
            json!({"city": "Zürich"}),
            "{candidate}"
        );
        assert_eq!(
            answer.header("x-orchestrator-dropped"),
            "messages[2].parts[0].tool_call.signature,extras.gemini.safetySettings"
        );
        let sent = house.endpoint.seen().last().unwrap().json();
        assert_eq!(sent["messages"][3]["tool_call_id"], sent["messages"][2]["tool_calls"][0]["id"], "{sent}");

        house.endpoint.route("chat/completions", answer_of("chat_stream_tool_calls"));
        for path in
            ["/v1beta/models/m:streamGenerateContent?alt=sse", "/v1beta/models/m:streamGenerateContent"]
        {
            let text = house.post(path, &ask).await.text();
            assert!(!text.contains("[DONE]") && text.matches("finishReason").count() == 1, "{text}");
            assert!(text.contains("functionCall") && text.contains("usageMetadata"), "{text}");
        }
        house.content();
        let strict = [("x-orchestrator-strict", "true")];
        let body = Bytes::from(ask.to_string());
        let refused =
            house.gateway.client.send(Method::POST, "/v1beta/models/m:generateContent", &strict, body).await;
        assert_eq!(refused.status, 400);
        assert!(super::google_error(&refused).1.contains("safetySettings"), "{}", refused.text());
        house.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_gemini_client_is_told_of_openais_failures_in_googles_envelope() {
    for channel in CHANNELS {
        let house = House::of_openai(channel).await;
        let ask: Value = serde_json::from_str(ASK).unwrap();
        house.endpoint.route("chat/completions", answer_of("error_400_context_length"));
        let answer = house.post("/v1beta/models/m:generateContent", &ask).await;
        let (status, message) = super::google_error(&answer);
        assert_eq!((answer.status, status.as_str()), (400, "INVALID_ARGUMENT"));
        assert!(message.contains("maximum context length"), "{message}");

        house.endpoint.route("chat/completions", answer_of("chat_stream_error_midway"));
        let text = house.post("/v1beta/models/m:streamGenerateContent?alt=sse", &ask).await.text();
        let last = text.trim_end().rsplit("data: ").next().unwrap();
        let last: Value = serde_json::from_str(last).unwrap();
        assert!(last["error"]["code"].is_u64() && last["error"]["message"].is_string(), "{text}");
        assert!(!text.contains("finishReason"), "{text}");
        house.gateway.stop().await;
    }
}

#[tokio::test]
async fn embeddings_cross_the_vendors_in_both_directions() {
    for channel in CHANNELS {
        let house = House::of_gemini(channel, "gemini-embedding-001").await;
        house.judge(Operation::BatchEmbedContents, "gemini-embedding-001");
        house.endpoint.route("", answer_of("gemini_embed_batch"));
        let ask =
            json!({"model": "m", "input": ["Hello", "Grüße"], "dimensions": 2, "encoding_format": "base64"});
        let answer = house.post("/v1/embeddings", &ask).await.json();
        assert_eq!(answer["data"][0]["embedding"], "AACAPgAAAL8=", "{answer}");
        assert_eq!(
            (&answer["model"], &answer["usage"]["prompt_tokens"]),
            (&json!("gemini-embedding-001"), &json!(5))
        );
        house.content();

        let embedding = json!({"object": "list", "model": "e", "usage": {"prompt_tokens": 1, "total_tokens": 1},
            "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}]});
        let house = House::of_openai(channel).await;
        house.judge(Operation::Embeddings, "gpt-4o-mini");
        house.endpoint.route("embeddings", Scripted::json(200, &embedding));
        let one = house
            .post("/v1beta/models/m:embedContent", &json!({"content": {"parts": [{"text": "Hello"}]}}))
            .await;
        assert!(one.json()["embedding"]["values"][0].is_f64(), "{}", one.text());
        let batch = json!({"requests": [{"model": "models/m", "content": {"parts": [{"text": "Hello"}]}}]});
        let many = house.post("/v1beta/models/m:batchEmbedContents", &batch).await;
        assert!(many.json()["embeddings"][0]["values"][0].is_f64(), "{}", many.text());
        house.content();
        house.gateway.stop().await;
    }
}
