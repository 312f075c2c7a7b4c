//! How a filter becomes a query whose work is bounded.
//!
//! One condition leads: it is an index (a column and the id) that is walked backwards, at most as many rows as may be looked at. All
//! other conditions only pick from those rows, in a query around it; the LIMIT within keeps databases from mixing the two. What is
//! carried from the one to the other is an id and whether it is picked: MariaDB writes it down, and whole rows took it half a second.

use super::{
    db::{Db, Value},
    reads::{LogFilter, first_id_at},
};

/// Part of a WHERE and its values.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    parts: Vec<String>,
    pub(super) values: Vec<Value>,
}

impl Conditions {
    pub(super) fn add(&mut self, condition: &str, value: Value) {
        self.parts.push(condition.to_owned());
        self.values.push(value);
    }

    fn extend(&mut self, others: &Self) {
        self.parts.extend(others.parts.iter().cloned());
        self.values.extend(others.values.iter().cloned());
    }

    /// Says what a partial index's own condition says, so that it may be used: requests that did not fail are in none by `error_kind`.
    fn only_indexed(&mut self, column: &str) {
        if column == "error_kind" {
            self.parts.push("error_kind <> ''".to_owned());
        }
    }

    fn add_some(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(condition, value.into());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// `a = ? AND b = ?`
    pub(super) fn all(&self) -> String {
        self.parts.join(" AND ")
    }

    /// ` WHERE a = ? AND b = ?`, or nothing.
    fn clause(&self) -> String {
        if self.parts.is_empty() { String::new() } else { format!(" WHERE {}", self.all()) }
    }
}

/// A filter, split into what leads and what picks.
#[derive(Debug)]
pub(super) struct Plan {
    /// The column whose index is walked, and its values, each a walk of its own; `None` walks all ids.
    pub(super) lead: Option<(&'static str, Vec<Value>)>,
    /// The stretch of ids.
    pub(super) ids: Conditions,
    /// All else.
    pub(super) rest: Conditions,
    /// A walk's end is said as a stretch of its index.
    in_stretches: bool,
}

/// The columns that have an index, the most telling first.
const LEADS: [&str; 8] =
    ["request_id", "session_id", "error_kind", "api_key_id", "model", "provider", "status", "outcome"];

impl Plan {
    /// `statuses`: those in use that the filter's range has. They lead where nothing more telling does.
    pub(super) fn new(db: &Db, filter: &LogFilter, before: Option<&str>, statuses: &[u16]) -> Self {
        let mut exact: Vec<(&'static str, Value)> = Vec::new();
        let texts = [
            ("request_id", &filter.request_id),
            ("session_id", &filter.session_id),
            ("api_key_id", &filter.api_key_id),
            ("model", &filter.model),
            ("provider", &filter.provider),
            ("outcome", &filter.outcome),
            ("error_kind", &filter.error_kind),
            ("provider_id", &filter.provider_id),
            ("api_key_name", &filter.api_key_name),
            ("trace_id", &filter.trace_id),
        ];
        for (column, value) in texts {
            exact.extend(value.as_ref().map(|value| (column, Value::from(value))));
        }
        exact.extend(filter.stream.map(|stream| ("stream", Value::from(stream))));
        let lead = Self::lead(filter, &mut exact, statuses);

        let mut rest = Conditions::default();
        for (column, value) in exact {
            rest.add(&format!("{column} = ?"), value);
        }
        if !matches!(lead, Some(("status", _))) {
            rest.add_some("status >= ?", filter.status.map(|(least, _)| u32::from(least)));
            rest.add_some("status <= ?", filter.status.map(|(_, greatest)| u32::from(greatest)));
        }
        rest.add_some("started_at + latency_us >= ?", filter.ended_from);
        let mut ids = Conditions::default();
        ids.add_some("id >= ?", filter.from.map(|from| Value::from(&first_id_at(from))));
        ids.add_some("id < ?", filter.to.map(|to| Value::from(&first_id_at(to))));
        ids.add_some("id < ?", before);
        Self { lead, ids, rest, in_stretches: db.walks_in_stretches() }
    }

    /// Takes the leading condition out of `exact`.
    fn lead(
        filter: &LogFilter,
        exact: &mut Vec<(&'static str, Value)>,
        statuses: &[u16],
    ) -> Option<(&'static str, Vec<Value>)> {
        for column in LEADS {
            if column == "status" && filter.status.is_some() {
                let values = statuses.iter().map(|status| Value::from(u32::from(*status))).collect();
                return Some(("status", values));
            }
            if let Some(place) = exact.iter().position(|(name, _)| *name == column) {
                let (_, value) = exact.remove(place);
                return Some((column, vec![value]));
            }
        }
        None
    }

    /// The rows that may be looked at: `columns` of at most `examine`, newest first; `own` are the values that these hold. Without
    /// values to walk there are none.
    pub(super) fn examined(
        &self,
        columns: &str,
        own: &[Value],
        examine: u32,
    ) -> Option<(String, Vec<Value>)> {
        let walk = |conditions: &Conditions, order: &str| {
            let clause = conditions.clause();
            format!("SELECT {columns} FROM request_logs{clause} ORDER BY {order} LIMIT ?")
        };
        let Some((column, leads)) = &self.lead else {
            let mut values = own.to_vec();
            values.extend(self.ids.values.iter().cloned());
            values.push(examine.into());
            return Some((walk(&self.ids, "id DESC"), values));
        };
        if let ([lead], true) = (leads.as_slice(), self.in_stretches) {
            let mut values = own.to_vec();
            let conditions = self.stretch(column, lead);
            let walk = walk(&conditions, &format!("{column} DESC, id DESC"));
            values.extend(conditions.values);
            values.push(examine.into());
            return Some((walk, values));
        }
        let (mut walks, mut values) = (Vec::new(), Vec::new());
        for (number, lead) in leads.iter().enumerate() {
            let mut conditions = Conditions::default();
            conditions.add(&format!("{column} = ?"), lead.clone());
            conditions.extend(&self.ids);
            conditions.only_indexed(column);
            values.extend(own.iter().cloned());
            values.extend(conditions.values.iter().cloned());
            values.push(examine.into());
            let walk = walk(&conditions, "id DESC");
            walks.push(if leads.len() == 1 {
                walk
            } else {
                format!("SELECT * FROM ({walk}) AS walk_{number}")
            });
        }
        if walks.len() > 1 {
            values.push(examine.into());
            return Some((format!("{} ORDER BY id DESC LIMIT ?", walks.join(" UNION ALL ")), values));
        }
        walks.pop().map(|walk| (walk, values))
    }

    /// One value's rows as a stretch of the index: not "is equal to", of which PostgreSQL concludes that the order by id is all that is
    /// wanted, and then it walks the primary key past everybody else's rows.
    fn stretch(&self, column: &str, lead: &Value) -> Conditions {
        let mut conditions = Conditions::default();
        conditions.add(&format!("{column} >= ?"), lead.clone());
        conditions.add(&format!("{column} <= ?"), lead.clone());
        for (part, value) in self.ids.parts.iter().zip(&self.ids.values) {
            // `id < ?` becomes `(model, id) < (?, ?)`.
            let comparison = part.trim_start_matches("id ").trim_end_matches(" ?");
            conditions.parts.push(format!("({column}, id) {comparison} (?, ?)"));
            conditions.values.extend([lead.clone(), value.clone()]);
        }
        conditions.only_indexed(column);
        conditions
    }
}
