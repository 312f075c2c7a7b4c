//! A gateway without a database, providers that follow a script, and callers.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream as _;
use http::HeaderMap;
use orchestrator_base::{clock::Clock, config, curfew::Curfew, random::Random};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

use super::script::{Act, Asking, Part, Stage};
use crate::{
    admission::gate::Gate,
    call::{About, Call, Idempotency, Input, PathFacts, Standing},
    catalog::{
        ApiKey, CatalogRows, Model, Provider, samples,
        snapshot::{SharedCatalog, Snapshot},
    },
    condition::{ConditionRules, Conditions},
    dialect::Dialect,
    health::Settings,
    ledger::{
        Ledger, RequestRecord,
        bodies::BodyRules,
        journal::{self, Journal, Line},
    },
    orchestrator::{Drains, NativeBody, NativePart, NativeReply, Orchestrator, Shared},
    origins::LocalOrigins,
    policy::estimate::Estimates,
    prober::{self, Ask as _, LiveAsk},
    recording::claims::Claims,
    shared_state::{
        NothingSpent, SharedState,
        local::{Local, Outstanding},
    },
};

/// What the wall clock says when the world begins: Sunday, 13 September 2020, 12:26:40 GMT.
const NOW: i64 = 1_600_000_000;

/// A provider in a scene: asked in the order in which the world names them.
pub(super) struct Actor {
    row: Provider,
    keys: usize,
    part: Part,
}

/// A provider that does these things, one each time it is asked, the last of them from then on.
pub(super) fn provider(name: &str, acts: impl IntoIterator<Item = Act>) -> Actor {
    let mut row = samples::provider(name, name);
    row.base_url = format!("http://{name}");
    let part = Part { dialect: Dialect::OpenAiChat, acts: acts.into_iter().collect() };
    Actor { row, keys: 0, part }.speaking(Dialect::OpenAiChat)
}

impl Actor {
    /// It speaks this dialect and no other.
    pub(super) fn speaking(mut self, dialect: Dialect) -> Self {
        self.part.dialect = dialect;
        self.row.options.dialects = vec![dialect.name().to_owned()];
        self.row.kind = match dialect {
            Dialect::OpenAiResponses => "openai",
            Dialect::Anthropic => "anthropic",
            Dialect::Gemini => "gemini",
            _ => "openai_compatible",
        }
        .to_owned();
        self
    }

    /// It has so many keys: `a-0`, `a-1`…, used in that order.
    pub(super) fn keys(mut self, keys: usize) -> Self {
        self.keys = keys;
        self
    }

    /// With a row of other values.
    pub(super) fn with(mut self, change: impl FnOnce(&mut Provider)) -> Self {
        change(&mut self.row);
        self
    }
}

/// See the module.
pub(super) struct World {
    stage: Arc<Stage>,
    core: Arc<Orchestrator>,
    journal: Arc<Journal>,
    clock: Clock,
    local: Arc<Local>,
    _folder: TempDir,
}

impl World {
    /// A model `m` that these providers serve, the first one first.
    pub(super) fn of(actors: impl IntoIterator<Item = Actor>) -> Self {
        Self::with(actors, |_| ())
    }

    /// The same, and the model has other values.
    pub(super) fn with(actors: impl IntoIterator<Item = Actor>, change: impl FnOnce(&mut Model)) -> Self {
        Self::with_caller(actors, change, samples::api_key("caller", "caller", "secret"))
    }

    /// With a caller's key of other values.
    pub(super) fn with_caller(
        actors: impl IntoIterator<Item = Actor>,
        change: impl FnOnce(&mut Model),
        caller: ApiKey,
    ) -> Self {
        Self::with_rows(actors, change, caller, |_| ())
    }

    /// With other rows of the catalog beside them.
    pub(super) fn with_rows(
        actors: impl IntoIterator<Item = Actor>,
        change: impl FnOnce(&mut Model),
        caller: ApiKey,
        prepare: impl FnOnce(&mut CatalogRows),
    ) -> Self {
        Self::build(actors, change, caller, prepare, &config::Idempotency::default())
    }

    /// The same as [`World::of`], and answers under idempotency keys are kept so.
    pub(super) fn keeping(
        actors: impl IntoIterator<Item = Actor>,
        idempotency: &config::Idempotency,
    ) -> Self {
        Self::build(actors, |_| (), samples::api_key("caller", "caller", "secret"), |_| (), idempotency)
    }

