//! Spans on their way to a collector, by OTLP over gRPC.
//!
//! A span that ends is put into a bounded queue, and is lost, and counted, where that is full: whoever ends it never waits. A task
//! of the background sends batches. What a collector does not take is tried again for a while; nothing else of the program notices
//! that it is away. Without an endpoint nothing of this is there.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanId, TraceId, TracerProvider as _},
};
use opentelemetry_proto::{
    tonic::collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    transform::{
        common::tonic::ResourceAttributesWithSchema, trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{IdGenerator, Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanLimits, SpanProcessor},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{
    sync::mpsc::{self, error::TryRecvError},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Status,
    metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap},
    transport::{Channel, ClientTlsConfig, Endpoint},
};
use tracing::Subscriber;
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use super::traces::{self, Rules};
use crate::{
    config::{Config, pairs},
    random::Random,
    runtime::Background,
};

/// How long the end of the process waits for what is still in the queue.
const FLUSH: Duration = Duration::from_secs(3);
/// How often a batch is sent that the collector cannot take just then.
const TRIES: u32 = 4;
/// The pause before the second time; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// How often at most the log says that spans are lost.
const REMIND: Duration = Duration::from_mins(1);

/// Spans that were never sent, since the process began.
static LOST: AtomicU64 = AtomicU64::new(0);
/// What [`prepare`] has made for [`layer`], [`start`] and [`finish`]: like the subscriber, one for the process.
static EXPORT: OnceLock<Mutex<Export>> = OnceLock::new();

/// The steps of an export's life, each taken out by the one that follows.
#[derive(Default)]
struct Export {
    tracer: Option<SdkTracer>,
    waiting: Option<Waiting>,
    running: Option<Running>,
}

/// An exporter that does not run yet.
struct Waiting {
    queue: mpsc::Receiver<SpanData>,
    settings: Settings,
}

struct Running {
    task: JoinHandle<Option<()>>,
    stop: CancellationToken,
}

/// What the exporter goes by.
struct Settings {
    endpoint: String,
    headers: MetadataMap,
    timeout: Duration,
    delay: Duration,
    batch: usize,
    resource: Resource,
}

/// Spans that were lost since the process began: the queue was full, or the collector did not take them.
pub fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// Makes this process trace as `config` says, as `program`. Comes before [`super::install`], once in a process.
pub fn prepare(config: &Config, program: &'static str) {
    let settings = settings(config, program);
    let random = Random::system();
    let rules =
        Rules { settings: config.traces.clone(), exports: settings.is_some(), random: random.clone() };
    let is_first = traces::set_rules(rules);
    let Some(settings) = settings.filter(|_| is_first) else { return };
    let (sender, queue) = mpsc::channel(config.traces.max_queue_size.max(1));
    let provider = SdkTracerProvider::builder()
        .with_span_processor(Queue(sender))
        // It was decided before the span was made.
        .with_sampler(Sampler::AlwaysOn)
        .with_id_generator(Ids(random))
        .with_span_limits(SpanLimits::default())
        .with_resource(settings.resource.clone())
        .build();
    let tracer = Some(provider.tracer(env!("CARGO_PKG_NAME")));
    let _ =
        EXPORT.set(Mutex::new(Export { tracer, waiting: Some(Waiting { queue, settings }), running: None }));
}

/// Where spans go; `None`: nowhere.
fn settings(config: &Config, program: &'static str) -> Option<Settings> {
    let (otlp, own) = (&config.otlp, &config.traces);
    let endpoint = own.endpoint.as_ref().or(otlp.endpoint.as_ref()).filter(|_| !otlp.disabled)?;
    let attributes = otlp.resource_attributes.as_deref().map(pairs).and_then(Result::ok).unwrap_or_default();
    let attributes = attributes.into_iter().map(|(name, value)| KeyValue::new(name, value));
    let named = |key: &str, attributes: &[KeyValue]| attributes.iter().any(|each| each.key.as_str() == key);
    let attributes: Vec<KeyValue> = attributes.collect();
    let mut resource = Resource::builder_empty()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("process.pid", i64::from(std::process::id())));
    if otlp.service_name.is_some() || !named("service.name", &attributes) {
        resource =
            resource.with_service_name(otlp.service_name.clone().unwrap_or_else(|| program.to_owned()));
    }
    // What operators say comes last, and wins; but for the name, which has a variable of its own.
    let own_name = otlp.service_name.is_some();
    let said = attributes.into_iter().filter(|each| !own_name || each.key.as_str() != "service.name");
    Some(Settings {
        endpoint: endpoint.clone(),
        headers: own.headers.as_ref().or(otlp.headers.as_ref()).map(metadata).unwrap_or_default(),
        timeout: Duration::from_millis(own.timeout_ms.unwrap_or(otlp.timeout_ms)),
        delay: Duration::from_millis(own.schedule_delay_ms),
        batch: own.max_export_batch_size.min(own.max_queue_size).max(1),
        resource: resource.with_attributes(said).build(),
    })
}

