//! Statistics: what was used, by whom, how fast, and what became of the last calls.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan as _, Zoned, tz::TimeZone};
use orchestrator_base::clock::UnixMicros;

use super::{Admin, found, store_error, validate};
use crate::{
    catalog::defaults,
    error::{Error, Result},
    ledger::record::AttemptRecord,
    policy::{glob, percentile::percentile_us},
    store::reads::{Dimension, ProviderDay, Step, UsageQuery, UsageRow, UsageSums},
};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
/// The most hours of one question: a year.
const MOST_HOURS: u32 = 8_784;
/// The most combinations of provider, model and key that statistics are made of.
const MOST_GROUPS: u32 = 100_000;
/// The most rows of a list, of each part of the statistics and of a usage report.
const MOST_SHOWN: usize = 1_000;
const MOST_ROWS: u32 = 10_000;
/// Outcomes of a status bar: where nobody says how many, and at most.
const OUTCOMES: u32 = 100;
const MOST_OUTCOMES: u32 = 200;
/// The most names of a model that are looked for at a provider.
const MOST_NAMES: u32 = 500;

/// What happened in some hours.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// The first hour.
    pub from: UnixMicros,
    /// Now.
    pub to: UnixMicros,
    /// All of it.
    pub total: UsageSums,
    /// By provider, by model and by key, the most used first, at most 1,000 each.
    pub by_provider: Vec<UsageRow>,
    /// By model.
    pub by_model: Vec<UsageRow>,
    /// By key.
    pub by_key: Vec<UsageRow>,
}

/// Which usage report.
#[derive(Clone, Debug, Default)]
pub struct UsageReport {
    /// From that hour on.
    pub from: Option<UnixMicros>,
    /// Up to that hour; now where nothing is said.
    pub to: Option<UnixMicros>,
    /// `hour`, `day` (also where nothing is said) or `month`, all UTC.
    pub interval: String,
    /// Comma-separated: `provider`, `model`, `key`, `team`; or `tag:NAME` alone.
    pub group_by: String,
}

impl UsageSums {
    /// The share of `successes` in `of`, in percent; `None` of nothing.
    pub fn success_rate(&self, of: u64) -> Option<f64> {
        (of > 0).then(|| self.successes as f64 * 100.0 / of as f64)
    }

    /// Whole latency in the mean, in milliseconds; `None` where none was measured.
    pub fn average_latency_ms(&self, of: u64) -> Option<f64> {
        (of > 0).then(|| self.latency_us as f64 / of as f64 / 1000.0)
    }

    /// Time to the first token in the mean, in milliseconds.
    pub fn average_ttft_ms(&self) -> Option<f64> {
        (self.ttft_count > 0).then(|| self.ttft_us as f64 / self.ttft_count as f64 / 1000.0)
    }

    /// The latency that so many percent do not pass, in milliseconds.
    pub fn latency_ms(&self, percent: f64) -> Option<f64> {
        percentile_us(self.latencies.as_ref()?, percent).map(|us| us / 1000.0)
    }
}

impl Admin {
    /// The statistics of the last `hours` hours, the one that runs and whatever part of another is needed included; 0 means 24.
    ///
    /// Errors: too many hours, or more parts than can be summed at once.
    pub async fn stats(&self, hours: u32) -> Result<Stats> {
        let hours = if hours == 0 { 24 } else { hours };
        validate::in_range("hours", hours, 1, MOST_HOURS)?;
        let to = self.clock.now();
        let from = floor(to.0 - i64::from(hours) * HOUR, HOUR);
        let query = UsageQuery {
            from,
            to: after(to),
            step: Step::Whole,
            by: vec![Dimension::Provider, Dimension::Model, Dimension::Key],
            limit: MOST_GROUPS + 1,
        };
        let rows = self.store.usage(&query).await.map_err(store_error)?;
        if rows.len() > MOST_GROUPS as usize {
            return validate::refuse(
                "hours",
                "must be fewer: there are too many keys and models in that time",
            );
        }
        let mut total = UsageSums::default();
        for row in &rows {
            total.add(&row.sums);
        }
        let part = |dimension| most_used(&rows, from, dimension);
        Ok(Stats {
            from,
            to,
            total,
            by_provider: part(Dimension::Provider),
            by_model: part(Dimension::Model),
            by_key: part(Dimension::Key),
        })
    }

