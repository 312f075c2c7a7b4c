//! What a request leaves in the database, through both programs: its record, its attempts, its bodies and what it adds to the sums.

use orchestrator_testkit::provider::Answer;
use serde_json::json;

use crate::{
    gateway::CHANNELS,
    stage::{Stage, request, streamed, whole},
};

#[tokio::test]
async fn a_request_leaves_its_trace_its_attempts_its_bodies_and_its_sums() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let headers = [("traceparent", &*parent), ("x-orchestrator-tags", "{\"app\":\"mail\"}")];
    for channel in CHANNELS {
        let stage =
            Stage::of_two(channel, |config| config.bodies.keep = true, json!({"max_retries": 0})).await;
        for stream in [false, true] {
            stage.first_answers(Answer::error(503));
            stage.second_answers(if stream { streamed(&["Hello"]) } else { whole("Hello") });
            stage.gateway.forgive().await;
            let asked = stage.ask_for("m", stream, &headers).await;
            assert_eq!(asked.answer.status, 200, "{channel:?}");

            let [id, trace_id, error_kind, origin] =
                stage.record(&asked, ["id", "trace_id", "error_kind", "origin"]).await;
            assert_eq!([&*trace_id, &*error_kind, &*origin], [trace, "", "caller"]);
            let attempts = "SELECT number, status, outcome FROM request_attempts WHERE log_id = ";
            let attempts = stage.gateway.rows(&format!("{attempts}'{id}' ORDER BY number")).await;
            let expected = [
                json!({"number": 1, "status": 503, "outcome": "provider_failed"}),
                json!({"number": 2, "status": 200, "outcome": "ok"}),
            ];
            assert_eq!(attempts, expected, "{channel:?}");
            let bodies = format!("SELECT request, response FROM request_bodies WHERE log_id = '{id}'");
            let expected = json!({
                "request": String::from_utf8(request("m", stream).to_vec()).unwrap(),
                "response": asked.answer.text(),
            });
            assert_eq!(stage.gateway.rows(&bodies).await, [expected], "{channel:?}");
        }
        let sums = "SELECT SUM(requests) AS requests, SUM(attempts) AS attempts, SUM(streams) AS streams FROM usage_hourly";
        let expected = json!({"requests": 2, "attempts": 4, "streams": 1});
        assert_eq!(stage.gateway.rows(sums).await, [expected]);
        let tags = "SELECT SUM(requests) AS requests FROM usage_tags_hourly WHERE tag = 'app' AND tag_value = 'mail'";
        assert_eq!(stage.gateway.rows(tags).await, [json!({"requests": 2})]);
        let providers = "SELECT SUM(attempts) AS attempts, SUM(successes) AS successes FROM provider_stats";
        assert_eq!(stage.gateway.rows(providers).await, [json!({"attempts": 4, "successes": 2})]);
        stage.gateway.stop().await;
    }
}
