//! Traces as a collector gets them from the programs themselves, with a core inside the edge and behind it.

use std::time::Duration;

use http::Method;
use orchestrator_edge::core_client;
use orchestrator_proto::v1::{self, orchestrate_client::OrchestrateClient};
use orchestrator_testkit::{
    otlp::{Collector, Span, tree},
    provider::{Answer as Scripted, Endpoint, Provider},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    client::{Answer, Client},
    gateway::{CHANNELS, Channel, PROVIDER_KEY},
    process::{Edge, home, key},
    stage::{request, streamed, whole},
};

/// The trace of the callers of this suite, but for its last digits.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e47";
/// The span from which they call.
const CALLER: &str = "00f067aa0ba902b7";
/// What is asked and answered, and must not be on any span.
const ASKED: &str = "Say something.";
const ANSWERED: &str = "Hello";

/// Programs of one gateway, before two providers of which the first fails.
struct Stage {
    edge: Edge,
    /// The core, where it is a program of its own.
    core: Option<Edge>,
    client: Client,
    admin: Client,
    grpc: String,
    client_key: String,
    _provider: Provider,
    first: Endpoint,
    second: Endpoint,
    _homes: [tempfile::TempDir; 2],
}

impl Stage {
    /// With these variables for the edge and, if it is a program of its own, those for the core.
    async fn start(channel: Channel, edge: &[(&str, &str)], core: &[(&str, &str)]) -> Self {
        let homes = [home(), home()];
        let (edge, core) = match channel {
            Channel::Embedded => (Edge::serving(homes[0].path(), edge, &[]).await, None),
            Channel::Split => {
                // The program of the core is another package's; an edge with a core inside listens for gRPC like it.
                let core = Edge::serving(homes[0].path(), core, &[]).await;
                let at = format!("http://{}", core.address("Listening for gRPC"));
                (Edge::serving(homes[1].path(), edge, &["--core", &at]).await, Some(core))
            }
        };
        let client_key = key(homes[0].path(), "client.key");
        let (client, admin) = (edge.client(&client_key), edge.client(&key(homes[0].path(), "admin.key")));
        let grpc = format!("http://{}", core.as_ref().unwrap_or(&edge).address("Listening for gRPC"));
        let provider = Provider::start().await;
        let (first, second) = (provider.named("first"), provider.named("second"));
        let model = create(&admin, "/admin/models", &json!({"name": "m"})).await;
        for (name, at, priority) in [("first", &first, 200), ("second", &second, 100)] {
            let body = json!({
                "name": name, "kind": "openai", "base_url": at.base_url(), "api_key": PROVIDER_KEY,
                "priority": priority, "max_retries": 0,
            });
            let id = create(&admin, "/admin/providers", &body).await;
            let body = json!({"model_id": model, "provider_id": id, "provider_model": "m-upstream"});
            create(&admin, "/admin/model-providers", &body).await;
        }
        first.route("chat/completions", Scripted::error(529));
        second.route("chat/completions", streamed(&["Hel", "lo"]));
        Self {
            edge,
            core,
            client,
            admin,
            grpc,
            client_key,
            _provider: provider,
            first,
            second,
            _homes: homes,
        }
    }