    /// Usage by time, and by what it is grouped by.
    ///
    /// Errors: a value that is not understood, by its field; a stretch that is too long, or with too many rows.
    pub async fn usage(&self, report: &UsageReport) -> Result<Vec<UsageRow>> {
        let (step, most_days, usual_days) = match report.interval.as_str() {
            "hour" => (Step::Hour, 31, 1),
            "" | "day" => (Step::Day, 731, 30),
            "month" => (Step::Whole, 3_660, 365),
            _ => return validate::refuse("interval", "must be hour, day or month"),
        };
        let to = after(report.to.unwrap_or_else(|| self.clock.now()));
        let from = report.from.unwrap_or(UnixMicros(to.0.saturating_sub(usual_days * DAY)));
        let from = floor(from.0, HOUR);
        if from >= to {
            return validate::refuse("from", "must be earlier than to");
        }
        if to.0.saturating_sub(from.0) > most_days * DAY {
            return validate::refuse(
                "from",
                &format!("must be at most {most_days} days before to at this interval"),
            );
        }
        let groups = Groups::of(&report.group_by)?;
        let mut rows = Vec::new();
        let stretches = if step == Step::Whole { months(from, to)? } else { vec![(from, from, to)] };
        for (start, from, to) in stretches {
            let found = self.usage_of(&groups, step, from, to).await?;
            let found = found.into_iter().filter(|row| row.sums.requests > 0);
            rows.extend(found.map(|row| if step == Step::Whole { UsageRow { start, ..row } } else { row }));
            if rows.len() > MOST_ROWS as usize {
                let what = "must be later: there are more than 10000 rows; a longer interval or fewer groups help too";
                return validate::refuse("from", what);
            }
        }
        Ok(rows)
    }

    async fn usage_of(
        &self,
        groups: &Groups,
        step: Step,
        from: UnixMicros,
        to: UnixMicros,
    ) -> Result<Vec<UsageRow>> {
        let query = |by| UsageQuery { from, to, step, by, limit: MOST_ROWS + 1 };
        let rows = match groups {
            Groups::By(dimensions) => self.store.usage(&query(dimensions.clone())).await,
            Groups::Tag(tag) => self.store.usage_by_tag(&query(Vec::new()), tag).await,
        };
        rows.map_err(store_error)
    }

    /// What became of the calls to providers, by day and model there; of one provider by its id or name, or of all.
    pub async fn provider_stats(
        &self,
        from: Option<UnixMicros>,
        to: Option<UnixMicros>,
        provider: &str,
    ) -> Result<Vec<ProviderDay>> {
        let to = to.unwrap_or_else(|| self.clock.now());
        let from = floor(from.map_or(to.0.saturating_sub(30 * DAY), |from| from.0), DAY);
        if from >= to {
            return validate::refuse("from", "must be earlier than to");
        }
        let only = match provider {
            "" => None,
            // Statistics outlive their provider.
            id if crate::store::reads::is_id(id) => Some(id.to_owned()),
            name => Some(self.provider(name).await?.id),
        };
        let rows = self.store.provider_days((from, to), only.as_deref(), MOST_ROWS + 1).await;
        let rows = rows.map_err(store_error)?;
        if rows.len() > MOST_ROWS as usize {
            return validate::refuse("from", "must be later: there are more than 10000 rows");
        }
        Ok(rows)
    }

    /// The last calls of an association, newest first, each with the id of its request's log: what status bars show. A `count` of 0
    /// means 100.
    pub async fn model_provider_outcomes(
        &self,
        id: &str,
        count: u32,
    ) -> Result<Vec<(String, AttemptRecord)>> {
        let count = if count == 0 { OUTCOMES } else { count };
        validate::in_range("count", count, 1, MOST_OUTCOMES)?;
        let association = found(self.store.model_provider(id).await, "model-provider", id)?;
        let provider = &association.provider_id;
        let mut names = vec![association.provider_model.clone()];
        if association.provider_model == defaults::PROVIDER_MODEL {
            let model = found(self.store.model(&association.model_id).await, "model", &association.model_id)?;
            names = vec![model.name.clone()];
            if glob::is_pattern(&model.name) {
                names = self.store.upstream_models(provider, MOST_NAMES).await.map_err(store_error)?;
                names.retain(|name| glob::matches(&model.name, name));
            }
        }
        let mut outcomes = Vec::new();
        for name in &names {
            outcomes.extend(self.store.last_attempts(provider, name, count).await.map_err(store_error)?);
        }
        outcomes.sort_by_key(|(_, attempt)| std::cmp::Reverse(attempt.started_at));
        outcomes.truncate(count as usize);
        Ok(outcomes)
    }
}

