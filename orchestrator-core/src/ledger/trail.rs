//! The spans of one request: they follow its account, which learns everything that they say.
//!
//! The request's own span stands around its admission, each attempt, and in that the call of the provider, which has the attributes of the
//! conventions for generative AI (<https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/>). Where a request is not
//! recorded there are none, and nothing is worked out for them. Texts of callers and providers are on none of them, unless a
//! setting says so: failures are told by their kind.

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use orchestrator_base::telemetry::traces::{self, Kind, Trace};
use tokio::time::Instant;
use tracing::Span;

use super::record::{BodiesRecord, RequestRecord};
use crate::{
    call::{Facts, UsageSource},
    catalog::route::Target,
    dialect::Dialect,
    error::Error,
};

/// A request's place in its trace. The default is that of a request that belongs to none.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    trace: Trace,
    /// `None`: it is not recorded.
    spans: Option<Box<Spans>>,
}

/// What is under way. Disabled: nothing of the kind.
#[derive(Debug)]
struct Spans {
    request: Span,
    admission: Span,
    /// When it began to wait for a place.
    queued: Option<Instant>,
    attempt: Span,
    call: Span,
}

/// A call that a provider is about to be sent.
pub(crate) struct Asked<'a> {
    /// Who is asked.
    pub(crate) target: &'a Target,
    /// In which dialect.
    pub(crate) dialect: Dialect,
    /// What, in the conventions' words.
    pub(crate) operation: &'static str,
    /// Where; `None`: in this process.
    pub(crate) uri: Option<&'a Uri>,
    /// What is known of the request.
    pub(crate) facts: Option<&'a Facts>,
}

impl Trail {
    pub(super) fn new(trace: &Trace) -> Self {
        let spans = trace.span().map(|span| {
            let (request, none) = (span.clone(), Span::none);
            Box::new(Spans { request, admission: none(), queued: None, attempt: none(), call: none() })
        });
        Self { trace: trace.clone(), spans }
    }

    /// Whether the request is recorded.
    pub(super) fn is_recorded(&self) -> bool {
        self.spans.is_some()
    }

    /// Its limits are about to be taken.
    pub(super) fn admission_begins(&mut self) {
        let Some(spans) = &mut self.spans else { return };
        spans.admission = traces::child(&spans.request, Kind::Internal, || "admission".to_owned());
    }

    /// It is about to wait for a place.
    pub(super) fn queued(&mut self) {
        let Some(spans) = &mut self.spans else { return };
        spans.queued = Some(Instant::now());
    }

    /// It has its place.
    pub(super) fn admitted(&mut self) {
        let Some(spans) = &mut self.spans else { return };
        let admission = std::mem::replace(&mut spans.admission, Span::none());
        if let Some(since) = spans.queued.take() {
            traces::set(&admission, "orchestrator.queue.wait_ms", since.elapsed().as_secs_f64() * 1e3);
        }
    }

    /// A provider is about to be asked, for the so-manieth time.
    pub(super) fn attempt(&mut self, number: u32, target: &Target) {
        let Some(spans) = &mut self.spans else { return };
        let span = traces::child(&spans.request, Kind::Internal, || format!("attempt {number}"));
        traces::set(&span, "orchestrator.attempt", i64::from(number));
        traces::set(&span, "orchestrator.provider", target.provider_name.to_string());
        traces::set(&span, "orchestrator.upstream_model", target.upstream_model.clone());
        spans.attempt = span;
    }

    /// The span of a call that is about to be sent; disabled where the request is not recorded. It ends when it is dropped.
    pub(crate) fn call(&self, asked: &Asked<'_>) -> Span {
        let Some(spans) = &self.spans else { return Span::none() };
        let Asked { target, dialect, operation, uri, facts } = asked;
        let kind = if uri.is_some() { Kind::Client } else { Kind::Internal };
        let span = traces::child(&spans.attempt, kind, || format!("{operation} {}", target.upstream_model));
        traces::set(&span, "gen_ai.operation.name", *operation);
        traces::set(&span, "gen_ai.provider.name", vendor(target));
        traces::set(&span, "gen_ai.request.model", target.upstream_model.clone());
        traces::set(&span, "orchestrator.provider", target.provider_name.to_string());
        traces::set(&span, "orchestrator.dialect", dialect.name());
        if let Some(host) = uri.and_then(Uri::host) {
            let is_tls = uri.and_then(Uri::scheme_str) == Some("https");
            let port = uri.and_then(Uri::port_u16).unwrap_or(if is_tls { 443 } else { 80 });
            traces::set(&span, "server.address", host.trim_matches(['[', ']']).to_owned());
            traces::set(&span, "server.port", i64::from(port));
            traces::set(&span, "http.request.method", "POST");
        }
        let Some(facts) = facts else { return span };
        traces::set(&span, "orchestrator.stream", facts.stream);
        if let Some(most) = facts.max_output {
            traces::set(&span, "gen_ai.request.max_tokens", count(most));
        }
        if let Some(answers) = facts.answers.filter(|answers| *answers != 1) {
            traces::set(&span, "gen_ai.request.choice.count", count(answers));
        }
        span
    }

