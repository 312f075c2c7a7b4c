//! What a newcomer sees: an empty installation that answers.

use serde_json::json;

use crate::gateway::{CHANNELS, Gateway};

#[tokio::test]
async fn an_empty_installation_streams_what_it_was_asked() {
    for channel in CHANNELS {
        let gateway = Gateway::start(channel).await;
        let body =
            json!({"model": "echo", "stream": true, "messages": [{"role": "user", "content": "one two"}]});
        let answer = gateway.client.post("/v1/chat/completions", &body).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"), "{channel:?}");
        assert!(answer.text().contains(r#""content":"one ""#), "{}", answer.text());
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());

        let rows = gateway.logs(1).await;
        assert_eq!((rows[0]["outcome"].as_str(), rows[0]["prompt_tokens"].as_i64()), (Some("ok"), Some(2)));
        gateway.stop().await;
    }
}
