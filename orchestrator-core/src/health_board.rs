//! Each provider's [`Picture`], shared by every request thread, the prober and Admin.
//!
//! A picture is drawn here and lasts in the table `provider_health`: the prober's synchronisation takes what is unwritten
//! ([`HealthBoard::take_unwritten`]) and brings what other cores have written ([`HealthBoard::bring`]). A lock is held for a few
//! additions, never over an await.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use orchestrator_base::clock::{Clock, UnixMicros};
use tokio::sync::watch;

use crate::{
    health::{Facts, Hours, Picture, Report, Seen, Settings, Status},
    registry::Registry,
};

/// See the module.
#[derive(Debug)]
pub struct HealthBoard {
    clock: Clock,
    /// Read for every request: without a lock, unlike what tells of changes.
    settings: ArcSwap<Settings>,
    changes: watch::Sender<Settings>,
    providers: Registry<Known>,
}

#[derive(Debug, Default)]
struct Known {
    picture: Picture,
    /// What other cores have counted.
    elsewhere: Hours,
    unwritten: Unwritten,
}

/// Whether other cores wait for what has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unwritten {
    /// Nothing has.
    #[default]
    Nothing,
    /// Counts alone: they can wait.
    Counts,
    /// The status, or a probe has spoken.
    News,
}

/// What is stored of a provider by one core.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredHealth {
    /// The provider's id.
    pub provider_id: String,
    /// The latest outcomes that this core knows of.
    pub facts: Facts,
    /// What this core has counted.
    pub hours: Hours,
    /// [`Status::name`] when it was written, for those who read the table.
    pub status: String,
}

impl HealthBoard {
    /// Nothing is known yet.
    pub fn new(settings: Settings, clock: Clock) -> Self {
        let changes = watch::Sender::new(settings);
        Self { clock, settings: ArcSwap::from_pointee(settings), changes, providers: Registry::default() }
    }

    /// What operators have chosen.
    pub fn settings(&self) -> Settings {
        **self.settings.load()
    }

    /// Operators have chosen otherwise.
    pub fn set_settings(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
        self.changes.send_if_modified(|known| std::mem::replace(known, settings) != settings);
    }

    /// Tells of every change of the settings.
    pub fn watch_settings(&self) -> watch::Receiver<Settings> {
        self.changes.subscribe()
    }

    /// Draws in what an attempt has shown.
    pub fn saw(&self, provider_id: &Arc<str>, seen: &Seen) {
        let (now, settings) = (self.clock.now(), self.settings());
        let (before, after) = self.providers.with_or_new(provider_id, |known| {
            let before = known.picture.status(now, &settings);
            known.picture.saw(now, seen);
            let after = known.picture.status(now, &settings);
            let news = seen.probe || before != after;
            known.unwritten = known.unwritten.max(if news { Unwritten::News } else { Unwritten::Counts });
            (before, after)
        });
        note(provider_id, before, after, seen);
    }

    /// How a provider is.
    pub fn status(&self, provider_id: &str) -> Status {
        let known = self
            .providers
            .with(provider_id, |known| known.picture.status(self.clock.now(), &self.settings()));
        known.unwrap_or_default()
    }

    /// How good a provider is to be asked.
    pub fn fitness(&self, provider_id: &str) -> Status {
        let known = self
            .providers
            .with(provider_id, |known| known.picture.fitness(self.clock.now(), &self.settings()));
        known.unwrap_or_default()
    }

    /// Holds nothing against a provider any more, or against any.
    pub fn forgive(&self, provider_id: Option<&str>) {
        self.providers.for_each(|id, known| {
            if provider_id.is_none_or(|wanted| wanted == id) {
                known.picture.forgive();
                known.unwritten = Unwritten::News;
            }
        });
    }

    /// What operators are shown of a provider.
    pub fn report(&self, provider_id: &str) -> Report {
        let of =
            |known: &mut Known| known.picture.report(self.clock.now(), &self.settings(), &known.elsewhere);
        self.providers.with(provider_id, of).unwrap_or_else(|| of(&mut Known::default()))
    }

    /// How long the latest outcome still speaks for a provider, if it was good: no probe need ask what traffic has just shown.
    pub fn spoken_for(&self, provider_id: &str, interval: Duration) -> Option<Duration> {
        let last_good = self.providers.with(provider_id, |known| {
            let facts = &known.picture.facts;
            facts.last_success.filter(|_| facts.error_count == 0)
        });
        let since = self.now().0.checked_sub(last_good??.0)?;
        let since = Duration::from_micros(u64::try_from(since).ok()?);
        interval.checked_sub(since).filter(|rest| !rest.is_zero())
    }

    /// What time it is.
    pub fn now(&self) -> UnixMicros {
        self.clock.now()
    }