    /// Tells a provider of the trace, if it is one of those that are told.
    pub(crate) fn tell(&self, provider: &str, call: &Span, headers: &mut HeaderMap) {
        for (name, value) in self.trace.headers_for(provider, call) {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }

    /// The provider that is asked has answered with this status, in this call.
    pub(super) fn answering(&mut self, status: u16, call: Span) {
        let Some(spans) = &mut self.spans else { return };
        traces::set(&call, "http.response.status_code", i64::from(status));
        spans.call = call;
    }

    /// The provider that is asked has failed. Its call has ended with that.
    pub(super) fn attempt_failed(&mut self, error: &Error) {
        let Some(spans) = &mut self.spans else { return };
        failed(&std::mem::replace(&mut spans.attempt, Span::none()), error);
    }

    /// How it ended, as its record says; `error`: why it failed, if it did.
    pub(super) fn close(
        &mut self,
        record: &RequestRecord,
        error: Option<&Error>,
        said: Option<BodiesRecord>,
    ) {
        let Some(spans) = self.spans.take() else { return };
        let Spans { request, admission, attempt, call, .. } = *spans;
        if let Some(error) = error {
            for span in [&admission, &attempt, &call] {
                failed(span, error);
            }
            if error.status() >= 500 || record.outcome == "truncated" {
                failed(&request, error);
            }
        }
        answered(&call, record);
        told(&request, record);
        if let Some(BodiesRecord { request: asked, response }) = said {
            traces::set(&request, "orchestrator.request.body", asked.text);
            traces::set(&request, "orchestrator.response.body", response.text);
        }
        // From here on nothing keeps the request's span from its end.
        self.trace = Trace::default();
    }
}

/// What a call, or whatever stands around it, failed by.
pub(crate) fn failed(span: &Span, error: &Error) {
    if span.is_disabled() {
        return;
    }
    let kind = error.kind.name();
    traces::fail(span, kind, kind);
    if let Some(status) = error.upstream.as_ref().map(|upstream| upstream.status).filter(|status| *status > 0)
    {
        traces::set(span, "http.response.status_code", i64::from(status));
    }
}

/// What an answer said of itself.
fn answered(call: &Span, record: &RequestRecord) {
    if call.is_disabled() {
        return;
    }
    let usage = &record.usage;
    if !record.answered_model.is_empty() {
        traces::set(call, "gen_ai.response.model", record.answered_model.clone());
    }
    if !record.finish_reason.is_empty() {
        traces::set_list(call, "gen_ai.response.finish_reasons", [record.finish_reason.clone()]);
    }
    traces::set(call, "gen_ai.usage.input_tokens", count(usage.prompt));
    traces::set(call, "gen_ai.usage.output_tokens", count(usage.completion));
    if usage.cached_read > 0 {
        traces::set(call, "gen_ai.usage.cache_read.input_tokens", count(usage.cached_read));
    }
    if usage.cache_write > 0 {
        traces::set(call, "gen_ai.usage.cache_creation.input_tokens", count(usage.cache_write));
    }
    traces::set(call, "orchestrator.usage.estimated", usage.source == UsageSource::Estimated);
}

/// What the whole request came to.
fn told(request: &Span, record: &RequestRecord) {
    let texts = [
        ("orchestrator.dialect", &record.dialect),
        ("orchestrator.operation", &record.operation),
        ("orchestrator.model", &record.model),
        ("orchestrator.provider", &record.provider),
        ("orchestrator.outcome", &record.outcome),
        ("gen_ai.conversation.id", &record.session_id),
    ];
    for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        traces::set(request, key, text.clone());
    }
    traces::set(request, "orchestrator.attempts", i64::from(record.attempts));
    traces::set(request, "orchestrator.status", i64::from(record.status));
    traces::set(request, "orchestrator.stream", record.stream);
    traces::set(request, "orchestrator.overhead_us", count(record.overhead_us));
    if let Some(ttft) = record.ttft_us {
        traces::set(request, "orchestrator.ttft_ms", ttft as f64 / 1e3);
    }
}

/// The conventions know signed numbers alone.
fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The conventions' name for whoever is asked, as well as it is known: that of the server that the options name, or of the kind.
fn vendor(target: &Target) -> String {
    let known = target.preset.as_deref().unwrap_or(&target.kind);
    let name = match known {
        "azure_openai" => "azure.ai.openai",
        "gemini" => "gcp.gemini",
        "mistral" => "mistral_ai",
        "xai" => "x_ai",
        other => other,
    };
    name.to_owned()
}

/// The conventions' name for what a dialect's requests ask.
pub(crate) fn operation(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Gemini => "generate_content",
        Dialect::OpenAiCompletions => "text_completion",
        _ => dialect.operation().name(),
    }
}
