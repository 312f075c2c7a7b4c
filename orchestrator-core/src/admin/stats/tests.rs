//! What statistics are made of, and what is refused.

use super::{super::tests::house, *};

/// 2026-11-01T00:00:00Z.
const NOVEMBER: i64 = 1_793_491_200_000_000;

#[test]
fn months_are_the_calendars_and_cut_at_the_ends() {
    let months = months(UnixMicros(NOVEMBER - 3 * DAY), UnixMicros(NOVEMBER + 31 * DAY)).unwrap();
    let told: Vec<String> = months
        .iter()
        .map(|(start, from, to)| {
            format!("{}: {} to {}", &start.to_string()[..7], &from.to_string()[..10], &to.to_string()[..10])
        })
        .collect();
    assert_eq!(
        told,
        [
            "2026-10: 2026-10-29 to 2026-11-01",
            "2026-11: 2026-11-01 to 2026-12-01",
            "2026-12: 2026-12-01 to 2026-12-02",
        ]
    );
}

#[test]
fn nothing_has_no_rate_and_no_percentile() {
    let sums = UsageSums::default();
    assert_eq!(
        (sums.success_rate(0), sums.average_latency_ms(0), sums.average_ttft_ms()),
        (None, None, None)
    );
    assert_eq!(sums.latency_ms(99.0), None);
    let mut counts = [0; crate::policy::percentile::BUCKETS];
    counts[2] = 10;
    let some = UsageSums {
        requests: 10,
        successes: 9,
        latency_us: 20_000,
        ttft_us: 500,
        ttft_count: 2,
        latencies: Some(counts),
        ..UsageSums::default()
    };
    let mut twice = some.clone();
    twice.add(&some);
    assert_eq!((twice.requests, twice.latencies.unwrap()[2]), (20, 20));
    assert_eq!(twice.success_rate(twice.requests), Some(90.0));
    assert_eq!((twice.average_latency_ms(twice.requests), twice.average_ttft_ms()), (Some(2.0), Some(0.25)));
    assert_eq!(twice.latency_ms(100.0), Some(2.0));
}

#[test]
fn parts_are_summed_and_the_most_used_come_first() {
    let row = |provider: &str, api_key_id: &str, requests| UsageRow {
        provider: provider.to_owned(),
        api_key_id: api_key_id.to_owned(),
        api_key_name: format!("name of {api_key_id}"),
        sums: UsageSums { requests, ..UsageSums::default() },
        ..UsageRow::default()
    };
    let rows = [row("a", "k1", 1), row("b", "k1", 2), row("b", "k2", 4)];
    let told = |dimension| {
        let parts = most_used(&rows, UnixMicros(7), dimension).into_iter();
        parts
            .map(|part| (part.provider, part.api_key_id, part.api_key_name, part.sums.requests))
            .collect::<Vec<_>>()
    };
    let (none, text) = (String::new, str::to_owned);
    assert_eq!(told(Dimension::Provider), [(text("b"), none(), none(), 6), (text("a"), none(), none(), 1)]);
    assert_eq!(
        told(Dimension::Key),
        [(none(), text("k2"), text("name of k2"), 4), (none(), text("k1"), text("name of k1"), 3),]
    );
}

#[tokio::test]
async fn what_is_not_understood_is_refused_by_its_field() {
    let house = house().await;
    let admin = &house.admin;
    let none = UsageReport::default;
    let at = |hours: i64| Some(UnixMicros(NOVEMBER + hours * HOUR));
    let cases = [
        (UsageReport { interval: "week".into(), ..none() }, "interval"),
        (UsageReport { group_by: "colour".into(), ..none() }, "group_by"),
        (UsageReport { group_by: "key,key".into(), ..none() }, "group_by"),
        (UsageReport { group_by: "tag:".into(), ..none() }, "group_by"),
        (UsageReport { from: at(1), to: at(1), ..none() }, "from"),
        (UsageReport { from: at(0), to: at(32 * 24), interval: "hour".into(), ..none() }, "from"),
    ];
    for (report, field) in cases {
        let refused = admin.usage(&report).await.unwrap_err();
        assert_eq!(refused.param.as_deref(), Some(field), "{report:?}");
    }
    let reports = ["hour", "day", "month", ""].map(|interval| (interval, "provider,model,key,team"));
    for (interval, group_by) in reports.into_iter().chain([("day", "tag:cost"), ("month", "")]) {
        let report =
            UsageReport { interval: interval.into(), group_by: group_by.into(), from: at(0), to: at(24) };
        assert_eq!(admin.usage(&report).await.unwrap(), [], "{interval} {group_by}");
    }
    assert_eq!(admin.stats(8_785).await.unwrap_err().param.as_deref(), Some("hours"));
    assert_eq!(admin.stats(0).await.unwrap().total, UsageSums::default());
    assert_eq!(admin.model_provider_outcomes("x", 201).await.unwrap_err().param.as_deref(), Some("count"));
    assert_eq!(admin.provider_stats(at(0), at(0), "").await.unwrap_err().param.as_deref(), Some("from"));
}