    /// What has not been written yet, if any of it is at least so pressing: then all of it, which counts as written from here on.
    pub fn take_unwritten(&self, pressing: Unwritten) -> Vec<StoredHealth> {
        let (now, settings) = (self.clock.now(), self.settings());
        let mut presses = false;
        self.providers.for_each(|_, known| presses |= known.unwritten >= pressing);
        let mut taken = Vec::new();
        if !presses {
            return taken;
        }
        self.providers.for_each(|id, known| {
            if std::mem::take(&mut known.unwritten) > Unwritten::Nothing {
                taken.push(StoredHealth {
                    provider_id: id.to_string(),
                    facts: known.picture.facts.clone(),
                    hours: known.picture.hours.clone(),
                    status: known.picture.status(now, &settings).name().to_owned(),
                });
            }
        });
        taken
    }

    /// What was taken could not be written.
    pub fn give_back(&self, taken: &[StoredHealth]) {
        for stored in taken {
            self.providers.with(&stored.provider_id, |known| known.unwritten = Unwritten::News);
        }
    }

    /// Takes over what all other cores have written: their counts in place of those brought before, their facts where newer.
    pub fn bring(&self, rows: &[StoredHealth]) {
        let mut counts: HashMap<&str, Hours> = HashMap::new();
        for row in rows {
            counts.entry(&row.provider_id).or_default().add(&row.hours);
            let id = Arc::from(row.provider_id.as_str());
            self.providers.with_or_new(&id, |known| known.picture.adopt(&row.facts));
        }
        self.providers.for_each(|id, known| known.elsewhere = counts.remove(id).unwrap_or_default());
    }

    /// Forgets providers that are gone.
    pub fn keep_only(&self, is_there: impl Fn(&str) -> bool) {
        self.providers.keep_only(is_there);
    }
}

fn note(provider_id: &str, before: Status, after: Status, seen: &Seen) {
    if before == after {
        return;
    }
    let (from, to) = (before.name(), after.name());
    if after == Status::Unhealthy {
        let error = seen.error.as_deref().unwrap_or_default();
        tracing::warn!(provider.id = provider_id, health.from = from, error, "a provider is unhealthy");
    } else {
        tracing::info!(
            provider.id = provider_id,
            health.from = from,
            health.to = to,
            "a provider's health changed"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> HealthBoard {
        HealthBoard::new(Settings::default(), Clock::manual(UnixMicros(1_795_000_000_000_000)))
    }

    fn good() -> Seen {
        Seen::answer(200, Duration::from_millis(5))
    }

    #[test]
    fn counts_wait_and_news_do_not() {
        let (board, id) = (board(), Arc::from("p1"));
        board.saw(&id, &good());
        assert_eq!(board.take_unwritten(Unwritten::News).len(), 1, "unknown became healthy");
        board.saw(&id, &good());
        assert_eq!(board.take_unwritten(Unwritten::News), []);
        let taken = board.take_unwritten(Unwritten::Counts);
        assert_eq!((taken.len(), taken[0].status.as_str()), (1, "healthy"));
        assert_eq!(board.take_unwritten(Unwritten::Counts), []);
        board.give_back(&taken);
        assert_eq!(board.take_unwritten(Unwritten::News), taken);
        board.saw(&id, &good().by_probe());
        assert_eq!(board.take_unwritten(Unwritten::News).len(), 1);
    }

    #[test]
    fn what_others_bring_replaces_what_they_brought_before() {
        let (here, there, id) = (board(), board(), Arc::from("p1"));
        here.saw(&id, &good());
        for _ in 0..3 {
            there.clock.advance(Duration::from_secs(1));
            there.saw(&id, &Seen::silence("no answer", Duration::ZERO));
            here.bring(&there.take_unwritten(Unwritten::Counts));
        }
        let report = here.report("p1");
        assert_eq!((report.total_requests_24h, report.facts.error_count), (4, 3));
        assert_eq!(here.status("p1"), Status::Degraded);
        here.bring(&[]);
        assert_eq!(here.report("p1").total_requests_24h, 1);
        here.keep_only(|_| false);
        assert_eq!(here.status("p1"), Status::Unknown);
    }

    #[test]
    fn a_changed_setting_is_told_and_holds_at_once() {
        let (board, id) = (board(), Arc::from("p1"));
        let mut changes = board.watch_settings();
        board.saw(&id, &Seen::silence("no answer", Duration::ZERO));
        board.set_settings(Settings::default());
        assert!(!changes.has_changed().unwrap());
        board.set_settings(Settings { max_error_count: 1, ..Settings::default() });
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        assert_eq!(board.status("p1"), Status::Unhealthy);
    }
}
