//! What a core has counted, as text.

use std::sync::{Arc, atomic::Ordering};

use orchestrator_base::metrics::{Collect, Counter, Description, Histogram, Text};

use super::{
    ALERTS, Ending, LIMITS, Metrics, PROBES, Pair, Phase, SCOPES,
    pair::{Streams, TOKENS},
};

const REQUESTS: Description = Description::counter(
    "orchestrator_requests_total",
    &["dialect", "operation", "model", "provider", "outcome"],
    "Requests that are over, refused ones too.",
);
const DURATION: Description = Description::histogram(
    "orchestrator_request_duration_seconds",
    &["operation", "stream", "model", "provider"],
    "From a request's arrival to the last byte of its answer.",
);
const FIRST_TOKEN: Description = Description::histogram(
    "orchestrator_time_to_first_token_seconds",
    &["model", "provider"],
    "From a request's arrival to the first content of its answer; streams only.",
);
const LONGEST_GAP: Description = Description::histogram(
    "orchestrator_stream_longest_gap_seconds",
    &["model", "provider"],
    "Of each stream, the longest wait for the provider's next piece after the first content.",
);
const MEAN_GAP: Description = Description::histogram(
    "orchestrator_stream_mean_gap_seconds",
    &["model", "provider"],
    "Of each stream, the mean wait for the provider's next piece after the first content.",
);
const USED: Description = Description::counter(
    "orchestrator_tokens_total",
    &["model", "provider", "kind"],
    "Tokens as the ledger has them.",
);
const COST: Description = Description::counter(
    "orchestrator_cost_usd_total",
    &["model", "provider"],
    "What answers cost, in dollars, where a price is known.",
);
const ATTEMPTS: Description = Description::counter(
    "orchestrator_attempts_total",
    &["model", "provider", "outcome"],
    "Times that a provider was asked for a request.",
);
const ATTEMPT_DURATION: Description = Description::histogram(
    "orchestrator_attempt_duration_seconds",
    &["model", "provider"],
    "From asking a provider to the end of its answer.",
);
const RETRIES: Description = Description::counter(
    "orchestrator_retries_total",
    &["model", "provider"],
    "Times that the provider that had just failed was asked again.",
);
const FAILOVERS: Description = Description::counter(
    "orchestrator_failovers_total",
    &["model", "provider"],
    "Times that another provider was asked because this one had failed.",
);
const OVERHEAD: Description = Description::histogram(
    "orchestrator_overhead_seconds",
    &[],
    "The gateway's own work for a request that a provider has answered.",
);
const OVERHEAD_PHASE: Description = Description::histogram(
    "orchestrator_overhead_phase_seconds",
    &["phase"],
    "The gateway's own work for a request, by phase.",
);
const QUEUE_WAIT: Description = Description::histogram(
    "orchestrator_queue_wait_seconds",
    &[],
    "How long requests waited for a place among those that run.",
);
const STREAMS: Description =
    Description::gauge("orchestrator_streams", &[], "Streams that have begun and are not over.");
const REFUSALS: Description = Description::counter(
    "orchestrator_limit_refusals_total",
    &["limit", "scope"],
    "Requests refused for a limit.",
);
const RAISED: Description = Description::counter(
    "orchestrator_alerts_total",
    &["kind"],
    "Alerts that this core was the first to raise.",
);
const PROBED: Description = Description::counter(
    "orchestrator_probes_total",
    &["outcome"],
    "Probes that this core has made and that are over.",
);
const LAST_PROBE: Description = Description::gauge(
    "orchestrator_probe_last_timestamp_seconds",
    &[],
    "When this core's last probe ended, in Unix seconds; 0: it made none.",
);