/// The headers of a setting, which its check has read before.
fn metadata(headers: &SecretString) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    for (name, value) in pairs(headers.expose_secret()).unwrap_or_default() {
        let name = AsciiMetadataKey::from_bytes(name.to_ascii_lowercase().as_bytes());
        let value = AsciiMetadataValue::try_from(value);
        if let (Ok(name), Ok(mut value)) = (name, value) {
            value.set_sensitive(true);
            metadata.insert(name, value);
        }
    }
    metadata
}

/// The layer that makes spans of ours into OpenTelemetry's; `None` without an endpoint, and then it is not there at all.
pub(super) fn layer<S>() -> Option<impl Layer<S>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let tracer = with_export(|export| export.tracer.take()).flatten()?;
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false);
    let ours = Targets::new().with_target(traces::TARGET, tracing::level_filters::LevelFilter::INFO);
    Some(layer.with_filter(ours))
}

/// Begins to send what is prepared.
pub fn start(background: &Background) {
    with_export(|export| {
        let Some(Waiting { queue, settings }) = export.waiting.take() else { return };
        let stop = CancellationToken::new();
        let task = background.spawn("trace exporter", run(queue, settings, stop.clone()));
        export.running = Some(Running { task, stop });
    });
}

/// Sends what is left, for a few seconds at most. Blocks: not for use on a runtime.
pub fn finish(background: &Background) {
    let Some(Running { task, stop }) = with_export(|export| export.running.take()).flatten() else { return };
    stop.cancel();
    if background.block_on(async { timeout(FLUSH, task).await }).is_err() {
        tracing::warn!("the last spans of traces could not be sent in time");
    }
}

fn with_export<T>(take: impl FnOnce(&mut Export) -> T) -> Option<T> {
    let export = EXPORT.get()?;
    Some(take(&mut export.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// Takes spans that have ended. Never waits.
#[derive(Debug)]
struct Queue(mpsc::Sender<SpanData>);

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.0.try_send(span).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Ids from the one door to randomness.
#[derive(Debug)]
struct Ids(Random);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from(traces::trace_id(&self.0))
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from(traces::span_id(&self.0))
    }
}

/// Sends batches until it is told to stop, and then what is left.
async fn run(mut queue: mpsc::Receiver<SpanData>, settings: Settings, stop: CancellationToken) {
    let mut sender = match Sender::new(&settings) {
        Ok(sender) => sender,
        Err(error) => {
            tracing::error!(%error, "traces cannot be exported: the endpoint cannot be used");
            return;
        }
    };
    loop {
        let batch = gather(&mut queue, &settings, &stop).await;
        let stopping = stop.is_cancelled();
        if batch.is_empty() && stopping {
            return;
        }
        sender.send(batch, &stop).await;
    }
}

/// The next batch: a full one, or what has come in the time that the first of it may wait. Empty only at the end.
async fn gather(
    queue: &mut mpsc::Receiver<SpanData>,
    settings: &Settings,
    stop: &CancellationToken,
) -> Vec<SpanData> {
    let mut batch = Vec::new();
    let first = stop.run_until_cancelled(queue.recv()).await;
    batch.extend(first.flatten());
    let due = Instant::now() + settings.delay;
    while batch.len() < settings.batch {
        match queue.try_recv() {
            Ok(span) => batch.push(span),
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) if stop.is_cancelled() => break,
            Err(TryRecvError::Empty) => tokio::select! {
                biased;
                () = stop.cancelled() => {}
                next = queue.recv() => batch.extend(next),
                () = sleep_until(due) => break,
            },
        }
    }
    batch
}

