//! A database that is away: requests do not notice, and the ledger catches up when it is back.

use orchestrator_testkit::sqlite::Outage;
use serde_json::json;

use crate::{
    gateway::CHANNELS,
    stage::{Stage, streamed, whole},
};

#[tokio::test]
async fn fifty_requests_are_answered_without_a_database_and_recorded_when_it_is_back() {
    for channel in CHANNELS {
        let stage = Stage::of_two(channel, |_| {}, json!({})).await;
        let outage = Outage::begin(&stage.gateway.database).await;
        // The outage is real: what needs the database fails.
        assert_eq!(stage.gateway.admin.get("/admin/models").await.status, 503, "{channel:?}");
        let mut ids = Vec::new();
        for number in 0..50 {
            let stream = number % 2 == 0;
            let good = if stream { streamed(&["Hello"]) } else { whole("Hello") };
            stage.first_answers(good.clone());
            let asked = stage.ask(stream).await;
            assert_eq!((asked.answer.status, &asked.answer.body), (200, &good.body_bytes()), "{channel:?}");
            ids.push(asked.id);
        }
        outage.end().await;
        let rows = stage.gateway.logs(50).await;
        let recorded: Vec<_> = rows.iter().map(|row| row["request_id"].as_str().unwrap()).collect();
        assert_eq!(recorded, ids, "{channel:?}: each once, in order");
        assert!(rows.iter().all(|row| row["outcome"] == "ok"), "{channel:?}");
        stage.gateway.stop().await;
    }
}
