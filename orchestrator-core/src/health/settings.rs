//! What operators choose about health checks. Kept in the database, and changed at run time.

use std::time::Duration;

use orchestrator_base::config;

use crate::error::{Error, Result};

/// See the module. The names are the public ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether providers are probed. Live traffic draws the picture either way.
    pub enabled: bool,
    /// How often a provider is asked that live traffic does not speak for, 1 to 1440.
    pub interval_minutes: u32,
    /// Faults in a row from which on a provider is unhealthy, 1 to 1000.
    pub max_error_count: u32,
    /// After how long an unhealthy provider may have live traffic without being probed first, 1 to 720.
    pub retry_after_hours: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, interval_minutes: 5, max_error_count: 5, retry_after_hours: 1 }
    }
}

impl Settings {
    /// What a configuration says of the first start.
    pub fn configured(config: &config::HealthCheck) -> Self {
        Self {
            enabled: config.enabled,
            interval_minutes: config.interval.div_ceil(60).max(1),
            max_error_count: config.max_errors,
            retry_after_hours: config.retry_hours,
        }
    }

    /// Refuses what is out of range, by the field's name.
    pub fn check(&self) -> Result<()> {
        let fields = [
            ("interval_minutes", self.interval_minutes, 1440),
            ("max_error_count", self.max_error_count, 1000),
            ("retry_after_hours", self.retry_after_hours, 720),
        ];
        for (name, value, most) in fields {
            if !(1..=most).contains(&value) {
                return Err(Error::invalid(name.to_owned(), format!("{name} must be 1 to {most}")));
            }
        }
        Ok(())
    }

    /// How often a provider is asked.
    pub fn interval(&self) -> Duration {
        Duration::from_mins(u64::from(self.interval_minutes.max(1)))
    }
}
