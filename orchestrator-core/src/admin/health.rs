//! Providers' health and breakers, as operators see and mend them.

use std::{fmt, sync::Arc};

use serde_json::json;

use super::{Admin, Listed, Page};
use crate::{
    audit::{Event, action},
    catalog::Provider,
    condition::{BreakerView, Conditions},
    error::Result,
    health::{Report, Settings},
    health_board::HealthBoard,
    prober::{ProbeDesk, SettingsKeeper, ToolTest},
};

/// The most breakers that are told at once.
const MOST_BREAKERS: usize = 1000;

/// Providers' health and breakers. Clones are the same.
#[derive(Clone)]
pub struct HealthDesk {
    /// Which providers there are, and who acts.
    pub admin: Admin,
    /// How they are.
    pub board: Arc<HealthBoard>,
    /// What else is known of them: their breakers.
    pub conditions: Conditions,
    /// Has them checked.
    pub prober: ProbeDesk,
    /// What operators choose.
    pub settings: Arc<SettingsKeeper>,
}

/// A provider and how it is.
#[derive(Clone, Debug)]
pub struct ProviderHealth {
    /// The provider.
    pub provider: Provider,
    /// How it is.
    pub report: Report,
}

/// The settings that may be changed, each `None` when it is left as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct SettingsChange {
    /// [`Settings::enabled`].
    pub enabled: Option<bool>,
    /// [`Settings::interval_minutes`].
    pub interval_minutes: Option<u32>,
    /// [`Settings::max_error_count`].
    pub max_error_count: Option<u32>,
    /// [`Settings::retry_after_hours`].
    pub retry_after_hours: Option<u32>,
}

impl HealthDesk {
    /// The same, for whoever this handle acts for.
    pub fn acting_through(&self, admin: &Admin) -> Self {
        Self { admin: admin.clone(), ..self.clone() }
    }

    /// How a page of providers is, disabled ones too.
    pub async fn list(&self, page: &Page) -> Result<Listed<ProviderHealth>> {
        let Listed { items, next } = self.admin.list_providers(page).await?;
        let items = items.into_iter().map(|provider| self.of(provider)).collect();
        Ok(Listed { items, next })
    }

    /// How a provider is, by its id or its name.
    pub async fn provider(&self, id_or_name: &str) -> Result<ProviderHealth> {
        Ok(self.of(self.admin.provider(id_or_name).await?))
    }

    /// Asks a provider now, and says how it is then.
    ///
    /// Errors: [`ProbeDesk::check`]'s.
    pub async fn check(&self, id_or_name: &str) -> Result<ProviderHealth> {
        let provider = self.admin.provider(id_or_name).await?;
        let asked = Event::new(action::FORCE_CHECK, "provider").on(&provider.id, &provider.name);
        self.admin.record(asked).await?;
        self.prober.check(&provider.id).await?;
        Ok(self.of(provider))
    }

    /// The models that a provider lists now, and whether the catalog has it serve each.
    ///
    /// Errors: [`ProbeDesk::models`]'s.
    pub async fn provider_models(&self, id_or_name: &str) -> Result<Vec<(String, bool)>> {
        let provider = self.admin.provider(id_or_name).await?;
        let listed = self.prober.models(&provider.id).await?;
        let served = self.admin.upstream_models(&provider.id).await?;
        Ok(listed.names().map(|name| (name.to_owned(), served.contains(name))).collect())
    }

    /// Whether a model of a provider calls tools. It is on record, for it costs money.
    ///
    /// Errors: [`ProbeDesk::tools`]'s.
    pub async fn test_tools(&self, id_or_name: &str, model: Option<&str>) -> Result<ToolTest> {
        let provider = self.admin.provider(id_or_name).await?;
        let asked = Event::new(action::TEST_TOOLS, "provider").on(&provider.id, &provider.name);
        self.admin.record(asked).await?;
        self.prober.tools(&provider.id, model).await
    }

    /// What operators have chosen.
    pub fn settings(&self) -> Settings {
        self.board.settings()
    }

    /// Changes what operators have chosen; gives what is now stored. It holds here when the call returns, and within a second in
    /// every core.
    ///
    /// Errors: a value that is out of range, by its field.
    pub async fn change_settings(&self, change: SettingsChange) -> Result<Settings> {
        let SettingsChange { enabled, interval_minutes, max_error_count, retry_after_hours } = change;
        let change = |settings: &mut Settings| {
            *settings = Settings {
                enabled: enabled.unwrap_or(settings.enabled),
                interval_minutes: interval_minutes.unwrap_or(settings.interval_minutes),
                max_error_count: max_error_count.unwrap_or(settings.max_error_count),
                retry_after_hours: retry_after_hours.unwrap_or(settings.retry_after_hours),
            };
        };
        self.admin.database_is_there()?;
        self.settings.change(change, &self.admin.stamp()).await
    }

    /// The breakers that are not closed, or have seen faults, by provider and model; those of one provider, or all.
    pub async fn breakers(&self, id_or_name: Option<&str>) -> Result<Vec<BreakerView>> {
        let only = self.id_of(id_or_name).await?;
        let mut breakers = self.conditions.breakers();
        breakers.retain(|breaker| only.as_ref().is_none_or(|id| *id == breaker.provider_id));
        breakers.truncate(MOST_BREAKERS);
        Ok(breakers)
    }

    /// Closes the breakers, ends the cool-downs and forgives the failures of one provider, or of all.
    pub async fn reset_breakers(&self, id_or_name: Option<&str>) -> Result<()> {
        let only = match id_or_name {
            Some(id_or_name) => Some(self.admin.provider(id_or_name).await?),
            None => None,
        };
        let event = Event::new(action::RESET, "breaker");
        let event = match &only {
            Some(provider) => event.on(&provider.id, &provider.name),
            None => event.after(json!({ "of": "all providers" })),
        };
        self.admin.record(event).await?;
        self.conditions.reset(only.as_ref().map(|provider| provider.id.as_str()));
        Ok(())
    }

    async fn id_of(&self, id_or_name: Option<&str>) -> Result<Option<String>> {
        let Some(id_or_name) = id_or_name else { return Ok(None) };
        self.admin.provider(id_or_name).await.map(|provider| Some(provider.id))
    }

    fn of(&self, provider: Provider) -> ProviderHealth {
        let report = self.board.report(&provider.id);
        ProviderHealth { provider, report }
    }
}

impl fmt::Debug for HealthDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthDesk").finish_non_exhaustive()
    }
}