/// What a usage report is grouped by.
enum Groups {
    By(Vec<Dimension>),
    Tag(String),
}

impl Groups {
    fn of(group_by: &str) -> Result<Self> {
        if let Some(tag) = group_by.strip_prefix("tag:") {
            validate::text("group_by", tag, 1, 64)?;
            return Ok(Self::Tag(tag.to_owned()));
        }
        let mut dimensions = Vec::new();
        for name in group_by.split(',').filter(|_| !group_by.is_empty()) {
            let dimension = match name {
                "provider" => Dimension::Provider,
                "model" => Dimension::Model,
                "key" => Dimension::Key,
                "team" => Dimension::Team,
                _ => return Err(unknown_group()),
            };
            if dimensions.contains(&dimension) {
                return Err(unknown_group());
            }
            dimensions.push(dimension);
        }
        Ok(Self::By(dimensions))
    }
}

fn unknown_group() -> Error {
    let message = "group_by must be provider, model, key, team, several of them once each and comma-separated, or tag:NAME";
    Error::invalid("group_by".to_owned(), message)
}

/// Sums by one dimension, the most used first.
fn most_used(rows: &[UsageRow], from: UnixMicros, dimension: Dimension) -> Vec<UsageRow> {
    let mut parts: BTreeMap<&str, UsageRow> = BTreeMap::new();
    for row in rows {
        let name = match dimension {
            Dimension::Provider => &row.provider,
            Dimension::Model => &row.model,
            Dimension::Key => &row.api_key_id,
            Dimension::Team => &row.team,
        };
        let part = parts.entry(name).or_insert_with(|| {
            let mut part = UsageRow { start: from, ..UsageRow::default() };
            match dimension {
                Dimension::Provider => part.provider.clone_from(name),
                Dimension::Model => part.model.clone_from(name),
                Dimension::Key => part.api_key_id.clone_from(name),
                Dimension::Team => part.team.clone_from(name),
            }
            part
        });
        if dimension == Dimension::Key && row.api_key_name > part.api_key_name {
            part.api_key_name.clone_from(&row.api_key_name);
        }
        part.sums.add(&row.sums);
    }
    let mut parts: Vec<UsageRow> = parts.into_values().collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.sums.requests));
    parts.truncate(MOST_SHOWN);
    parts
}

fn floor(micros: i64, step: i64) -> UnixMicros {
    UnixMicros(micros.saturating_sub(micros.rem_euclid(step)))
}

/// The first hour that begins then or later: what is asked for up to a moment has that moment's hour.
fn after(moment: UnixMicros) -> UnixMicros {
    floor(moment.0.saturating_add(HOUR - 1), HOUR)
}

/// The calendar months of a stretch, UTC: each with its first moment, and what of it lies in the stretch.
fn months(from: UnixMicros, to: UnixMicros) -> Result<Vec<(UnixMicros, UnixMicros, UnixMicros)>> {
    let impossible = |_| Error::invalid("from".to_owned(), "from is not a time of any calendar");
    let micros = |moment: &Zoned| UnixMicros(moment.timestamp().as_microsecond());
    let first = Timestamp::from_microsecond(from.0).map_err(impossible)?.to_zoned(TimeZone::UTC);
    let mut month = first.first_of_month().and_then(|first| first.start_of_day()).map_err(impossible)?;
    let mut months = Vec::new();
    while micros(&month) < to {
        let next = month.checked_add(1.month()).map_err(impossible)?;
        let start = micros(&month);
        months.push((start, start.max(from), micros(&next).min(to)));
        month = next;
    }
    Ok(months)
}

#[cfg(test)]
mod tests;
