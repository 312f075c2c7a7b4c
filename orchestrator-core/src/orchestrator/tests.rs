//! What holds for the request path as a whole.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use orchestrator_base::config;
use tokio::time::Instant;

use super::*;
use crate::{
    admin::secrets::Vault,
    admission::gate::Gate,
    call::{About, PathFacts},
    catalog::{CatalogRows, samples},
    condition::{ConditionRules, Conditions},
    dialect::Dialect,
    ledger::journal::{self, Journal, Line},
    origins::LocalOrigins,
    policy::estimate::Estimates,
    recording::claims::Claims,
    refresher::Reloader,
    shared_state::{NothingSpent, SharedState},
    store::{CatalogReader, StoreError},
};

/// A database that must not be touched once it is sealed.
#[derive(Default)]
struct Sealed(AtomicBool);

#[async_trait]
impl CatalogReader for Sealed {
    async fn revision(&self) -> std::result::Result<i64, StoreError> {
        assert!(!self.0.load(Ordering::Relaxed), "the request path asked the database for its revision");
        Ok(1)
    }

    async fn load(&self) -> std::result::Result<CatalogRows, StoreError> {
        assert!(!self.0.load(Ordering::Relaxed), "the request path read the database");
        let mut provider = samples::provider("p1", "echo");
        provider.kind = "echo".into();
        Ok(CatalogRows {
            sealed_with: None,
            log_level: None,
            revision: 1,
            providers: vec![provider],
            provider_keys: Vec::new(),
            models: vec![samples::model("m1", "echo")],
            model_providers: vec![samples::model_provider("a1", "m1", "p1")],
            api_keys: vec![samples::api_key("c1", "caller", "secret")],
            teams: Vec::new(),
            prices: Vec::new(),
            admin_keys: Vec::new(),
        })
    }
}

fn call(stream: bool) -> Call {
    let body =
        format!(r#"{{"model":"echo","stream":{stream},"messages":[{{"role":"user","content":"hi"}}]}}"#);
    Call {
        request_id: "r1".into(),
        keys: vec!["secret".into()],
        input: Input::Native {
            dialect: Dialect::OpenAiChat,
            body: Bytes::from(body),
            path: PathFacts::default(),
        },
        received: Instant::now(),
        timeout: None,
        about: About::default(),
        headers: HeaderMap::new(),
    }
}

#[tokio::test]
async fn once_the_catalog_is_loaded_requests_touch_no_database() {
    orchestrator_base::tls::install_crypto();
    let folder = tempfile::tempdir().unwrap();
    let (clock, random) = (Clock::system(), Random::seeded(7));
    let id = random.uuid(clock.now());
    let journal = Arc::new(Journal::open(folder.path(), "core", id, &config::Journal::default()).unwrap());
    let catalog = Arc::new(SharedCatalog::default());
    let database = Arc::new(Sealed::default());
    let vault = Arc::new(Vault::new(&"a master key for tests".into()));
    let reloader = Reloader::new(database.clone(), vault, Arc::clone(&catalog), config::Timeouts::default());
    reloader.reload().await.unwrap();
    database.0.store(true, Ordering::Relaxed);

    let core = Orchestrator::for_thread(Arc::new(Shared {
        catalog,
        ledger: Ledger::new(Arc::clone(&journal), clock.clone(), random.clone()),
        shared_state: SharedState::local(Arc::new(NothingSpent)),
        estimates: Estimates::default().into(),
        gate: Gate::new(&config::Admission::default()),
        drains: Drains::default(),
        curfew: Curfew::default(),
        claims: Claims::new(&config::Idempotency::default(), None),
        origins: Arc::new(LocalOrigins::default()),
        conditions: Conditions::new(ConditionRules::default(), clock.clone(), random.clone()),
        clock,
        random,
        limits: Limits::default(),
        stream: Stream::default().into(),
        deny_private: false,
    }));
    let reply = core.invoke(call(false)).await;
    assert!(matches!(&reply.body, NativeBody::Whole(_)) && reply.head.status == 200, "{:?}", reply.head);
    let reply = core.invoke(call(true)).await;
    let NativeBody::Stream(mut stream) = reply.body else { panic!("no stream: {:?}", reply.head) };
    let mut text = Vec::new();
    while let Some(part) = std::future::poll_fn(|context| {
        futures_core::Stream::poll_next(std::pin::Pin::new(&mut stream), context)
    })
    .await
    {
        text.extend_from_slice(&part.data);
    }
    assert!(text.ends_with(b"data: [DONE]\n\n"));

    // The account of both lies in the journal: that is where a request writes to, and nowhere else.
    let lines = journal::read(&journal.segment_path(journal.current_segment()), 0, 10).unwrap().lines;
    let closed = lines.iter().filter(|line| matches!(line, Line::Close(record) if record.outcome == "ok"));
    assert_eq!(closed.count(), 2, "{lines:?}");
}
