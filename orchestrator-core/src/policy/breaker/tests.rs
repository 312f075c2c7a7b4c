//! The breaker as sentences, and one property: never two probes at once.

use proptest::prelude::*;

use super::*;

const RULES: BreakerRules = BreakerRules { threshold: 5, open: Duration::from_mins(1) };
/// In the middle: no jitter.
const MIDDLE: f64 = 0.5;

struct Scene {
    start: Instant,
    breaker: Breaker,
}

impl Scene {
    fn new() -> Self {
        let start = Instant::now();
        Self { start, breaker: Breaker::new(start) }
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn faults(&mut self, millis: u64, count: u32) {
        let now = self.at(millis);
        for _ in 0..count {
            self.breaker.fault(now, now, MIDDLE, &RULES);
        }
    }

    fn good(&mut self, millis: u64, probe: Option<Probe>) {
        let now = self.at(millis);
        self.breaker.good(now, now, probe);
    }

    /// Takes the probe.
    fn probe(&mut self, millis: u64) -> Probe {
        match self.breaker.enter(self.at(millis)) {
            Passage::Probing(probe) => probe,
            other => panic!("{other:?} at {millis}"),
        }
    }
}

#[test]
fn five_faults_in_a_row_open_it_for_a_minute() {
    let mut scene = Scene::new();
    scene.faults(0, 4);
    scene.good(1, None);
    scene.faults(2, 4);
    assert_eq!(scene.breaker.enter(scene.at(3)), Passage::Free);
    scene.faults(3, 1);
    assert_eq!(scene.breaker.enter(scene.at(3)), Passage::Barred(scene.at(60_003)));
    assert_eq!(scene.breaker.phase(scene.at(60_002)), Phase::Open(scene.at(60_003)));
    assert_eq!(scene.breaker.phase(scene.at(60_003)), Phase::HalfOpen);
}

#[test]
fn half_of_twenty_within_half_a_minute_open_it_and_of_nineteen_do_not() {
    let mut scene = Scene::new();
    for round in 0..9 {
        scene.good(round, None);
        scene.faults(round, 1);
    }
    scene.faults(9, 1);
    assert_eq!(scene.breaker.phase(scene.at(9)), Phase::Closed, "nineteen");
    scene.good(10, None);
    scene.faults(11, 1);
    assert!(matches!(scene.breaker.phase(scene.at(11)), Phase::Open(_)));

    let mut slow = Scene::new();
    for round in 0..30 {
        slow.good(round * 4_000, None);
        slow.faults(round * 4_000, 1);
    }
    assert_eq!(slow.breaker.phase(slow.at(120_000)), Phase::Closed, "fewer than twenty in any half minute");
}

#[test]
fn one_request_probes_and_two_good_answers_close_it() {
    let mut scene = Scene::new();
    scene.faults(0, 5);
    let first = scene.probe(60_000);
    assert_eq!(scene.breaker.enter(scene.at(60_001)), Passage::Barred(scene.at(90_000)));
    scene.good(60_100, Some(first));
    assert_eq!(scene.breaker.phase(scene.at(60_100)), Phase::HalfOpen);
    let second = scene.probe(60_101);
    scene.good(60_200, Some(second));
    assert_eq!(scene.breaker.phase(scene.at(60_200)), Phase::Closed);
    assert_eq!(scene.breaker.faults(), 0);
}

#[test]
fn each_opening_in_a_row_is_twice_as_long_up_to_five_minutes_and_varies_by_a_fifth() {
    let mut scene = Scene::new();
    scene.faults(0, 5);
    let mut now = 0;
    let mut lengths = Vec::new();
    for _ in 0..5 {
        let Phase::Open(until) = scene.breaker.phase(scene.at(now)) else { panic!("not open at {now}") };
        let length = until.duration_since(scene.at(now)).as_millis() as u64;
        lengths.push(length / 1000);
        now += length;
        scene.probe(now);
        scene.faults(now, 1);
    }
    assert_eq!(lengths, [60, 120, 240, 300, 300]);

    for (unit, seconds) in [(0.0, 48), (1.0, 72)] {
        let mut breaker = Breaker::new(scene.start);
        for _ in 0..5 {
            breaker.fault(scene.start, scene.start, unit, &RULES);
        }
        assert_eq!(breaker.phase(scene.start), Phase::Open(scene.start + Duration::from_secs(seconds)));
    }
}

#[test]
fn a_probe_that_found_nothing_out_is_given_to_the_next_one_at_once_or_after_half_a_minute() {
    let mut scene = Scene::new();
    scene.faults(0, 5);
    let left = scene.probe(60_000);
    scene.breaker.release(left);
    let lost = scene.probe(60_001);
    assert_eq!(scene.breaker.enter(scene.at(90_000)), Passage::Barred(scene.at(90_001)));
    let next = scene.probe(90_001);
    scene.breaker.release(lost);
    assert_eq!(
        scene.breaker.enter(scene.at(90_002)),
        Passage::Barred(scene.at(120_001)),
        "a void probe frees no other"
    );
    scene.breaker.release(next);
}

#[test]
fn what_began_before_it_opened_neither_closes_nor_reopens_it() {
    let mut scene = Scene::new();
    let before = scene.at(0);
    scene.faults(10, 5);
    let probe = scene.probe(60_010);
    scene.breaker.good(scene.at(60_020), before, None);
    scene.breaker.good(scene.at(60_021), before, None);
    scene.breaker.fault(scene.at(60_022), before, MIDDLE, &RULES);
    assert_eq!(scene.breaker.phase(scene.at(60_023)), Phase::HalfOpen);
    assert_eq!(
        scene.breaker.enter(scene.at(60_023)),
        Passage::Barred(scene.at(90_010)),
        "{probe:?} is still out"
    );
}

#[test]
fn a_good_answer_of_an_open_provider_that_was_asked_for_want_of_others_counts() {
    let mut scene = Scene::new();
    scene.faults(0, 5);
    scene.good(100, None);
    assert_eq!(scene.breaker.phase(scene.at(100)), Phase::HalfOpen);
    scene.good(200, None);
    assert_eq!(scene.breaker.phase(scene.at(200)), Phase::Closed);
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Enter,
    Good(usize),
    Fault(usize),
    Release(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0_u64..40_000).prop_map(Step::Wait),
        Just(Step::Enter),
        (0_usize..4).prop_map(Step::Good),
        (0_usize..4).prop_map(Step::Fault),
        (0_usize..4).prop_map(Step::Release),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn whatever_happens_at_most_one_live_probe_is_out_and_it_always_comes_back_to_life(steps in steps()) {
        let start = Instant::now();
        let mut now = start;
        let mut breaker = Breaker::new(start);
        // Requests that are under way: when they began, and their probe with its last moment.
        let mut out: Vec<(Instant, Option<(Probe, Instant)>)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(millis) => now += Duration::from_millis(millis),
                Step::Enter => match breaker.enter(now) {
                    Passage::Free => out.push((now, None)),
                    Passage::Probing(probe) => {
                        let live = out.iter().filter(|(_, held)| held.is_some_and(|(_, end)| now < end));
                        prop_assert_eq!(live.count(), 0);
                        out.push((now, Some((probe, now + PROBE_LIFE))));
                    }
                    Passage::Barred(until) => prop_assert!(until > now && until <= now + LONGEST.mul_f64(1.0 + JITTER)),
                },
                Step::Good(at) | Step::Fault(at) | Step::Release(at) if at >= out.len() => {}
                Step::Good(at) => {
                    let (began, probe) = out.remove(at);
                    breaker.good(now, began, probe.map(|(probe, _)| probe));
                }
                Step::Fault(at) => {
                    let (began, _) = out.remove(at);
                    breaker.fault(now, began, MIDDLE, &RULES);
                    // Opened: the probes that were out are void.
                    if matches!(breaker.phase(now), Phase::Open(_)) {
                        for (_, held) in &mut out {
                            *held = None;
                        }
                    }
                }
                Step::Release(at) => {
                    if let (_, Some((probe, _))) = out.remove(at) {
                        breaker.release(probe);
                    }
                }
            }
            if breaker.phase(now) == Phase::Closed {
                for (_, held) in &mut out {
                    *held = None;
                }
            }
        }
        prop_assert!(!matches!(breaker.enter(now + LONGEST * 2), Passage::Barred(_)), "nothing is barred for ever");
    }
}
