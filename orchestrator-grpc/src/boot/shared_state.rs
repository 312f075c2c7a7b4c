//! Connects a core with the others, if it is to share limits with them, and starts what keeps them in step.

use std::{sync::Arc, time::Duration};

use orchestrator_base::{clock::Clock, config::Config, task};
use orchestrator_core::{
    condition::{Conditions, news::ConditionNews},
    orchestrator::Shared,
    shared_state::{
        SharedState, StoredSpend,
        redis::{Redis, Remote, idempotency::Answers, news::News},
    },
};
use tokio::{sync::broadcast::error::RecvError, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::health::Health;

/// How often it is looked at how the shared state is.
const LOOK: Duration = Duration::from_millis(500);

/// What news of providers are called between cores.
const CONDITION: &str = "condition";

/// The way to the other cores.
pub(super) struct Together {
    pub(super) redis: Redis,
    pub(super) news: News,
}

/// A Redis that is away now does not stop a start. `None`: this core is on its own.
pub(super) async fn connect(config: &Config, core: &str) -> Result<Option<Together>, StartError> {
    if !config.redis.enabled {
        return Ok(None);
    }
    let redis = Redis::new(&config.redis).map_err(StartError::at("reading REDIS_URL"))?;
    if redis.try_now().await {
        tracing::info!("Redis connected");
    } else {
        tracing::warn!("Redis is not there; this core begins with its own share of limits");
    }
    let news = News::new(redis.clone(), core);
    Ok(Some(Together { redis, news }))
}

/// `core`: what this core calls itself.
pub(super) fn open(
    config: &Config,
    together: Option<&Together>,
    core: String,
    spend: Arc<dyn StoredSpend>,
    clock: Clock,
) -> SharedState {
    let Some(Together { redis, news }) = together else { return SharedState::local(spend) };
    let settings = (&config.redis, &config.budget);
    let remote = Remote::new(redis.clone(), spend, settings, news.clone(), clock, core);
    SharedState::Redis(Arc::new(remote))
}

/// Answers under idempotency keys that other cores make or keep.
pub(super) fn answers(config: &Config, together: Option<&Together>, core: &str) -> Option<Answers> {
    let retention = Duration::from_secs(config.idempotency.retention_seconds);
    together.map(|together| Answers::new(together.redis.clone(), core.to_owned(), retention))
}

/// The background work.
pub(super) fn start(
    together: Option<Together>,
    shared: &Arc<Shared>,
    stop: &CancellationToken,
) -> Vec<JoinHandle<Option<()>>> {
    let (Some(Together { redis, news }), SharedState::Redis(remote)) = (together, &shared.shared_state)
    else {
        return Vec::new();
    };
    let teller = news.clone();
    shared.conditions.tell(move |found| {
        if let Ok(text) = serde_json::to_string(&found) {
            teller.tell(CONDITION, text);
        }
    });
    vec![
        task::spawn(
            "providers' news",
            hear_of_providers(news.clone(), shared.conditions.clone(), stop.clone()),
        ),
        task::spawn("Redis", redis.keep(stop.clone())),
        task::spawn("news", news.run(stop.clone())),
        task::spawn("shared limits", Arc::clone(remote).keep(stop.clone())),
    ]
}

async fn hear_of_providers(news: News, conditions: Conditions, stop: CancellationToken) {
    let mut told = news.listen();
    while let Some(heard) = stop.run_until_cancelled(told.recv()).await {
        match heard {
            Ok(told) if told.kind == CONDITION => {
                if let Ok(news) = serde_json::from_str::<ConditionNews>(&told.text) {
                    conditions.hear(&news);
                }
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Tells health checks whether cores count together.
pub(super) fn tell_health(
    state: SharedState,
    health: Health,
    stop: CancellationToken,
) -> JoinHandle<Option<()>> {
    task::spawn("shared state's health", async move {
        while !stop.is_cancelled() {
            health.set_shared_state_well(state.is_well()).await;
            let _ = stop.run_until_cancelled(tokio::time::sleep(LOOK)).await;
        }
    })
}