/// A histogram of streams.
type OfStreams = (&'static Description, fn(&Streams) -> &Histogram);
/// A count of a pair.
type OfPair = (&'static Description, fn(&Pair) -> &Counter);

const OF_STREAMS: [OfStreams; 3] = [
    (&FIRST_TOKEN, |streams| &streams.first_token),
    (&LONGEST_GAP, |streams| &streams.longest_gap),
    (&MEAN_GAP, |streams| &streams.mean_gap),
];
const MOVES: [OfPair; 2] = [(&RETRIES, |pair| &pair.retries), (&FAILOVERS, |pair| &pair.failovers)];

impl Collect for Metrics {
    fn descriptions(&self) -> Vec<&'static Description> {
        vec![
            &REQUESTS,
            &DURATION,
            &FIRST_TOKEN,
            &LONGEST_GAP,
            &MEAN_GAP,
            &USED,
            &COST,
            &ATTEMPTS,
            &ATTEMPT_DURATION,
            &RETRIES,
            &FAILOVERS,
            &OVERHEAD,
            &OVERHEAD_PHASE,
            &QUEUE_WAIT,
            &STREAMS,
            &REFUSALS,
            &RAISED,
            &PROBED,
            &LAST_PROBE,
        ]
    }

    fn collect(&self, text: &mut Text) {
        let mut pairs: Vec<Arc<Pair>> = self.pairs.load().values().map(Arc::clone).collect();
        pairs.sort_by(|a, b| (&a.model, &a.provider).cmp(&(&b.model, &b.provider)));
        requests(&pairs, text);
        for (of, histogram) in OF_STREAMS {
            text.family(of);
            for pair in &pairs {
                if let Some(streams) = pair.streams.get() {
                    text.histogram(of, &[&pair.model, &pair.provider], histogram(streams));
                }
            }
        }
        usage(&pairs, text);
        attempts(&pairs, text);
        self.own(text);
    }
}

/// Series that have counted nothing are left out: of most pairs that is most of them.
fn requests(pairs: &[Arc<Pair>], text: &mut Text) {
    text.family(&REQUESTS);
    for pair in pairs {
        for requests in pair.requests.iter().flatten().filter_map(|requests| requests.get()) {
            let door = requests.door;
            for (place, count) in requests.endings.iter().enumerate().filter(|(_, count)| count.get() > 0) {
                let labels = [door.dialect, door.operation, &pair.model, &pair.provider, Ending::word(place)];
                text.whole(&REQUESTS, &labels, count.get());
            }
        }
    }
    text.family(&DURATION);
    for pair in pairs {
        for durations in &pair.durations {
            for (duration, stream) in durations.iter().zip(["false", "true"]) {
                if let Some(duration) = duration.get() {
                    let labels = [duration.operation, stream, &pair.model, &pair.provider];
                    text.histogram(&DURATION, &labels, &duration.took);
                }
            }
        }
    }
}

fn usage(pairs: &[Arc<Pair>], text: &mut Text) {
    text.family(&USED);
    for pair in pairs {
        for (kind, count) in TOKENS.into_iter().zip(&pair.tokens).filter(|(_, count)| count.get() > 0) {
            text.whole(&USED, &[&pair.model, &pair.provider, kind], count.get());
        }
    }
    text.family(&COST);
    for pair in pairs.iter().filter(|pair| pair.cost.get() > 0) {
        text.number(&COST, &[&pair.model, &pair.provider], pair.cost.get() as f64 / 1e9);
    }
}

fn attempts(pairs: &[Arc<Pair>], text: &mut Text) {
    text.family(&ATTEMPTS);
    for pair in pairs {
        for (place, count) in pair.attempts.iter().enumerate().filter(|(_, count)| count.get() > 0) {
            text.whole(&ATTEMPTS, &[&pair.model, &pair.provider, Ending::word(place)], count.get());
        }
    }
    text.family(&ATTEMPT_DURATION);
    for pair in pairs.iter().filter(|pair| pair.attempt_duration.count() > 0) {
        text.histogram(&ATTEMPT_DURATION, &[&pair.model, &pair.provider], &pair.attempt_duration);
    }
    for (of, count) in MOVES {
        text.family(of);
        for pair in pairs.iter().filter(|pair| count(pair).get() > 0) {
            text.whole(of, &[&pair.model, &pair.provider], count(pair).get());
        }
    }
}

impl Metrics {
    /// What is about no model. All of its series are there from the start.
    fn own(&self, text: &mut Text) {
        text.family(&OVERHEAD);
        text.histogram(&OVERHEAD, &[], &self.overhead);
        text.family(&OVERHEAD_PHASE);
        for (phase, histogram) in Phase::ALL.into_iter().zip(&self.phases) {
            text.histogram(&OVERHEAD_PHASE, &[phase.name()], histogram);
        }
        text.family(&QUEUE_WAIT);
        text.histogram(&QUEUE_WAIT, &[], &self.queue_wait);
        text.single(&STREAMS, self.streams.get().max(0) as u64);
        text.family(&REFUSALS);
        for (limit, scopes) in LIMITS.into_iter().zip(&self.refusals) {
            for (scope, count) in SCOPES.into_iter().zip(scopes) {
                text.whole(&REFUSALS, &[limit, scope], count.get());
            }
        }
        for (of, words, counts) in
            [(&RAISED, &ALERTS[..], &self.alerts[..]), (&PROBED, &PROBES[..], &self.probes[..])]
        {
            text.family(of);
            for (word, count) in words.iter().zip(counts) {
                text.whole(of, &[word], count.get());
            }
        }
        text.family(&LAST_PROBE);
        text.number(&LAST_PROBE, &[], self.last_probe.load(Ordering::Relaxed) as f64 / 1e6);
    }
}
