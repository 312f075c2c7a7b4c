//! The trace that a request belongs to, and its spans.
//!
//! Whether a request is recorded is decided first, from what its caller says and the sampler ([`Trace::begin`]); only then spans are
//! made. One that is not recorded costs the header that says so, and without an endpoint to export to, nothing but passing
//! on what came. Spans go through `tracing` to the layer of [`super::otlp`], under a target of their own, which the log leaves out.

use std::sync::{Arc, OnceLock};

use opentelemetry::{
    Array, Context, Key, StringValue, Value,
    trace::{
        SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId as OtelTraceId, TraceState,
    },
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::context::{self, TraceId, TraceParent};
use crate::{
    config::{Sampler, Traces},
    random::Random,
};

/// The target of all spans that are exported.
pub const TARGET: &str = "orchestrator::trace";

/// What holds for the whole process, as the subscriber does. Not there: nothing is exported.
static RULES: OnceLock<Rules> = OnceLock::new();

/// How traces are treated.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) settings: Traces,
    /// Spans are made, of requests that are sampled.
    pub(super) exports: bool,
    pub(super) random: Random,
}

/// Sets the rules, once in a process. Returns whether these are in force now.
pub(super) fn set_rules(rules: Rules) -> bool {
    RULES.set(rules).is_ok()
}

/// Whether a provider of this name is told the trace: never, unless a setting names it.
fn is_told(provider: &str) -> bool {
    let Some(rules) = RULES.get() else { return false };
    rules.settings.providers.iter().any(|name| name == "*" || name == provider)
}

/// Up to how many bytes of a prompt, and of an answer, belong on spans; `None`: nothing of them does.
pub fn content_bytes() -> Option<usize> {
    let settings = &RULES.get()?.settings;
    settings.capture_content.then_some(settings.max_content_bytes)
}

/// What a span stands for in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request that came.
    Server,
    /// A request that was sent.
    Client,
    /// Work in between.
    Internal,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Internal => "internal",
        }
    }
}

/// The trace of a request, if it has one. Clones are the same; its span ends with the last of them.
#[derive(Clone, Debug, Default)]
pub struct Trace(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    /// Disabled where the request is not recorded.
    span: Span,
    /// Where whoever is asked on the request's behalf comes from.
    here: TraceParent,
    state: Option<Box<str>>,
}

impl Trace {
    /// The trace of a request that came with these headers. `name` names its span, if there is to be one.
    pub fn begin(traceparent: Option<&str>, tracestate: Option<&str>, name: impl FnOnce() -> String) -> Self {
        let parent = traceparent.and_then(TraceParent::parse);
        let state = tracestate.filter(|_| parent.is_some()).and_then(context::state).map(Box::from);
        let pass_on =
            |here: TraceParent, state| Self(Some(Arc::new(Inner { span: Span::none(), here, state })));
        let Some(rules) = RULES.get().filter(|rules| rules.exports) else {
            return parent.map_or_else(Self::default, |parent| pass_on(parent, state));
        };
        if !is_sampled(&rules.settings, parent, || rules.random.unit()) {
            // Those behind this program must not decide anew.
            let here = parent.unwrap_or_else(|| unsampled(&rules.random));
            return pass_on(here, state);
        }
        let span = span(None, name(), Kind::Server);
        if let Some(parent) = parent {
            // It fails only for spans that are disabled, or have begun.
            let _ = span.set_parent(remote(parent, state.as_deref()));
        }
        match position(&span) {
            Some(here) => Self(Some(Arc::new(Inner { span, here, state }))),
            None => parent.map_or_else(Self::default, |parent| pass_on(parent, state)),
        }
    }

    /// The trace's id, for logs.
    pub fn id(&self) -> Option<TraceId> {
        self.0.as_ref().map(|inner| inner.here.trace_id())
    }

    /// The request's own span; `None`: it is not recorded.
    pub fn span(&self) -> Option<&Span> {
        self.0.as_ref().map(|inner| &inner.span).filter(|span| !span.is_disabled())
    }

    /// The headers that tell a program of our own of the trace.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.headers_from(None)
    }

    /// The headers that tell a provider of the trace, as asked within `call`; none where it is not to be told.
    pub fn headers_for(&self, provider: &str, call: &Span) -> impl Iterator<Item = (&'static str, String)> {
        let told = if self.0.is_some() && is_told(provider) { self.clone() } else { Self::default() };
        let here = if told.0.is_some() { position(call) } else { None };
        told.headers_from(here)
    }

    fn headers_from(
        &self,
        here: Option<TraceParent>,
    ) -> impl Iterator<Item = (&'static str, String)> + use<> {
        let inner = self.0.as_ref();
        let parent = inner.map(|inner| (context::TRACEPARENT, here.unwrap_or(inner.here).to_string()));
        let state = inner.and_then(|inner| inner.state.as_deref());
        let state = state.map(|state| (context::TRACESTATE, state.to_owned()));
        parent.into_iter().chain(state)
    }
}

/// Whether a request is recorded.
fn is_sampled(settings: &Traces, parent: Option<TraceParent>, dice: impl FnOnce() -> f64) -> bool {
    let (by_parent, ratio) = match settings.sampler {
        Sampler::AlwaysOn => (false, 1.0),
        Sampler::AlwaysOff => (false, 0.0),
        Sampler::Ratio => (false, settings.ratio()),
        Sampler::ParentBasedAlwaysOn => (true, 1.0),
        Sampler::ParentBasedAlwaysOff => (true, 0.0),
        Sampler::ParentBasedRatio => (true, settings.ratio()),
    };
    match parent {
        Some(parent) if by_parent => parent.is_sampled(),
        // By the id, so that all who take part decide alike: its lower 63 bits are random
        // (<https://opentelemetry.io/docs/specs/otel/trace/sdk/#traceidratiobased>).
        Some(parent) => ((parent.trace_id as u64 >> 1) as f64) < ratio * (1_u64 << 63) as f64,
        None => dice() < ratio,
    }
}

