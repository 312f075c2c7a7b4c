//! How databases plan the queries, as `docs/PLANS.md` keeps it, and what no plan may do.

use std::fmt::Write as _;

use super::Measured;

const HEAD: &str = "# How lists and statistics are read

Written by `make bench-logs` over a million requests, after ANALYZE. What to look for: no plan reads a whole log, that is no `SCAN` of \
`request_logs` or `request_attempts` without an index (SQLite), no `type: ALL` (MariaDB), no `Seq Scan` (PostgreSQL); \
`make bench-logs` fails where one does. A `SCAN … USING INDEX`, `type: index` or `Index Scan Backward` without a condition is the walk \
from the newest id backwards, which a LIMIT ends. `USE TEMP B-TREE`, `Using temporary` and `Sort` are over rows that were found.
";

/// The tables that grow with every request.
const LOGS: [&str; 2] = ["request_logs", "request_attempts"];

/// The line of a plan that reads a log from one end to the other, if there is one.
pub(super) fn whole_log(plan: &[String]) -> Option<&String> {
    plan.iter().find(|line| {
        LOGS.iter().any(|log| {
            let sqlite = line.contains(&format!("SCAN {log}")) && !line.contains(" USING ");
            let mariadb = line.contains(&format!("table: {log}, type: ALL"));
            let postgres = line.contains(&format!("Seq Scan on {log}"));
            sqlite || mariadb || postgres
        })
    })
}

/// The document.
pub(super) fn render(databases: &[Measured]) -> Result<String, std::fmt::Error> {
    let mut text = HEAD.to_owned();
    let Some(first) = databases.first() else { return Ok(text) };
    for (number, query) in first.queries.iter().enumerate() {
        write!(text, "\n## {}\n\n```text\n", query.name)?;
        for database in databases {
            writeln!(text, "{}", database.name)?;
            let plan = database.queries.get(number).map(|query| query.plan.as_slice()).unwrap_or_default();
            for line in plan.iter().flat_map(|line| line.lines()) {
                writeln!(text, "    {line}")?;
            }
        }
        text.push_str("```\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_reads_a_whole_log_is_found() {
        let found = |line: &str| whole_log(&["Limit".to_owned(), line.to_owned()]).is_some();
        for line in [
            "SCAN request_logs",
            "table: request_logs, type: ALL, Extra: Using where",
            "  ->  Parallel Seq Scan on request_logs",
            "Seq Scan on request_attempts a",
        ] {
            assert!(found(line), "{line}");
        }
        for line in [
            "SCAN request_logs USING INDEX sqlite_autoindex_request_logs_1",
            "SEARCH request_logs USING INDEX request_logs_model (model=?)",
            "table: request_logs, type: index, key: PRIMARY",
            "table: <derived2>, type: ALL",
            "Index Scan Backward using request_logs_pkey on request_logs",
            "Seq Scan on usage_daily",
        ] {
            assert!(!found(line), "{line}");
        }
    }
}