    fn build(
        actors: impl IntoIterator<Item = Actor>,
        change: impl FnOnce(&mut Model),
        caller: ApiKey,
        prepare: impl FnOnce(&mut CatalogRows),
        idempotency: &config::Idempotency,
    ) -> Self {
        let mut model = samples::model("m", "m");
        change(&mut model);
        let mut rows = CatalogRows {
            sealed_with: None,
            log_level: None,
            revision: 1,
            providers: Vec::new(),
            provider_keys: Vec::new(),
            models: vec![model],
            model_providers: Vec::new(),
            api_keys: vec![caller],
            teams: Vec::new(),
            prices: Vec::new(),
            admin_keys: Vec::new(),
        };
        let mut parts = HashMap::new();
        prepare(&mut rows);
        for (place, actor) in actors.into_iter().enumerate() {
            let name = actor.row.name.clone();
            let mut association = samples::model_provider(&name, "m", &name);
            association.priority = Some(100 - u32::try_from(place).unwrap());
            rows.model_providers.push(association);
            for key in 0..actor.keys {
                let id = format!("{name}-{key}");
                let mut key_row = samples::provider_key(&id, &name, &id);
                // Weights so far apart that the order is certain.
                key_row.weight = 1_000_000_u32 / 1000_u32.pow(u32::try_from(key).unwrap());
                rows.provider_keys.push(key_row);
            }
            rows.providers.push(actor.row);
            parts.insert(name, actor.part);
        }
        Self::over(rows, parts, idempotency)
    }

    fn over(rows: CatalogRows, parts: HashMap<String, Part>, idempotency: &config::Idempotency) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(orchestrator_base::clock::UnixMicros(NOW * 1_000_000));
        let random = Random::seeded(7);
        let id = random.uuid(clock.now());
        let journal = Journal::open(folder.path(), "core", id, &config::Journal::default());
        let journal = Arc::new(journal.unwrap());
        let catalog = Arc::new(SharedCatalog::default());
        let unseal = |key: &crate::catalog::ProviderKey| Ok(key.sealed.clone().into());
        catalog.swap(Snapshot::build(rows, &unseal, &config::Timeouts::default()));
        let stage = Arc::new(Stage::new(parts));
        let conditions = Conditions::new(ConditionRules::default(), clock.clone(), random.clone());
        // Nobody probes here.
        conditions.health().set_settings(Settings { enabled: false, ..Settings::default() });
        let local = Arc::new(Local::new(Arc::new(NothingSpent)));
        let shared = Arc::new(Shared {
            catalog,
            ledger: Ledger::new(Arc::clone(&journal), clock.clone(), random.clone())
                .keeping_bodies(BodyRules::new(&config::Bodies::default())),
            origins: Arc::new(LocalOrigins::default()),
            conditions,
            clock: clock.clone(),
            random,
            limits: config::Limits::default(),
            stream: config::Stream::default().into(),
            deny_private: false,
            shared_state: SharedState::Local(local.clone()),
            estimates: Estimates::default().into(),
            gate: Gate::new(&config::Admission::default()),
            drains: Drains::default(),
            curfew: Curfew::new(),
            claims: Claims::new(idempotency, None),
        });
        let core = Orchestrator::over(Arc::<Stage>::clone(&stage), shared);
        Self { stage, core, journal, clock, local, _folder: folder }
    }

    /// What a scope holds that is not settled or not stored.
    pub(super) fn outstanding(&self, scope: &str) -> Outstanding {
        self.local.outstanding(scope)
    }

    /// Asks, and goes away with the head.
    pub(super) async fn begin(&self, question: Question) -> NativeReply {
        self.core.invoke(question.call()).await
    }

    /// Asks, and reads the answer to its end.
    pub(super) async fn ask(&self, question: Question) -> Seen {
        self.stage.under_way.fetch_add(1, Ordering::Relaxed);
        let reply = self.core.invoke(question.call()).await;
        let mut seen = Seen {
            status: reply.head.status.as_u16(),
            headers: reply.head.headers,
            limits: reply.head.limits,
            head_at: self.stage.now(),
            pieces: Vec::new(),
            end_at: 0,
            said_last: false,
        };
        match reply.body {
            NativeBody::Whole(data) => seen.take(self.stage.now(), &NativePart { data, last: true }),
            NativeBody::Stream(mut stream) => {
                while let Some(piece) = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await {
                    seen.take(self.stage.now(), &piece);
                }
            }
        }
        seen.end_at = self.stage.now();
        self.stage.under_way.fetch_sub(1, Ordering::Relaxed);
        seen
    }

    /// Its provider is probed, and the probe written down.
    pub(super) async fn probe(&self, provider: &str) {
        let target = self.core.shared.catalog.load().catalog.served_by(provider).unwrap().clone();
        let ask = LiveAsk::new(self.core.asker.clone()).recorded_in(self.core.shared.ledger.clone());
        ask.ask(&prober::Question::Chat(Box::new(target))).await;
    }

    /// Somebody sets the machine's clock.
    pub(super) fn jump(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// The process is to end now.
    pub(super) fn end(&self) {
        self.core.shared.curfew.ring();
    }

    /// How many faults in a row a provider has shown.
    pub(super) fn faults_of(&self, provider: &str) -> u32 {
        self.core.shared.conditions.health().report(provider).facts.error_count
    }

    /// Milliseconds since it began.
    pub(super) fn now(&self) -> u64 {
        self.stage.now()
    }

    /// Who was asked, and when.
    pub(super) fn asked(&self) -> Vec<(String, u64)> {
        self.askings().into_iter().map(|asking| (asking.provider, asking.at)).collect()
    }

    /// Which keys were used, in order.
    pub(super) fn keys_used(&self) -> Vec<String> {
        self.askings().into_iter().map(|asking| asking.key).collect()
    }

    pub(super) fn askings(&self) -> Vec<Asking> {
        self.stage.asked().clone()
    }

    /// The account of what is over.
    pub(super) fn records(&self) -> Vec<RequestRecord> {
        let path = self.journal.segment_path(self.journal.current_segment());
        let lines = journal::read(&path, 0, 100_000).unwrap().lines;
        let closed =
            |line| if let Line::Close(record) = line { Some(Arc::unwrap_or_clone(record)) } else { None };
        lines.into_iter().filter_map(closed).collect()
    }

    /// How the last request that is over went: its outcome, and how often a provider was asked.
    pub(super) fn account(&self) -> (String, u32) {
        let last = self.records().pop().unwrap();
        (last.outcome, last.attempts)
    }
}

