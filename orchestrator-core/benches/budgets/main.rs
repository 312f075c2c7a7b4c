//! How many instructions the functions that every request and every piece of a stream passes may take.
//!
//! Callgrind counts them, so that a busy machine changes nothing; over its budget a function fails `make budgets`, and with it
//! CI. What is measured has run once before: the first call alone finds out what the processor can do. What may still move a count
//! is another compiler, another C library, and the processor itself: `memchr`, `sha2` and the C library choose by its features,
//! and valgrind shows every program one with AVX2 (but no AVX-512, no SHA extensions) where the machine has it.
//! CONTRIBUTING.md says what to do when a budget is exceeded.

#![expect(
    missing_docs,
    clippy::disallowed_methods,
    reason = "gungraun's macros write modules, and leave by `exit`"
)]

mod answers;
mod catalog;
mod requests;

use std::{hint::black_box, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use gungraun::{
    Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use mimalloc::MiMalloc;
use orchestrator_base::{
    clock::{Clock, UnixMicros},
    config::Admission,
    random::Random,
};
use orchestrator_core::{
    admission::{self, gate::Gate},
    call::{Batch, Call, Facts, Signals},
    catalog::{
        ApiKey,
        keys::KeyTable,
        route::{Resolution, Target},
        snapshot::{Catalog, Snapshot},
    },
    condition::{ConditionRules, Conditions, Outlook, Verdict},
    dialect::{Dialect, Edits, Operation, Tap},
    ledger::{Ledger, Outcome},
    provider::sse::Framer,
    routing::{self, Plan, Surroundings},
};
use secrecy::SecretString;

/// The programs' own: what an allocation costs belongs to the count, and the C library's differs from machine to machine.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const MAX_DEPTH: usize = 128;
const KIB: usize = 1024;

/// At most this many instructions.
fn budget(instructions: u64) -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::with_args(["--cache-sim=no"]);
    callgrind.hard_limits([(EventKind::Ir, instructions)]);
    LibraryBenchmarkConfig::default().tool(callgrind).clone()
}

// --- Requests.

fn text_of(bytes: usize) -> Bytes {
    warm(requests::of_text(bytes))
}

fn image_of(bytes: usize) -> Bytes {
    warm(requests::of_an_image(bytes))
}

fn warm(body: Bytes) -> Bytes {
    let small = requests::of_text(KIB);
    black_box(spliced(&small, &peek_at(&small)));
    body
}

fn peeked_text_of(bytes: usize) -> (Bytes, Facts) {
    peeked(text_of(bytes))
}

fn peeked_image_of(bytes: usize) -> (Bytes, Facts) {
    peeked(image_of(bytes))
}

fn peeked(body: Bytes) -> (Bytes, Facts) {
    let facts = peek_at(&body);
    (body, facts)
}

fn peek_at(body: &Bytes) -> Facts {
    Dialect::OpenAiChat.wire().peek(body, MAX_DEPTH).expect("the sample is a request")
}

fn spliced(body: &Bytes, facts: &Facts) -> Bytes {
    let edits = Edits {
        model: "gpt-4.1-mini-2025-04-14",
        include_usage: true,
        overrides: &[],
        taken: &[],
        outline: facts.outline.as_ref(),
    };
    Dialect::OpenAiChat.wire().splice(body, &edits).expect("the sample is a request")
}

#[library_benchmark]
#[bench::text_1_kib(args = (KIB), setup = text_of, config = budget(12_000))]
#[bench::text_50_kib(args = (50 * KIB), setup = text_of, config = budget(83_000))]
#[bench::text_1_mib(args = (KIB * KIB), setup = text_of, config = budget(1_530_000))]
#[bench::image_1_mib(args = (KIB * KIB), setup = image_of, config = budget(370_000))]
fn peek(body: Bytes) -> (Facts, Bytes) {
    (peek_at(black_box(&body)), body)
}

#[library_benchmark]
#[bench::text_1_kib(args = (KIB), setup = peeked_text_of, config = budget(5_900))]
#[bench::text_50_kib(args = (50 * KIB), setup = peeked_text_of, config = budget(64_000))]
#[bench::text_1_mib(args = (KIB * KIB), setup = peeked_text_of, config = budget(1_140_000))]
#[bench::image_1_mib(args = (KIB * KIB), setup = peeked_image_of, config = budget(1_140_000))]
fn splice(request: (Bytes, Facts)) -> (Bytes, (Bytes, Facts)) {
    (spliced(black_box(&request.0), &request.1), request)
}

// --- Answers.

fn whole_answer() -> Bytes {
    black_box(Dialect::OpenAiChat.wire().inspect(&answers::whole()));
    answers::whole()
}

#[library_benchmark]
#[bench::whole_answer(args = (), setup = whole_answer, config = budget(16_800))]
fn inspect(body: Bytes) -> (Signals, Bytes) {
    (Dialect::OpenAiChat.wire().inspect(black_box(&body)), body)
}

/// A tap in the middle of a stream, and what comes next.
fn tap_at(next: fn() -> Bytes) -> (Box<dyn Tap>, Bytes) {
    let mut tap = Dialect::OpenAiChat.wire().tap(true);
    black_box(tap.pass(answers::first()));
    black_box(tap.pass(answers::chunk()));
    black_box(tap.pass(answers::finish()));
    (tap, next())
}

#[library_benchmark]
#[bench::chunk(args = (answers::chunk), setup = tap_at, config = budget(850))]
#[bench::ten_chunks(args = (answers::ten_chunks), setup = tap_at, config = budget(6_000))]
#[bench::finish(args = (answers::finish), setup = tap_at, config = budget(23_800))]
fn tap(stream: (Box<dyn Tap>, Bytes)) -> (Batch, Box<dyn Tap>) {
    let (mut tap, events) = stream;
    (tap.pass(black_box(events)), tap)
}

fn framer_at(next: fn() -> Bytes) -> (Framer, Bytes) {
    let mut framer = Framer::new(KIB * KIB);
    black_box(framer.push(answers::chunk()).expect("the sample is a small event"));
    (framer, next())
}

#[library_benchmark]
#[bench::chunk(args = (answers::chunk), setup = framer_at, config = budget(197))]
#[bench::ten_chunks(args = (answers::ten_chunks), setup = framer_at, config = budget(197))]
#[bench::ten_and_a_half(args = (answers::ten_and_a_half), setup = framer_at, config = budget(540))]
fn frame(stream: (Framer, Bytes)) -> (Option<Bytes>, Framer) {
    let (mut framer, read) = stream;
    (framer.push(black_box(read)).expect("the sample's events are small"), framer)
}

// --- Admission and routing.

fn keys(count: usize) -> (Snapshot, Vec<SecretString>) {
    let snapshot = catalog::snapshot(count);
    let presented = vec![SecretString::from(catalog::secret(count - 1))];
    admitted(&presented, &snapshot.keys);
    (snapshot, presented)
}

fn admitted(presented: &[SecretString], table: &KeyTable) {
    let caller = admission::authenticate(presented, table, UnixMicros(0)).expect("the key is known");
    admission::authorize(caller, Operation::Chat, "gpt-4.1-mini").expect("the key may use every model");
}

#[library_benchmark]
#[bench::of_1_key(args = (1), setup = keys, config = budget(4_600))]
#[bench::of_1000_keys(args = (1000), setup = keys, config = budget(4_600))]
fn admit(caller: (Snapshot, Vec<SecretString>)) -> (Snapshot, Vec<SecretString>) {
    admitted(black_box(&caller.1), &caller.0.keys);
    caller
}

fn gate() -> Arc<Gate> {
    let gate = Gate::new(&Admission::default());
    take_a_place(&gate);
    gate
}

/// Takes a place, and gives it back.
fn take_a_place(gate: &Arc<Gate>) {
    let place = gate.enter(None).now_or_never().expect("there is room");
    drop(black_box(place));
}

#[library_benchmark]
#[bench::with_room(args = (), setup = gate, config = budget(510))]
fn enter(gate: Arc<Gate>) -> Arc<Gate> {
    take_a_place(black_box(&gate));
    gate
}

/// Nothing speaks against anybody, as is known of requests that went well.
struct Calm {
    conditions: Conditions,
    random: Random,
}

impl Surroundings for Calm {
    fn outlook(&self, target: &Target) -> Outlook {
        self.conditions.outlook(target)
    }

    fn turn(&self, model: &str) -> u64 {
        self.conditions.turn(model)
    }

    fn kinship(&self) -> u64 {
        0
    }

    fn unit(&self) -> f64 {
        self.random.unit()
    }
}

fn calm() -> Calm {
    let random = Random::seeded(7);
    let conditions = Conditions::new(ConditionRules::default(), Clock::system(), random.clone());
    Calm { conditions, random }
}

fn models(count: usize) -> (Snapshot, Facts, Calm) {
    let snapshot = catalog::snapshot(count);
    let facts = Facts { model: catalog::model_name(count - 1), ..Facts::default() };
    let calm = calm();
    let plan = planned(&snapshot.catalog, &facts, &calm);
    let (target, key) = (plan.candidates[0].target(), plan.candidates[0].key());
    let mut lease = calm.conditions.lease(target, key, false, false).expect("nothing bars it");
    lease.saw(&Verdict::Good(Duration::from_millis(300)));
    drop(lease);
    (snapshot, facts, calm)
}

fn planned(catalog: &Catalog, facts: &Facts, calm: &Calm) -> Plan {
    let Resolution::Found(route) = catalog.resolve(&facts.model) else { unreachable!("the model is there") };
    routing::plan(&[route], facts, Operation::Chat, calm).expect("a provider serves the model")
}

// Most of it is looking at what is known of each candidate.
#[library_benchmark]
#[bench::of_1_model(args = (1), setup = models, config = budget(4_550))]
#[bench::of_1000_models(args = (1000), setup = models, config = budget(4_550))]
fn plan(request: (Snapshot, Facts, Calm)) -> (Plan, Snapshot, Facts, Calm) {
    let plan = planned(&request.0.catalog, black_box(&request.1), &request.2);
    (plan, request.0, request.1, request.2)
}

// --- The ledger.

/// A ledger, a call, and the plan whose provider it is for.
struct Account {
    ledger: Ledger,
    call: Call,
    facts: Facts,
    plan: Plan,
    caller: ApiKey,
    _folder: tempfile::TempDir,
}

fn account() -> Account {
    let (folder, ledger) = catalog::ledger();
    let (snapshot, facts, calm) = models(1);
    let keys = vec![SecretString::from(catalog::secret(0))];
    let caller = admission::authenticate(&keys, &snapshot.keys, UnixMicros(0)).expect("the key is known");
    let caller = ApiKey::clone(caller);
    let plan = planned(&snapshot.catalog, &facts, &calm);
    let account = Account { ledger, call: catalog::call(), facts, plan, caller, _folder: folder };
    keep_account(&account);
    account
}

fn keep_account(account: &Account) {
    let dialect = Dialect::OpenAiChat;
    let Account { call, facts, plan, caller, .. } = account;
    let mut entry = account.ledger.begin(call, Some(facts), dialect.name(), dialect.operation());
    entry.caller(caller);
    entry.attempt(plan.candidates[0].target(), plan.candidates[0].key());
    entry.committed(true);
    entry.saw(Signals { content: true, output_bytes: 12, ..Signals::default() });
    entry.close(Outcome::Answered(200));
}

#[library_benchmark]
#[bench::of_a_stream(args = (), setup = account, config = budget(39_700))]
fn ledger(account: Account) -> Account {
    keep_account(black_box(&account));
    account
}

library_benchmark_group!(
    name = hot,
    benchmarks = [peek, splice, inspect, tap, frame, admit, enter, plan, ledger]
);
main!(library_benchmark_groups = hot);
