//! What a core does with settings that change while it runs, and who asks it to read them again: whoever sends SIGHUP, or calls Admin.

use std::{sync::Arc, time::Duration};

use orchestrator_base::{
    config::{Breaker, Config, Declared, Reload},
    live::Live,
    signals, supervisor, task, telemetry,
};
use orchestrator_core::{
    admin::{Admin, log_level, transfer::Report},
    alerts::Address,
    condition::ConditionRules,
    ledger::bodies::BodyRules,
    orchestrator::Shared,
    policy::{breaker::BreakerRules, estimate::Estimates},
    refresher::Reloader,
};
use secrecy::ExposeSecret as _;
use tokio::{signal::unix::Signal, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::admin::transfer::{self, Reloaded};

/// Settings of the core that live outside of what requests share.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) breakers: Live<ConditionRules>,
    pub(super) bodies: Live<BodyRules>,
    pub(super) estimates: Live<Estimates>,
    pub(super) alert_percents: Live<Vec<u32>>,
    pub(super) webhook: Live<Option<Address>>,
}

impl Settings {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            breakers: breakers(&config.breaker).into(),
            bodies: BodyRules::new(&config.bodies).into(),
            estimates: Estimates::new(&config.budget).into(),
            alert_percents: config.alerts.budget_percent.clone().into(),
            webhook: webhook(config).into(),
        }
    }
}

/// Background work.
type Task = JoinHandle<Option<()>>;

/// Watches for what may change from now on: settings, and what is to be logged.
pub(super) fn start(
    config: &Config,
    settings: Settings,
    reloader: Arc<Reloader>,
    shared: &Arc<Shared>,
    admin: &Admin,
    stop: &CancellationToken,
) -> Result<(Reload, [Task; 2]), StartError> {
    let reload = Reload::new(config);
    register(&reload, settings, reloader, shared);
    let watching = watch(&reload, &config.declared, admin, stop)?;
    let logging = log_level::follow(Arc::clone(&shared.catalog), shared.clock.clone(), stop.clone());
    Ok((reload, [watching, task::spawn("log level", logging)]))
}

/// Says to `reload` what the core can do with new settings.
fn register(reload: &Reload, settings: Settings, reloader: Arc<Reloader>, shared: &Arc<Shared>) {
    let Settings { breakers: rules, bodies, estimates, alert_percents, webhook: address } = settings;
    let gate = Arc::clone(&shared.gate);
    reload.part(
        &["admission.max_concurrent_sessions", "admission.max_queue_length", "admission.max_queue_wait"],
        move |config| gate.set(&config.admission),
    );
    reload
        .part(&["breaker.threshold", "breaker.timeout"], move |config| rules.set(breakers(&config.breaker)));
    reload.part(
        &["timeouts.connect_ms", "timeouts.first_token_ms", "timeouts.idle_ms", "timeouts.total_ms"],
        move |config| reloader.set_timeouts(config.timeouts),
    );
    reload
        .part(&["bodies.keep", "bodies.max_bytes"], move |config| bodies.set(BodyRules::new(&config.bodies)));
    reload.part(
        &[
            "budget.default_output_tokens",
            "budget.unknown_price_input_usd",
            "budget.unknown_price_output_usd",
        ],
        move |config| estimates.set(Estimates::new(&config.budget)),
    );
    reload.part(&["alerts.budget_percent"], move |config| {
        alert_percents.set(config.alerts.budget_percent.clone());
    });
    reload.part(&["alerts.webhook_url"], move |config| address.set(webhook(config)));
    let stream = shared.stream.clone();
    reload.part(&["stream.early_head_ms", "stream.idle_bytes_ms"], move |config| {
        stream.set(config.stream.clone());
    });
}

/// Reads the files again at each SIGHUP.
fn watch(
    reload: &Reload,
    declared: &Declared,
    admin: &Admin,
    stop: &CancellationToken,
) -> Result<JoinHandle<Option<()>>, StartError> {
    let hangups = signals::hangups().map_err(StartError::at("watching for SIGHUP"))?;
    let again = again(reload.clone(), declared.clone(), admin.clone(), hangups, stop.clone());
    Ok(task::spawn("reload", again))
}

/// Where something is wrong with the files everything stays as it is.
async fn again(
    reload: Reload,
    declared: Declared,
    admin: Admin,
    mut hangups: Signal,
    stop: CancellationToken,
) {
    while let Some(Some(())) = stop.run_until_cancelled(hangups.recv()).await {
        let _reloading = supervisor::reloading();
        telemetry::reopen();
        tracing::info!(signal = "SIGHUP", "Reading the configuration again");
        match transfer::reload(&admin, &reload, &declared).await {
            Ok(Reloaded { catalog, settings }) => {
                log(&catalog);
                tracing::info!(settings = settings.len(), "Configuration read again");
            }
            Err(error) => tracing::error!(error = %error, "the configuration is not taken as a whole"),
        }
    }
}

pub(super) fn log(report: &Report) {
    for note in &report.notes {
        tracing::warn!("Declared catalog: {note}");
    }
    tracing::info!("Declared catalog applied: {}", report.summary());
}

fn breakers(settings: &Breaker) -> ConditionRules {
    let open = Duration::from_secs(settings.timeout);
    ConditionRules { breaker: BreakerRules { threshold: settings.threshold, open } }
}

fn webhook(config: &Config) -> Option<Address> {
    Address::parse(config.alerts.webhook_url.as_ref()?.expose_secret())
}