/// What a caller asks.
#[derive(Clone)]
pub(super) struct Question {
    dialect: Dialect,
    stream: bool,
    json_array: bool,
    timeout: Option<Duration>,
    id: String,
    key: Option<String>,
}

/// A whole answer is asked for.
pub(super) fn whole() -> Question {
    let (dialect, id) = (Dialect::OpenAiChat, "r1".to_owned());
    Question { dialect, stream: false, json_array: false, timeout: None, id, key: None }
}

/// A stream is asked for.
pub(super) fn stream() -> Question {
    Question { stream: true, ..whole() }
}

impl Question {
    /// In this dialect.
    pub(super) fn speaking(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// As the elements of one JSON array.
    pub(super) fn in_array(mut self) -> Self {
        self.json_array = true;
        self
    }

    /// The caller waits so many milliseconds.
    pub(super) fn within(mut self, ms: u64) -> Self {
        self.timeout = Some(Duration::from_millis(ms));
        self
    }

    /// Under this request id.
    pub(super) fn called(mut self, id: String) -> Self {
        self.id = id;
        self
    }

    /// Whether it asks for a stream.
    pub(super) fn streams(&self) -> bool {
        self.stream
    }

    /// Under this idempotency key.
    pub(super) fn keyed(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// How long its body is.
    pub(super) fn bytes(self) -> usize {
        match self.call().input {
            Input::Native { body, .. } => body.len(),
            _ => 0,
        }
    }

    fn call(self) -> Call {
        let turns = json!([{"role": "user", "content": "hi"}]);
        let body = match self.dialect {
            Dialect::OpenAiResponses => json!({"model": "m", "stream": self.stream, "input": "hi"}),
            Dialect::Anthropic => {
                json!({"model": "m", "stream": self.stream, "max_tokens": 9, "messages": turns})
            }
            Dialect::Gemini => json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
            _ => json!({"model": "m", "stream": self.stream, "messages": turns}),
        };
        let mut path = PathFacts::default();
        if self.dialect == Dialect::Gemini {
            path.model = Some("m".into());
            path.stream = self.stream;
            path.json_array = self.json_array;
        }
        let idempotency = self.key.map(|key| Box::new(Idempotency { key, asked: None }));
        Call {
            request_id: self.id,
            keys: vec!["secret".into()],
            input: Input::Native { dialect: self.dialect, body: Bytes::from(body.to_string()), path },
            received: Instant::now(),
            timeout: self.timeout,
            about: About { idempotency, ..About::default() },
            headers: HeaderMap::new(),
        }
    }
}

/// What the caller got, and when, in milliseconds since the world began.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// What it is told of its own limits.
    pub(super) limits: Option<Standing>,
    pub(super) head_at: u64,
    pub(super) pieces: Vec<(u64, String)>,
    pub(super) end_at: u64,
    /// The last piece was said to be the last.
    pub(super) said_last: bool,
}

impl Seen {
    fn take(&mut self, at: u64, part: &NativePart) {
        assert!(!self.said_last, "{part:?} follows the last part");
        self.said_last = part.last;
        self.pieces.push((at, String::from_utf8(part.data.to_vec()).unwrap()));
    }

    /// All of the body.
    pub(super) fn text(&self) -> String {
        self.pieces.iter().map(|(_, text)| &**text).collect()
    }

    /// When pieces came that hold this.
    pub(super) fn times_of(&self, part: &str) -> Vec<u64> {
        self.pieces.iter().filter(|(_, text)| text.contains(part)).map(|(at, _)| *at).collect()
    }

    /// How its rate of requests stands: what a minute allows, what is left of it, and after how many milliseconds all of it is.
    pub(super) fn requests(&self) -> Option<(u64, u64, u128)> {
        let meter = self.limits?.requests?;
        Some((meter.limit, meter.remaining, meter.reset.as_millis()))
    }

    /// A header's value; empty where there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

/// Who was asked, and when, written plainly.
pub(super) fn at(times: &[(&str, u64)]) -> Vec<(String, u64)> {
    times.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect()
}