    /// Asks the model within a trace, and reads all of the answer.
    async fn ask(&self, stream: bool, parent: Option<&str>) -> Answer {
        let parent = parent.map(|parent| [("traceparent", parent), ("tracestate", "vendor=a")]);
        let headers: Vec<_> = parent.into_iter().flatten().chain([("x-request-id", "request-1")]).collect();
        let answer =
            self.client.send(Method::POST, "/v1/chat/completions", &headers, request("m", stream)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    /// Everything that the programs have logged.
    fn log(&self) -> String {
        self.core.as_ref().map(Edge::log).unwrap_or_default() + &self.edge.log()
    }

    async fn stop(self) {
        self.edge.stop().await;
        if let Some(core) = self.core {
            core.stop().await;
        }
    }
}

async fn create(admin: &Client, path: &str, body: &Value) -> String {
    let answer = admin.post(path, body).await;
    assert_eq!(answer.status, 201, "{path}: {}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// The header of a caller who records its part, or does not.
fn parent(number: u8, sampled: bool) -> (String, String) {
    let id = format!("{TRACE}{number:02x}");
    let header = format!("00-{id}-{CALLER}-{:02x}", u8::from(sampled));
    (id, header)
}

/// Variables that send traces to a collector, quickly.
fn exporting(collector: &Collector) -> Vec<(&'static str, String)> {
    vec![("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()), ("OTEL_BSP_SCHEDULE_DELAY", "50".to_owned())]
}

fn as_str<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn find<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}: {}", tree(spans)))
}

/// The log of a core names the trace and the request of an attempt that failed.
async fn check_failure(core: &Edge, trace_id: &str) {
    let line: Value = serde_json::from_str(&core.logged("an attempt failed").await).unwrap();
    let said = |name: &str| line.get(name).unwrap_or(&line["fields"][name]);
    assert_eq!((said("trace_id"), said("request_id")), (&json!(trace_id), &json!("request-1")), "{line}");
}

#[tokio::test]
async fn a_failed_over_stream_is_one_tree_across_edge_and_core() {
    for channel in CHANNELS {
        let collector = Collector::start();
        let variables = exporting(&collector);
        let mut core = as_str(&variables);
        core.push(("OTEL_SERVICE_NAME", "the-core"));
        let stage = Stage::start(channel, &as_str(&variables), &core).await;
        let (id, header) = parent(1, true);
        let answer = stage.ask(true, Some(&header)).await;
        assert_eq!(answer.header("x-orchestrator-trace-id"), id);

        let spans = collector.trace(&id, 7).await;
        let service = if channel == Channel::Split { "the-core" } else { "llm-orchestrator-edge" };
        let expected = format!(
            "POST /v1/chat/completions (server of llm-orchestrator-edge)\n  \
               orchestrator.v1.Orchestrate/StreamInvoke (server of {service})\n    \
                 admission (internal of {service})\n    \
                 attempt 1 (internal of {service}) !\n      \
                   chat m-upstream (client of {service}) !\n    \
                 attempt 2 (internal of {service})\n      \
                   chat m-upstream (client of {service})\n"
        );
        assert_eq!(tree(&spans), expected, "{channel:?}");
        let root = find(&spans, "POST /v1/chat/completions");
        assert_eq!((&*root.parent_id, &*root.state), (CALLER, "vendor=a"));
        for child in &spans {
            let within = spans.iter().find(|span| span.span_id == child.parent_id).unwrap_or(root);
            assert!(within.time.0 <= child.time.0, "{} begins before what it is part of", child.name);
        }
        let (inner, call) =
            (find(&spans, "orchestrator.v1.Orchestrate/StreamInvoke"), find(&spans, "attempt 2"));
        assert!(
            root.time.1 >= inner.time.0 && inner.time.1 >= call.time.1,
            "an answer's last byte ends them"
        );
        check_attributes(&stage, &spans);
        check_silence(&stage, &spans);

        // The log and the ledger name the trace.
        check_failure(stage.core.as_ref().unwrap_or(&stage.edge), &id).await;
        let path = format!("/admin/logs?trace_id={id}");
        for tried in 0.. {
            let logs = stage.admin.get(&path).await.json();
            if logs.as_array().is_some_and(|logs| logs.len() == 1) {
                break;
            }
            assert!(tried < 500, "{logs}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stage.stop().await;
    }
}

/// What the spans of a request say.
fn check_attributes(stage: &Stage, spans: &[Span]) {
    let root = find(spans, "POST /v1/chat/completions");
    assert_eq!(root.said("http.route"), "/v1/chat/completions");
    assert_eq!(root.said("http.response.status_code"), 200);
    assert_eq!(root.said("client.address"), "127.0.0.1");
    let inner = find(spans, "orchestrator.v1.Orchestrate/StreamInvoke");
    for (name, value) in [
        ("orchestrator.request_id", json!("request-1")),
        ("orchestrator.model", json!("m")),
        ("orchestrator.provider", json!("second")),
        ("orchestrator.outcome", json!("ok")),
        ("orchestrator.attempts", json!(2)),
        ("orchestrator.stream", json!(true)),
        ("rpc.system.name", json!("grpc")),
    ] {
        assert_eq!(inner.said(name), value, "{name}");
    }
    assert!(find(spans, "admission").said("orchestrator.queue.wait_ms").is_number());
    let mut calls: Vec<&Span> = spans.iter().filter(|span| span.kind == "client").collect();
    calls.sort_by_key(|span| span.time);
    let port =
        stage.first.base_url().split(':').nth(2).unwrap().split('/').next().unwrap().parse::<u16>().unwrap();
    for call in &calls {
        for (name, value) in [
            ("gen_ai.operation.name", json!("chat")),
            ("gen_ai.provider.name", json!("openai")),
            ("gen_ai.request.model", json!("m-upstream")),
            ("server.address", json!("127.0.0.1")),
            ("server.port", json!(port)),
        ] {
            assert_eq!(call.said(name), value, "{name}");
        }
    }
    let (failed, answered) = (calls[0], calls[1]);
    assert_eq!(
        (failed.said("http.response.status_code"), failed.said("orchestrator.provider")),
        (json!(529), json!("first"))
    );
    assert!(failed.said("error.type").is_string() && answered.said("error.type").is_null());
    assert_eq!(answered.said("http.response.status_code"), 200);
    assert_eq!(answered.said("gen_ai.response.model"), "m-upstream");
    assert_eq!(answered.said("gen_ai.response.finish_reasons"), json!(["stop"]));
    assert!(answered.said("gen_ai.usage.input_tokens").as_u64() > Some(0));
    assert!(answered.said("gen_ai.usage.output_tokens").as_u64() > Some(0));
}

/// Neither what is said nor a secret stands anywhere on a span, and no provider learns of the trace.
fn check_silence(stage: &Stage, spans: &[Span]) {
    let everything = format!("{spans:?}");
    for secret in [ASKED, ANSWERED, PROVIDER_KEY, &stage.client_key] {
        assert!(!everything.contains(secret), "{secret}: {everything}");
    }
    for seen in stage.first.seen().iter().chain(&stage.second.seen()) {
        assert_eq!((seen.header("traceparent"), seen.header("tracestate")), (None, None));
    }
}

#[tokio::test]
async fn what_is_not_sampled_is_not_exported_by_anybody_and_the_end_sends_what_is() {
    let collector = Collector::start();
    // Nothing is sent before the end.
    let endpoint = collector.endpoint();
    let core = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "3600000")];
    // The core would record everything, but for what the edge says.
    let never = [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.0")];
    let stage = Stage::start(Channel::Split, &[core, never].concat(), &core).await;
    stage.second.route("chat/completions", whole(ANSWERED));
    let own = stage.ask(false, None).await.header("x-orchestrator-trace-id").to_owned();
    assert_eq!(own.len(), 32, "it has a trace, so that the log can name it");
    stage.ask(false, Some(&parent(2, false).1)).await;
    let (id, header) = parent(3, true);
    let answer = stage.ask(false, Some(&header)).await;
    assert_eq!(answer.header("x-orchestrator-trace-id"), id);
    assert_eq!(collector.spans(), []);
    stage.stop().await;
    let spans = collector.spans();
    assert_eq!(find(&spans, "POST /v1/chat/completions").parent_id, CALLER);
    assert_eq!(find(&spans, "chat m-upstream").kind, "client");
    // Not the other two, and none of those that the test has made to set its stage.
    assert!(spans.iter().all(|span| span.trace_id == id), "{}", tree(&spans));
}

#[tokio::test]
async fn a_collector_that_does_not_answer_costs_nobody_anything() {
    // Connections are taken by the kernel, and nothing is ever said on them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let variables = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &*endpoint),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "200"),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "8"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4"),
    ];
    let stage = Stage::start(Channel::Embedded, &variables, &[]).await;
    stage.second.route("chat/completions", whole(ANSWERED));
    let began = Instant::now();
    for _ in 0..40 {
        stage.ask(false, None).await;
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let ending = Instant::now();
    let Stage { edge, .. } = stage;
    edge.terminate();
    let mut edge = edge;
    assert_eq!(edge.exit_code().await, 0, "{}", edge.log());
    assert!(ending.elapsed() < Duration::from_secs(8), "{:?}", ending.elapsed());
    let log = edge.log();
    assert!(log.contains("of traces") || log.contains("traces cannot be exported"), "{log}");
}

#[tokio::test]
async fn content_and_providers_are_told_where_operators_want_it() {
    let collector = Collector::start();
    let mut variables = exporting(&collector);
    variables.push(("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true".to_owned()));
    variables.push(("ORCHESTRATOR__TRACES__MAX_CONTENT_BYTES", "60".to_owned()));
    variables.push(("ORCHESTRATOR__TRACES__PROVIDERS", "second".to_owned()));
    variables.push(("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=s3cret%2Ctenant".to_owned()));
    variables.push(("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test".to_owned()));
    variables.push(("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1".to_owned()));
    let stage = Stage::start(Channel::Embedded, &as_str(&variables), &[]).await;
    let (id, header) = parent(4, true);
    stage.ask(true, Some(&header)).await;
    let spans = collector.trace(&id, 7).await;
    let inner = find(&spans, "orchestrator.v1.Orchestrate/StreamInvoke");
    for name in ["orchestrator.request.body", "orchestrator.response.body"] {
        let said = inner.said(name);
        assert_eq!(said.as_str().map(str::len), Some(60), "{name}: {said}");
    }
    assert!(inner.said("orchestrator.request.body").as_str().unwrap().contains(ASKED));

    let told = stage.second.seen()[0].header("traceparent").unwrap().to_owned();
    let mut calls: Vec<&Span> = spans.iter().filter(|span| span.kind == "client").collect();
    calls.sort_by_key(|span| span.time);
    assert_eq!(told, format!("00-{id}-{}-01", calls[1].span_id), "its spans belong under the call");
    assert_eq!(stage.second.seen()[0].header("tracestate"), Some("vendor=a"));
    assert_eq!(stage.first.seen()[0].header("traceparent"), None);

    let batches = collector.batches();
    assert!(
        batches.iter().all(|batch| batch.spans.len() == 1 && batch.headers["x-tenant"] == "s3cret,tenant")
    );
    assert_eq!(inner.resource["deployment.environment.name"], "test");
    assert!(!stage.log().contains("s3cret"));
    stage.stop().await;
}

#[tokio::test]
async fn a_grpc_callers_trace_goes_on_and_a_quiet_program_still_names_it() {
    let collector = Collector::start();
    let variables = exporting(&collector);
    let stage = Stage::start(Channel::Embedded, &as_str(&variables), &[]).await;
    stage.second.route("chat/completions", whole(ANSWERED));
    let (id, header) = parent(5, true);
    let caller = Typed(stage.grpc.clone(), stage.client_key.clone());
    let answer = caller.ask(&header).await;
    assert_eq!(answer.metadata().get("x-orchestrator-trace-id").unwrap(), &*id);
    let spans = collector.trace(&id, 6).await;
    assert_eq!(find(&spans, "orchestrator.v1.Orchestrate/Chat").parent_id, CALLER);
    assert_eq!(spans.iter().filter(|span| span.kind == "client").count(), 2, "{}", tree(&spans));
    stage.stop().await;

    // Without an endpoint there are no spans, and the log names a caller's trace all the same. A log of warnings too.
    for (name, value) in [("LOG_LEVEL", "warn"), ("OTEL_SDK_DISABLED", "true")] {
        let disabled = exporting(&collector);
        let mut variables = if name == "LOG_LEVEL" { Vec::new() } else { as_str(&disabled) };
        variables.push((name, value));
        let before = collector.spans().len();
        let (home, (id, header)) = (home(), parent(6, true));
        // A quiet program does not say that it serves.
        let port = free_port().to_string();
        variables.push(("APP_PORT", &port));
        let edge = Edge::start(home.path(), &variables, &[]);
        let client = ready(&format!("127.0.0.1:{port}"), home.path()).await;
        let silent = Provider::start().await;
        silent.route("chat/completions", Scripted::error(500));
        let admin = Client::new(&format!("127.0.0.1:{port}"), &key(home.path(), "admin.key"));
        let body = json!({"name": "p", "kind": "openai", "base_url": silent.base_url(), "api_key": PROVIDER_KEY, "max_retries": 0});
        create(&admin, "/admin/providers", &body).await;
        let headers = [("traceparent", &*header), ("x-request-id", "request-1")];
        let answer = client.send(Method::POST, "/v1/chat/completions", &headers, request("p/m", false)).await;
        assert_eq!(
            (answer.status, answer.header("x-orchestrator-trace-id")),
            (500, &*id),
            "{}",
            answer.text()
        );
        check_failure(&edge, &id).await;
        let mut edge = edge;
        edge.terminate();
        assert_eq!(edge.exit_code().await, 0);
        assert_eq!(collector.spans().len(), before);
    }
}

/// A caller of the typed plane: the address and its key.
struct Typed(String, String);

impl Typed {
    async fn ask(&self, traceparent: &str) -> tonic::Response<v1::ChatResponse> {
        let channel = core_client::remote(&self.0).unwrap();
        let mut client = OrchestrateClient::new(channel);
        let part = v1::Part { kind: Some(v1::part::Kind::Text(ASKED.to_owned())), ..v1::Part::default() };
        let message =
            v1::Message { role: v1::Role::User.into(), parts: vec![part], ..v1::Message::default() };
        let message =
            v1::ChatRequest { model: "m".to_owned(), messages: vec![message], ..v1::ChatRequest::default() };
        let mut request = tonic::Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.1).parse().unwrap());
        request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
        client.chat(request).await.unwrap()
    }
}

/// A port that nobody has at the moment.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A client of a program that says nothing when it serves.
async fn ready(authority: &str, home: &std::path::Path) -> Client {
    for _ in 0..1000 {
        if tokio::net::TcpStream::connect(authority).await.is_ok() {
            return Client::new(authority, &key(home, "client.key"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it did not serve in time");
}
