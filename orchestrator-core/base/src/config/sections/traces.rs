//! The sections about traces: where they are sent, by the variables of the OpenTelemetry standard, and which.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// Section `otlp`: the collector, as the standard's variables for all signals name it
/// (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Otlp {
    /// `OTEL_SDK_DISABLED`, default `false`: nothing is exported, whatever else is set.
    pub disabled: bool,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`, default none: nothing is exported.
    pub endpoint: Option<String>,
    /// `OTEL_EXPORTER_OTLP_HEADERS`, default none: `name=value`, comma-separated, sent with every batch.
    #[serde(serialize_with = "super::masked")]
    pub headers: Option<SecretString>,
    /// `OTEL_EXPORTER_OTLP_PROTOCOL`: `grpc`, as without it, for nothing else is spoken.
    pub protocol: Option<OtlpProtocol>,
    /// `OTEL_EXPORTER_OTLP_TIMEOUT` (milliseconds), default 10 s: how long the collector may take for a batch.
    pub timeout_ms: u64,
    /// `OTEL_SERVICE_NAME`, default the program's: `llm-orchestrator-edge` or `llm-orchestrator-core`.
    pub service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`, default none: `name=value`, comma-separated.
    pub resource_attributes: Option<String>,
}

impl Default for Otlp {
    fn default() -> Self {
        Self {
            disabled: false,
            endpoint: None,
            headers: None,
            protocol: None,
            timeout_ms: 10_000,
            service_name: None,
            resource_attributes: None,
        }
    }
}

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OtlpProtocol {
    /// Protobuf over gRPC.
    Grpc,
}

/// Section `traces`: what of section `otlp` is otherwise for traces, which requests are traced, and how much may wait.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Traces {
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, default `otlp.endpoint`.
    pub endpoint: Option<String>,
    /// `OTEL_EXPORTER_OTLP_TRACES_HEADERS`, default `otlp.headers`.
    #[serde(serialize_with = "super::masked")]
    pub headers: Option<SecretString>,
    /// `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`: likewise.
    pub protocol: Option<OtlpProtocol>,
    /// `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT` (milliseconds), default `otlp.timeout_ms`.
    pub timeout_ms: Option<u64>,
    /// `OTEL_TRACES_SAMPLER`, default `parentbased_always_on`.
    pub sampler: Sampler,
    /// `OTEL_TRACES_SAMPLER_ARG`, default 1: the share of traces that the samplers by ratio record, from 0 to 1.
    pub sampler_arg: String,
    /// `OTEL_BSP_SCHEDULE_DELAY` (milliseconds), default 5 s: how long a span waits for others to be sent with.
    pub schedule_delay_ms: u64,
    /// `OTEL_BSP_MAX_QUEUE_SIZE`, default 2048: so many spans wait; more are lost, and counted.
    pub max_queue_size: usize,
    /// `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`, default 512: so many are sent at once.
    pub max_export_batch_size: usize,
    /// `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`, default `false`: what was asked and answered stands on spans.
    pub capture_content: bool,
    /// The most bytes of each, default 16 KiB.
    pub max_content_bytes: usize,
    /// The names of providers that are told the trace (`traceparent`), default none; `*` means all.
    pub providers: Vec<String>,
}

impl Traces {
    /// The share of traces that a sampler by ratio records.
    pub fn ratio(&self) -> f64 {
        self.sampler_arg.trim().parse().unwrap_or(1.0)
    }
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            endpoint: None,
            headers: None,
            protocol: None,
            timeout_ms: None,
            sampler: Sampler::default(),
            sampler_arg: "1".into(),
            schedule_delay_ms: 5_000,
            max_queue_size: 2_048,
            max_export_batch_size: 512,
            capture_content: false,
            max_content_bytes: 16 << 10,
            providers: Vec::new(),
        }
    }
}

/// Which traces are recorded (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Sampler {
    /// All, whatever callers say.
    #[serde(rename = "always_on")]
    AlwaysOn,
    /// None, whatever callers say.
    #[serde(rename = "always_off")]
    AlwaysOff,
    /// A share, by the trace's id.
    #[serde(rename = "traceidratio")]
    Ratio,
    /// As callers say, and all of those that begin here.
    #[default]
    #[serde(rename = "parentbased_always_on")]
    ParentBasedAlwaysOn,
    /// As callers say, and none of those that begin here.
    #[serde(rename = "parentbased_always_off")]
    ParentBasedAlwaysOff,
    /// As callers say, and a share of those that begin here.
    #[serde(rename = "parentbased_traceidratio")]
    ParentBasedRatio,
}