/// The beginning of a trace that nobody records.
fn unsampled(random: &Random) -> TraceParent {
    TraceParent::new(trace_id(random), span_id(random), false)
}

pub(super) fn trace_id(random: &Random) -> u128 {
    ((u128::from(random.bits()) << 64) | u128::from(random.bits())).max(1)
}

pub(super) fn span_id(random: &Random) -> u64 {
    random.bits().max(1)
}

fn remote(parent: TraceParent, state: Option<&str>) -> Context {
    let state = state.and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
    let (trace, span) = (OtelTraceId::from(parent.trace_id), SpanId::from(parent.span_id));
    let context = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, state);
    Context::new().with_remote_span_context(context)
}

/// Where a span stands; `None` for one that is not recorded.
fn position(span: &Span) -> Option<TraceParent> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    let span = span.span_context();
    let (trace, id) =
        (u128::from_be_bytes(span.trace_id().to_bytes()), u64::from_be_bytes(span.span_id().to_bytes()));
    span.is_valid().then(|| TraceParent::new(trace, id, span.is_sampled()))
}

/// The one place where spans that are exported are made.
fn span(parent: Option<&Span>, name: String, kind: Kind) -> Span {
    let parent = parent.and_then(Span::id);
    tracing::info_span!(target: TARGET, parent: parent, "span", otel.name = name, otel.kind = kind.name())
}

/// A span inside `parent`; disabled as that one is.
pub fn child(parent: &Span, kind: Kind, name: impl FnOnce() -> String) -> Span {
    if parent.is_disabled() { Span::none() } else { span(Some(parent), name(), kind) }
}

/// Says something of a span. Nothing is done for one that is disabled, but the value is made: ask first where that costs.
pub fn set(span: &Span, key: &'static str, value: impl Into<Value>) {
    span.set_attribute(Key::from_static_str(key), value);
}

/// The same for a list of texts.
pub fn set_list(span: &Span, key: &'static str, values: impl IntoIterator<Item = String>) {
    let values = values.into_iter().map(StringValue::from).collect();
    set(span, key, Value::Array(Array::String(values)));
}

/// What a span stands for has failed: `kind` is one of a small set of words, `why` is in no message of a caller or a provider.
pub fn fail(span: &Span, kind: &str, why: &str) {
    set(span, "error.type", kind.to_owned());
    span.set_status(Status::error(why.to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn settings(sampler: Sampler, arg: &str) -> Traces {
        Traces { sampler, sampler_arg: arg.to_owned(), ..Traces::default() }
    }

    #[test]
    fn without_an_exporter_no_span_is_made_and_what_came_is_passed_on() {
        assert!(!tracing::enabled!(target: TARGET, tracing::Level::INFO));
        let trace = Trace::begin(Some(PARENT), Some("vendor=a"), || panic!("a span was named"));
        assert_eq!(trace.id().unwrap().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(trace.span().is_none());
        let headers: Vec<_> = trace.headers().collect();
        assert_eq!(headers, [("traceparent", PARENT.to_owned()), ("tracestate", "vendor=a".to_owned())]);
        assert_eq!(trace.headers_for("anybody", &Span::none()).count(), 0, "no provider is told");

        let none = Trace::begin(Some("nonsense"), Some("vendor=a"), || panic!("a span was named"));
        assert!(none.id().is_none() && none.headers().next().is_none());
    }

    #[test]
    fn a_parents_word_counts_for_samplers_that_listen_to_it() {
        let (yes, no) = (TraceParent::parse(PARENT), TraceParent::parse(&PARENT.replace("-01", "-00")));
        let never = || panic!("there is nothing to choose");
        for sampler in
            [Sampler::ParentBasedAlwaysOn, Sampler::ParentBasedAlwaysOff, Sampler::ParentBasedRatio]
        {
            let settings = settings(sampler, "0.5");
            assert!(is_sampled(&settings, yes, never), "{sampler:?}");
            assert!(!is_sampled(&settings, no, never), "{sampler:?}");
        }
        assert!(is_sampled(&settings(Sampler::AlwaysOn, ""), no, never));
        assert!(!is_sampled(&settings(Sampler::AlwaysOff, ""), yes, never));
        assert!(is_sampled(&settings(Sampler::ParentBasedAlwaysOn, ""), None, || 0.999));
        assert!(!is_sampled(&settings(Sampler::ParentBasedAlwaysOff, ""), None, || 0.0));
    }

    #[test]
    fn a_ratio_goes_by_the_trace_or_by_the_dice() {
        let random = Random::seeded(7);
        let by_id = |ratio: &str| {
            let settings = settings(Sampler::Ratio, ratio);
            let traces = (0..1000).map(|_| unsampled(&random));
            traces.filter(|parent| is_sampled(&settings, Some(*parent), || panic!("no dice"))).count()
        };
        assert_eq!((by_id("0"), by_id("1")), (0, 1000));
        let some = by_id("0.25");
        assert!((200..300).contains(&some), "{some}");
        let by_dice = settings(Sampler::ParentBasedRatio, "0.25");
        assert!(is_sampled(&by_dice, None, || 0.24) && !is_sampled(&by_dice, None, || 0.26));
    }
}