/// The way to the collector, and how it was last.
struct Sender {
    client: TraceServiceClient<Channel>,
    headers: MetadataMap,
    timeout: Duration,
    resource: ResourceAttributesWithSchema,
    /// Since when it takes nothing.
    away: bool,
    /// How many were lost when the log last said so, and when that was.
    said: (u64, Option<Instant>),
}

impl Sender {
    /// Nothing is dialled before the first batch, so that a collector may start later.
    fn new(settings: &Settings) -> Result<Self, tonic::transport::Error> {
        let mut endpoint =
            Endpoint::from_shared(settings.endpoint.clone())?.connect_timeout(settings.timeout);
        if settings.endpoint.starts_with("https") {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_webpki_roots())?;
        }
        Ok(Self {
            client: TraceServiceClient::new(endpoint.connect_lazy()),
            headers: settings.headers.clone(),
            timeout: settings.timeout,
            resource: (&settings.resource).into(),
            away: false,
            said: (0, None),
        })
    }

    /// Sends a batch, or counts it as lost. At the end there is no time to try again.
    async fn send(&mut self, batch: Vec<SpanData>, stop: &CancellationToken) {
        let count = batch.len() as u64;
        let message = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(batch, &self.resource),
        };
        let mut pause = PAUSE;
        for tried in 1.. {
            let status = match self.ask(message.clone()).await {
                Ok(rejected) => {
                    LOST.fetch_add(rejected, Ordering::Relaxed);
                    if std::mem::replace(&mut self.away, false) {
                        tracing::info!(lost = lost(), "traces are exported again");
                    }
                    break;
                }
                Err(status) => status,
            };
            if stop.is_cancelled() || tried >= TRIES || !may_pass(status.code()) {
                LOST.fetch_add(count, Ordering::Relaxed);
                if !std::mem::replace(&mut self.away, true) {
                    // The collector's own message may say anything.
                    tracing::warn!(grpc.code = ?status.code(), lost = lost(), "traces cannot be exported");
                    self.said = (lost(), Some(Instant::now()));
                }
                break;
            }
            stop.run_until_cancelled(tokio::time::sleep(pause)).await;
            pause *= 2;
        }
        self.remind();
    }

    /// One try; answers how many spans the collector refused.
    async fn ask(&mut self, message: ExportTraceServiceRequest) -> Result<u64, Status> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.headers.clone();
        let answer = timeout(self.timeout, self.client.export(request)).await;
        let answer = answer.map_err(|_| Status::deadline_exceeded("no answer in time"))??;
        let partial = answer.into_inner().partial_success.unwrap_or_default();
        Ok(u64::try_from(partial.rejected_spans).unwrap_or_default())
    }

    /// Says now and then how many spans were lost.
    fn remind(&mut self) {
        let (said, at) = self.said;
        if lost() > said && at.is_none_or(|at| at.elapsed() >= REMIND) {
            tracing::warn!(lost = lost(), "spans of traces were lost");
            self.said = (lost(), Some(Instant::now()));
        }
    }
}

/// Whether the same batch may be taken later (<https://opentelemetry.io/docs/specs/otlp/#failures>).
fn may_pass(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
            | Code::ResourceExhausted
    )
}
