//! That what is counted is shown, and never in more series than are allowed.

use orchestrator_base::metrics::Registry;

use super::*;

const CHAT: Door = Door { dialect_place: 0, dialect: "openai_chat", operation_place: 0, operation: "chat" };

fn shown(metrics: &Arc<Metrics>, family: &str) -> Vec<String> {
    let registry = Registry::default();
    registry.add(Arc::clone(metrics) as _);
    let text = registry.render();
    text.lines().filter(|line| line.starts_with(family)).map(str::to_owned).collect()
}

#[test]
fn a_pair_shows_what_it_has_counted_and_nothing_else() {
    let metrics = Arc::new(Metrics::default());
    let pair = metrics.pair(Name::of("gpt"), Name::of("acme"));
    pair.request(CHAT, Ending::OK, false, 1_000_000);
    pair.request(CHAT, Ending::failed(ErrorKind::Timeout), false, 1_000_000);
    pair.used([3, 5, 0, 0, 0], Some(1_500_000_000));
    assert_eq!(
        shown(&metrics, "orchestrator_requests_total"),
        [
            r#"orchestrator_requests_total{dialect="openai_chat",operation="chat",model="gpt",provider="acme",outcome="ok"} 1"#,
            r#"orchestrator_requests_total{dialect="openai_chat",operation="chat",model="gpt",provider="acme",outcome="timeout"} 1"#,
        ]
    );
    assert_eq!(
        shown(&metrics, "orchestrator_tokens_total"),
        [
            r#"orchestrator_tokens_total{model="gpt",provider="acme",kind="prompt"} 3"#,
            r#"orchestrator_tokens_total{model="gpt",provider="acme",kind="completion"} 5"#,
        ]
    );
    assert_eq!(
        shown(&metrics, "orchestrator_cost_usd_total"),
        [r#"orchestrator_cost_usd_total{model="gpt",provider="acme"} 1.5"#]
    );
    assert_eq!(shown(&metrics, "orchestrator_attempts_total"), [""; 0]);
}

#[test]
fn pairs_beyond_the_bound_are_counted_together() {
    let metrics = Arc::new(Metrics::new(2));
    for number in 0..50 {
        let pair = metrics.pair(Name::of(&format!("model-{number}")), Name::of("acme"));
        pair.attempt(Ending::OK, 10);
    }
    assert_eq!(
        shown(&metrics, "orchestrator_attempts_total"),
        [
            r#"orchestrator_attempts_total{model="model-0",provider="acme",outcome="ok"} 1"#,
            r#"orchestrator_attempts_total{model="model-1",provider="acme",outcome="ok"} 1"#,
            r#"orchestrator_attempts_total{model="other",provider="other",outcome="ok"} 48"#,
        ]
    );
}

#[test]
fn a_stream_gives_one_sample_of_its_gaps() {
    let mut gaps = Gaps::default();
    assert_eq!(gaps.summary(), None);
    for millis in [10, 40, 10] {
        gaps.piece(Duration::from_millis(millis));
    }
    assert_eq!(gaps.summary(), Some((40_000_000, 20_000_000)));
    let metrics = Arc::new(Metrics::default());
    metrics.pair(Name::OTHER, Name::NONE).stream(700, gaps);
    for (family, sum) in [("longest", "0.04"), ("mean", "0.02")] {
        let sums = shown(&metrics, &format!("orchestrator_stream_{family}_gap_seconds_sum"));
        assert_eq!(sums.len(), 1);
        assert!(sums[0].ends_with(&format!(r#"{{model="other",provider="none"}} {sum}"#)), "{sums:?}");
    }
}

#[test]
fn every_ending_has_a_word_of_its_own() {
    let words: Vec<&str> = (0..Ending::COUNT).map(Ending::word).collect();
    assert_eq!(words[..2], ["ok", "truncated"]);
    for kind in ErrorKind::ALL {
        assert_eq!(words[usize::from(Ending::failed(kind).0)], kind.name());
    }
}
