//! A collector of traces: OTLP over gRPC, as the published services define it, and a memory.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::{Span as WireSpan, span::SpanKind, status::StatusCode},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// A span as it was received.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The `service.name` of whoever sent it.
    pub service: String,
    /// What else was said of whoever sent it.
    pub resource: BTreeMap<String, Value>,
    /// Its name.
    pub name: String,
    /// `server`, `client` or `internal`.
    pub kind: &'static str,
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// Its parent's; empty: it has none.
    pub parent_id: String,
    /// What was said of it.
    pub attributes: BTreeMap<String, Value>,
    /// Its status is an error.
    pub failed: bool,
    /// The vendor's list that travels along.
    pub state: String,
    /// When it began and ended, in nanoseconds since 1970.
    pub time: (u64, u64),
}

impl Span {
    /// What was said of it under this name; null: nothing.
    pub fn said(&self, name: &str) -> Value {
        self.attributes.get(name).cloned().unwrap_or_default()
    }
}

/// A message with spans.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The metadata that are text.
    pub headers: BTreeMap<String, String>,
    /// The spans.
    pub spans: Vec<Span>,
}

/// A collector. It ends when it is dropped.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    received: Received,
    _serving: JoinSet<()>,
}

#[derive(Clone, Debug, Default)]
struct Received(Arc<Mutex<Vec<Batch>>>);

impl Collector {
    /// Begins to listen on a free port of 127.0.0.1.
    pub fn start() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let incoming = TcpIncoming::bind(any).expect("a free port on 127.0.0.1");
        let address = incoming.local_addr().expect("a bound listener has an address");
        let received = Received::default();
        let service = TraceServiceServer::new(received.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            Server::builder().add_service(service).serve_with_incoming(incoming).await.expect("it serves");
        });
        Self { address, received, _serving: serving }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The messages that came so far.
    pub fn batches(&self) -> Vec<Batch> {
        self.received.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The spans that came so far.
    pub fn spans(&self) -> Vec<Span> {
        self.batches().into_iter().flat_map(|batch| batch.spans).collect()
    }

    /// The spans of a trace, once there are so many; those that are there after ten seconds, if there are fewer.
    pub async fn trace(&self, trace_id: &str, count: usize) -> Vec<Span> {
        for _ in 0..1000 {
            let spans = self.of(trace_id);
            if spans.len() >= count {
                return spans;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.of(trace_id)
    }

    fn of(&self, trace_id: &str) -> Vec<Span> {
        let mut spans = self.spans();
        spans.retain(|span| span.trace_id == trace_id);
        spans
    }
}

/// A trace as a tree: a line a span, under its parent, in the order in which they began: `NAME (KIND of SERVICE)`, and `!` where it failed.
pub fn tree(spans: &[Span]) -> String {
    let mut lines = String::new();
    let is_root = |span: &&Span| spans.iter().all(|other| other.span_id != span.parent_id);
    let mut roots: Vec<&Span> = spans.iter().filter(is_root).collect();
    roots.sort_by_key(|span| span.time);
    for root in roots {
        draw(root, spans, 0, &mut lines);
    }
    lines
}

fn draw(span: &Span, spans: &[Span], depth: usize, lines: &mut String) {
    let mark = if span.failed { " !" } else { "" };
    let _ = writeln!(
        lines,
        "{:width$}{} ({} of {}){mark}",
        "",
        span.name,
        span.kind,
        span.service,
        width = depth * 2
    );
    let mut children: Vec<&Span> = spans.iter().filter(|child| child.parent_id == span.span_id).collect();
    children.sort_by_key(|child| child.time);
    for child in children {
        draw(child, spans, depth + 1, lines);
    }
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let headers = metadata.into_headers();
        let text = |(name, value): (&http_name::Name, &http_name::Value)| {
            value.to_str().ok().map(|value| (name.to_string(), value.to_owned()))
        };
        let headers = headers.iter().filter_map(text).collect();
        let mut spans = Vec::new();
        for group in message.resource_spans {
            let resource = said(group.resource.unwrap_or_default().attributes);
            for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                spans.push(read(span, &resource));
            }
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Batch { headers, spans });
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// What metadata are made of.
mod http_name {
    pub(super) use tonic::codegen::http::{HeaderName as Name, HeaderValue as Value};
}

fn read(span: WireSpan, resource: &BTreeMap<String, Value>) -> Span {
    let kind = match span.kind() {
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Internal => "internal",
        SpanKind::Producer | SpanKind::Consumer | SpanKind::Unspecified => "other",
    };
    Span {
        service: resource.get("service.name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        resource: resource.clone(),
        kind,
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_id: hex(&span.parent_span_id),
        failed: span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error),
        state: span.trace_state,
        time: (span.start_time_unix_nano, span.end_time_unix_nano),
        attributes: said(span.attributes),
        name: span.name,
    }
}

fn said(attributes: Vec<KeyValue>) -> BTreeMap<String, Value> {
    attributes.into_iter().map(|each| (each.key, value(each.value))).collect()
}

fn value(value_of: Option<AnyValue>) -> Value {
    match value_of.and_then(|any| any.value) {
        Some(any_value::Value::StringValue(text)) => json!(text),
        Some(any_value::Value::BoolValue(truth)) => json!(truth),
        Some(any_value::Value::IntValue(number)) => json!(number),
        Some(any_value::Value::DoubleValue(number)) => json!(number),
        Some(any_value::Value::ArrayValue(list)) => {
            list.values.into_iter().map(|each| value(Some(each))).collect()
        }
        _ => Value::Null,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
