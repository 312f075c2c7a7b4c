//! What translation costs beside the way of a caller that speaks the provider's dialect: nanoseconds a request, a whole answer and a
//! chunk of a stream, for each pair of chat dialects. It prints the table that `docs/BENCHMARKS.md` keeps.

mod samples;

use std::{fmt::Write as _, hint::black_box, process::ExitCode, time::Duration};

use bytes::Bytes;
use mimalloc::MiMalloc;
use orchestrator_base::process;
use orchestrator_core::{
    call::Facts,
    dialect::{Dialect, Edits},
};
use tokio::time::Instant;

/// The programs' own.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const CHATS: [Dialect; 4] =
    [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Gemini];
const MAX_DEPTH: usize = 128;
/// Chunks between a stream's beginning and its end.
const CHUNKS: usize = 500;
/// How long one measurement runs, and how many there are; the quickest counts, for what else the machine does only adds.
const WINDOW: Duration = Duration::from_millis(40);
const ROUNDS: usize = 7;

fn main() -> ExitCode {
    let mut out = String::from(
        "| caller → provider | request, µs | whole answer, µs | chunk, ns |\n|---|---|---|---|\n",
    );
    for caller in CHATS {
        for provider in CHATS {
            let (request, reply, chunk) = if caller == provider {
                (same_request(caller), same_reply(caller), same_chunk(caller))
            } else {
                (request(caller, provider), reply(caller, provider), chunk(caller, provider))
            };
            let pair = format!("{} → {}", caller.name(), provider.name());
            let pair = if caller == provider { format!("**{pair}**") } else { pair };
            let row = format!("| {pair} | {:.1} | {:.1} | {:.0} |", request / 1e3, reply / 1e3, chunk);
            let _written = writeln!(out, "{row}");
        }
    }
    process::print(out)
}

/// Nanoseconds that `work` takes, undisturbed.
fn nanoseconds<T>(mut work: impl FnMut() -> T) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (begun, mut times) = (Instant::now(), 0_u32);
        while begun.elapsed() < WINDOW {
            for _ in 0..8 {
                black_box(work());
            }
            times += 8;
        }
        best = best.min(begun.elapsed().as_nanos() as f64 / f64::from(times));
    }
    best
}

// --- The caller's own dialect: the body is scanned and rewritten, the answer looked through, the stream tapped.

fn same_request(dialect: Dialect) -> f64 {
    let (body, wire) = (samples::request(dialect), dialect.wire());
    nanoseconds(|| {
        let facts = wire.peek(&body, MAX_DEPTH).expect("the sample is a request");
        let outline = facts.outline.as_ref();
        let edits = Edits { model: "upstream", include_usage: true, overrides: &[], taken: &[], outline };
        wire.splice(&body, &edits).expect("the sample is a request")
    })
}

fn same_reply(dialect: Dialect) -> f64 {
    let body = samples::reply(dialect);
    nanoseconds(|| dialect.wire().inspect(&body))
}

fn same_chunk(dialect: Dialect) -> f64 {
    let pieces = samples::stream(dialect, CHUNKS);
    per_chunk(&pieces, || {
        let mut tap = dialect.wire().tap(false);
        move |piece: &Bytes| tap.pass(piece.clone()).raw
    })
}

// --- Another dialect: everything is read into the hub's words, and written out of them.

fn request(caller: Dialect, provider: Dialect) -> f64 {
    let body = samples::request(caller);
    nanoseconds(|| {
        black_box(caller.wire().peek(&body, MAX_DEPTH).expect("the sample is a request"));
        caller.wire().vet_request(&body).expect("the sample can be translated");
        let hub = caller.wire().decode_request(&body).expect("the sample is a request");
        provider.wire().encode_request(&hub, &samples::TARGET).expect("the sample can be told").body
    })
}

fn reply(caller: Dialect, provider: Dialect) -> f64 {
    let body = samples::reply(provider);
    nanoseconds(|| {
        black_box(provider.wire().inspect(&body));
        let hub = provider.wire().decode_reply(&body).expect("the sample is an answer");
        caller.wire().encode_reply(&hub).expect("the sample can be told")
    })
}

fn chunk(caller: Dialect, provider: Dialect) -> f64 {
    let pieces = samples::stream(provider, CHUNKS);
    let facts = Facts { include_usage: true, stream: true, ..Facts::default() };
    per_chunk(&pieces, || {
        let (mut decoder, mut encoder) =
            (provider.wire().stream_decoder(), caller.wire().stream_encoder(&facts));
        move |piece: &Bytes| encoder.encode(&decoder.decode(piece).events)
    })
}

/// Nanoseconds a chunk, over a whole stream.
fn per_chunk<F: FnMut(&Bytes) -> Bytes>(pieces: &[Bytes], mut open: impl FnMut() -> F) -> f64 {
    let whole = nanoseconds(|| {
        let mut pass = open();
        pieces.iter().map(|piece| pass(piece).len()).sum::<usize>()
    });
    whole / pieces.len() as f64
}
