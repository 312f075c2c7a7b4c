//! One line of the log for each request that is over: what operators look for first, and nothing that was said.
//!
//! It has no message of an error's: providers quote what they were asked. The account has it.

use std::time::Duration;

use orchestrator_base::clock;

use super::record::{Origin, RequestRecord};

/// Under this name the lines can be switched off: `info,orchestrator::request=off`.
const TARGET: &str = "orchestrator::request";

/// A request is over. Callers' lines are of level info, failures included; those of probes of level debug.
pub(super) fn finished(record: &RequestRecord) {
    match record.origin {
        Origin::Caller => line!(tracing::Level::INFO, record),
        Origin::Probe => line!(tracing::Level::DEBUG, record),
    }
}

/// An event of level `$level`. Outside of spans: what they would say stands in the record.
macro_rules! line {
    ($level:expr, $record:expr) => {{
        let record: &RequestRecord = $record;
        tracing::event!(
            target: TARGET,
            parent: None,
            $level,
            request_id = record.request_id,
            trace_id = some(&record.trace_id),
            session_id = some(&record.session_id),
            api_key = some(&record.api_key_name),
            team = some(&record.team),
            dialect = record.dialect,
            operation = record.operation,
            stream = record.stream,
            model = record.model,
            provider = some(&record.provider),
            upstream_model = some(&record.upstream_model),
            attempts = record.attempts,
            status = status(record),
            http_status = record.status,
            duration_ms = millis(record.latency_us),
            ttft_ms = record.ttft_us.map(millis),
            overhead_ms = millis(record.overhead_us),
            input_tokens = record.usage.prompt,
            output_tokens = record.usage.completion,
            cached_tokens = record.usage.cached_read,
            reasoning_tokens = record.usage.reasoning,
            cost_usd = record.cost_nanos.map(|nanos| nanos as f64 / 1e9),
            client_address = some(&record.client_address),
            log_id = record.id,
            "request finished"
        );
    }};
}
use line;

/// What a line has no field for when it is empty.
fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// `success`, or the error's kind; of an answer that broke too.
fn status(record: &RequestRecord) -> &str {
    match (record.outcome.as_str(), record.error_kind.as_str()) {
        ("ok", _) => "success",
        (outcome, "") => outcome,
        (_, kind) => kind,
    }
}

/// To the microsecond.
fn millis(micros: u64) -> f64 {
    clock::millis(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use std::{
        fmt::{self, Write as _},
        sync::{Arc, Mutex},
    };

    use tracing::{
        Event, Subscriber,
        field::{Field, Visit},
    };
    use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _};

    use super::*;
    use crate::ledger::record::UsageRecord;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }

    impl<S: Subscriber> Layer<S> for Lines {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut line = Line(format!("{} {}", event.metadata().level(), event.metadata().target()));
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }
    }

    fn told(record: &RequestRecord) -> String {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::registry().with(lines.clone());
        tracing::subscriber::with_default(subscriber, || finished(record));
        lines.0.lock().unwrap().join("\n")
    }

    #[test]
    fn a_request_that_is_over_is_one_line() {
        let record = RequestRecord {
            id: "log-1".into(),
            request_id: "job-7".into(),
            session_id: "s-1".into(),
            api_key_name: "ann".into(),
            dialect: "openai_chat".into(),
            operation: "chat".into(),
            model: "fast".into(),
            provider: "openai".into(),
            upstream_model: "gpt".into(),
            attempts: 1,
            status: 200,
            outcome: "ok".into(),
            latency_us: 1_234_567,
            overhead_us: 84,
            usage: UsageRecord { prompt: 3, completion: 5, ..UsageRecord::default() },
            cost_nanos: Some(1_500_000),
            ..RequestRecord::default()
        };
        insta::assert_snapshot!(told(&record), @r#"INFO orchestrator::request message=request finished request_id="job-7" session_id="s-1" api_key="ann" dialect="openai_chat" operation="chat" stream=false model="fast" provider="openai" upstream_model="gpt" attempts=1 status="success" http_status=200 duration_ms=1234.567 overhead_ms=0.084 input_tokens=3 output_tokens=5 cached_tokens=0 reasoning_tokens=0 cost_usd=0.0015 log_id="log-1""#);
    }

    #[test]
    fn a_failure_is_called_by_its_kind_and_says_nothing_of_what_was_said() {
        let failed = RequestRecord {
            outcome: "truncated".into(),
            error_kind: "timeout".into(),
            error: "the provider quoted a prompt".into(),
            status: 200,
            ..RequestRecord::default()
        };
        let line = told(&failed);
        assert!(line.contains(" status=\"timeout\" http_status=200"), "{line}");
        assert!(!line.contains("prompt"), "{line}");
        let probe = RequestRecord { origin: Origin::Probe, outcome: "ok".into(), ..failed };
        assert!(told(&probe).starts_with("DEBUG orchestrator::request"));
    }
}
