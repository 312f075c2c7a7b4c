//! What a run prints.

use std::{collections::BTreeSet, fmt::Write as _};

use crate::{
    Load,
    accounts::{Books, Findings},
    schedule::{self, Schedule},
};

/// The table of a run.
pub(crate) fn render(load: Load, schedule: &Schedule, books: &Books, findings: &Findings) -> String {
    let mut out = String::new();
    let requests = books.ended.len();
    let streams = books.ended.iter().filter(|ended| ended.call.is_stream()).count();
    let last = books.ended.iter().map(|ended| ended.at_ms).max().unwrap_or_default();
    let rate = requests as f64 * 1_000.0 / last.max(1) as f64;
    let share = findings.failed as f64 * 100.0 / requests.max(1) as f64;
    let _ = writeln!(
        out,
        "seed {}, {} s, {requests} requests ({rate:.0}/s), {streams} streams",
        load.seed, load.seconds
    );
    let _ = writeln!(
        out,
        "complete {}, failed {} ({share:.3} %), cut after content {} (each says so)",
        findings.complete, findings.failed, findings.cut
    );
    let mut times: Vec<u128> = books.ended.iter().map(|ended| ended.took.as_millis()).collect();
    times.sort_unstable();
    let quantile =
        |part: f64| times.get((times.len() as f64 * part) as usize).or(times.last()).copied().unwrap_or(0);
    let _ = writeln!(
        out,
        "time: median {} ms, 99 % {} ms, longest {} ms",
        quantile(0.5),
        quantile(0.99),
        quantile(1.0)
    );
    let attempts: Vec<String> =
        findings.attempts.iter().map(|(attempts, calls)| format!("{attempts}: {calls}")).collect();
    let _ = writeln!(out, "attempts: {}", attempts.join(", "));
    let (ledger, counted) = (findings.ledger_tokens, findings.provider_tokens);
    let _ = writeln!(
        out,
        "ledger: {} rows, tokens of complete answers {} + {}; the providers count {} + {}, and {} answers that came too late",
        findings.rows, ledger.0, ledger.1, counted.0, counted.1, findings.unheard
    );
    let _ = writeln!(
        out,
        "\n| provider | asked | asked again | faulty by schedule | asked while faulty | kinds drawn | kinds met |"
    );
    let _ = writeln!(out, "|---|---:|---:|---:|---:|---:|---:|");
    for (number, (stretches, of)) in schedule.iter().zip(&findings.providers).enumerate() {
        let drawn: BTreeSet<_> = stretches.iter().map(|stretch| stretch.kind).collect();
        let faulty = schedule::faulty_share(stretches, load.millis()) * 100.0;
        let spoiled: u64 = of.asked - of.kinds.get("in_order").copied().unwrap_or_default();
        let met = of.kinds.keys().filter(|kind| *kind != "in_order").count();
        let _ = writeln!(
            out,
            "| p{number} | {} | {} | {faulty:.0} % | {spoiled} | {} | {met} |",
            of.asked,
            of.repeats,
            drawn.len()
        );
    }
    let kinds: BTreeSet<&String> = findings.providers.iter().flat_map(|of| of.kinds.keys()).collect();
    let _ = writeln!(out, "\n| answered | p0 | p1 | p2 |\n|---|---:|---:|---:|");
    for kind in kinds {
        let counts = findings
            .providers
            .each_ref()
            .map(|of| of.kinds.get(kind).copied().unwrap_or_default().to_string());
        let _ = writeln!(out, "| {kind} | {} |", counts.join(" | "));
    }
    if !findings.unmet.is_empty() {
        let _ = writeln!(out, "\ndrawn, and met by no request: {:?}", findings.unmet);
    }
    out
}
