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
    insta::assert_snapshot!(render(&Run::read(file.path()).unwrap()), @"");
}
