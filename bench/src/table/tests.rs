//! A saved raw result as a table.

use std::io::Write as _;

use super::*;

/// Two rounds of two measurements: in the second everything takes twice as long, the ratios are the same.
const SAVED: &str = r#"{
    "started": "2026-11-21T03:02:08.000001Z", "machine": "2 cores", "load_before": 0.25, "quick": false,
    "settings": { "log.level": "debug" },
    "samples": [
        {"round": 1, "measure": "saturated1k", "target": "hop-gateway", "values": {"cpu_us": 20.0, "rate": 1000.0}},
        {"round": 1, "measure": "saturated1k", "target": "embedded", "values": {"cpu_us": 29.0, "rate": 500.0}},
        {"round": 1, "measure": "saturated1k", "target": "pair", "values": {"cpu_us": 30.0, "rate": 500.0}},
        {"round": 1, "measure": "saturated1k", "target": "split", "values": {"cpu_us": 60.0, "rate": 400.0},
         "errors": {"altered content": 3}},
        {"round": 1, "measure": "paced", "target": "direct", "values": {"cpu_us": 0.0, "p50_us": 150.0}},
        {"round": 1, "measure": "paced", "target": "split", "values": {"cpu_us": 200.0, "p50_us": 450.0}},
        {"round": 2, "measure": "saturated1k", "target": "hop-gateway", "values": {"cpu_us": 40.0, "rate": 500.0}},
        {"round": 2, "measure": "saturated1k", "target": "embedded", "values": {"cpu_us": 58.0, "rate": 250.0}},
        {"round": 2, "measure": "saturated1k", "target": "pair", "values": {"cpu_us": 60.0, "rate": 250.0}},
        {"round": 2, "measure": "saturated1k", "target": "split", "values": {"rate": 0.0}},
        {"round": 2, "measure": "paced", "target": "direct", "values": {"cpu_us": 0.0, "p50_us": 300.0}},
        {"round": 2, "measure": "paced", "target": "split", "values": {"cpu_us": 400.0, "p50_us": 900.0}}
    ]
}"#;

#[test]
fn a_saved_run_becomes_a_table_with_ranges_ratios_and_verdicts() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(SAVED.as_bytes()).unwrap();
    insta::assert_snapshot!(render(&Run::read(file.path()).unwrap()), @r#"
    run of 2026-11-21T03:02:08.000001Z, 2 rounds, on 2 cores; load average before: 0.2
    settings of the gateway besides its defaults: {"log.level": "debug"}

    | median (range)                   | direct | hop | hop ×2 |           hop-gw | pair 1p |          pair 2p |       gateway 1p |       gateway 2p | 1p ÷ hop-gw | 1p ÷ pair | 2p ÷ hop ×2 | 2p ÷ pair |
    |----------------------------------|-------:|----:|-------:|-----------------:|--------:|-----------------:|-----------------:|-----------------:|------------:|----------:|------------:|----------:|
    | CPU µs/request, 1 KB, saturated  |      – |   – |      – | 30.0 (20.0–40.0) |       – | 45.0 (30.0–60.0) | 43.5 (29.0–58.0) | 60.0 (60.0–60.0) |        1.45 |           |             |      2.00 |
    | requests/s, 1 KB, 32 connections |      – |   – |      – |   750 (500–1000) |       – |    375 (250–500) |    375 (250–500) |      200 (0–400) |        0.50 |           |             |      0.40 |
    | CPU µs/request at 200/s          |      – |   – |      – |                – |       – |                – |                – |    300 (200–400) |             |           |             |           |
    | added p50 at 200/s, ms           | [0.22] |   – |      – |                – |       – |                – |                – | 0.45 (0.30–0.60) |             |           |             |           |
    | added p99 at 200/s, ms           |      – |   – |      – |                – |       – |                – |                – |                – |             |           |             |           |
    | errors                           |      0 |   0 |      0 |                0 |       0 |                0 |                0 |                3 |             |           |             |           |

    Targets:

    * NOT MET: CPU/request, edge + core: 60.0 µs = 2.00 × pair 2p, wanted ≤ 1.5 ×
    * NOT MET: CPU/request, edge + core, then: 60.0 µs = 2.00 × pair 2p, wanted ≤ 1.25 ×
    * met: CPU/request, one process: 43.5 µs = 1.45 × hop-gw, wanted ≤ 1.5 ×
    * NOT MET: CPU/request, one process, then: 43.5 µs = 1.45 × hop-gw, wanted ≤ 1.25 ×
    * NOT MET: added p50 at 200/s, ms, edge + core: 0.45, wanted ≤ 0.4
    * NOT MET: every answer of gateway 2p was whole and unaltered; errors: 3
    * met: every answer of gateway 1p was whole and unaltered; errors: 0
    "#);
}
