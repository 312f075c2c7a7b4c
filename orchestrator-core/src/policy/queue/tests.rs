//! The queue by itself, and against a model of it.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { running: 1, waiting: 2, wait: Duration::from_secs(30) };

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A queue whose only place is taken.
fn busy(limits: Limits, now: Instant) -> Queue<&'static str> {
    let mut queue = Queue::new(limits);
    assert_eq!(queue.enter(now, None, || "first"), Entered::Running);
    queue
}

fn waits(entered: Entered) -> Turn {
    let Entered::Waiting(turn) = entered else { panic!("not in the queue: {entered:?}") };
    turn
}

#[test]
fn who_must_be_let_in_first_is_and_without_a_deadline_by_arrival() {
    let now = Instant::now();
    let mut queue = busy(Limits { waiting: 9, ..LIMITS }, now);
    waits(queue.enter(now, None, || "patient"));
    waits(queue.enter(now + seconds(1), None, || "later"));
    waits(queue.enter(now + seconds(1), Some(now + seconds(20)), || "hasty"));
    waits(queue.enter(now + seconds(2), Some(now + seconds(99)), || "no more patient than others"));
    let mut order = Vec::new();
    while let Some(next) = queue.next(now + seconds(3)) {
        order.push(next);
    }
    assert_eq!(order, ["hasty", "patient", "later", "no more patient than others"]);
    assert_eq!(queue.numbers(), Numbers { running: 0, waiting: 0, shed: 0 });
}

#[test]
fn a_full_queue_and_a_deadline_that_has_passed_turn_the_newcomer_away() {
    let now = Instant::now();
    let mut queue = busy(LIMITS, now);
    assert!(matches!(queue.enter(now, Some(now), || "too late"), Entered::Shed(_)));
    waits(queue.enter(now, None, || "a"));
    waits(queue.enter(now, None, || "b"));
    let hasty = queue.enter(now, Some(now + seconds(1)), || "hasty");
    assert_eq!(hasty, Entered::Shed(Shed { retry_after: seconds(1) }));
    assert_eq!(queue.numbers(), Numbers { running: 1, waiting: 2, shed: 2 });
}

#[test]
fn what_cannot_be_let_in_before_its_deadline_is_turned_away_at_once() {
    let now = Instant::now();
    let mut queue = busy(Limits { running: 2, waiting: 9, wait: seconds(30) }, now);
    assert_eq!(queue.enter(now, None, || "second"), Entered::Running);
    // Two places, held for 8 seconds: one becomes free every 4.
    queue.was_held(seconds(8));
    assert!(matches!(queue.enter(now, Some(now + seconds(3)), || "x"), Entered::Shed(_)));
    waits(queue.enter(now, Some(now + seconds(5)), || "a"));
    assert!(matches!(queue.enter(now, Some(now + seconds(7)), || "behind a"), Entered::Shed(_)));
    waits(queue.enter(now, Some(now + seconds(9)), || "b"));
    let shed = queue.enter(now, Some(now + seconds(10)), || "behind both");
    assert_eq!(shed, Entered::Shed(Shed { retry_after: seconds(12) }), "when a newcomer would be served");
    waits(queue.enter(now, Some(now + Duration::from_millis(4500)), || "ahead of both"));
}

#[test]
fn the_mean_of_what_was_held_follows_what_is_held_now() {
    let mut queue: Queue<()> = Queue::new(LIMITS);
    queue.was_held(seconds(20));
    for _ in 0..100 {
        queue.was_held(seconds(2));
    }
    assert!((queue.held.unwrap() - 2.0).abs() < 0.1, "{:?}", queue.held);
}

#[test]
fn whoever_has_waited_too_long_is_passed_over() {
    let now = Instant::now();
    let mut queue = busy(LIMITS, now);
    let hasty = waits(queue.enter(now, Some(now + seconds(1)), || "hasty"));
    let patient = waits(queue.enter(now, None, || "patient"));
    assert_eq!(queue.next(now + seconds(2)), Some("patient"));
    assert!(!queue.leave(hasty) && queue.expire(patient).is_none());
    assert_eq!(queue.numbers(), Numbers { running: 1, waiting: 0, shed: 1 });
}

/// What may happen to a queue.
#[derive(Clone, Debug)]
enum Step {
    Enter { deadline_ms: Option<u64> },
    GiveBack,
    Leave(prop::sample::Index),
    Expire,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::option::of(0_u64..3000).prop_map(|deadline_ms| Step::Enter { deadline_ms }),
        3 => Just(Step::GiveBack),
        1 => any::<prop::sample::Index>().prop_map(Step::Leave),
        1 => Just(Step::Expire),
        2 => (0_u64..800).prop_map(Step::Pass),
    ]
}

/// Where everybody is, as the queue's callers know it.
#[derive(Default)]
struct Model {
    running: usize,
    waiting: Vec<(Turn, u64)>,
    entered: u64,
    gone: u64,
}

impl Model {
    fn act(&mut self, queue: &mut Queue<u64>, step: &Step, now: Instant) {
        match step {
            Step::Enter { deadline_ms } => {
                let deadline = deadline_ms.map(|ms| now + Duration::from_millis(ms));
                let id = self.entered;
                self.entered += 1;
                match queue.enter(now, deadline, || id) {
                    Entered::Running => self.running += 1,
                    Entered::Waiting(turn) => self.waiting.push((turn, id)),
                    Entered::Shed(_) => self.gone += 1,
                }
            }
            Step::GiveBack if self.running == 0 => {}
            Step::GiveBack => {
                queue.was_held(Duration::from_millis(200));
                self.running -= 1;
                self.gone += 1;
                self.let_in(queue.next(now), now);
            }
            Step::Leave(index) if !self.waiting.is_empty() => {
                let (turn, _) = self.waiting.remove(index.index(self.waiting.len()));
                assert!(queue.leave(turn), "a waiter that nobody called was not in the queue");
                self.gone += 1;
            }
            Step::Expire => {
                let (due, still): (Vec<_>, Vec<_>) =
                    self.waiting.iter().partition(|(turn, _)| turn.due() <= now);
                self.waiting = still;
                for (turn, _) in due {
                    assert!(queue.expire(turn).is_some());
                    self.gone += 1;
                }
            }
            Step::Leave(_) | Step::Pass(_) => {}
        }
    }

    /// Whoever is called must be the one with the earliest deadline that has not passed.
    fn let_in(&mut self, called: Option<u64>, now: Instant) {
        let before = self.waiting.len();
        self.waiting.sort_unstable();
        let first = self.waiting.iter().position(|(turn, _)| turn.due() > now);
        assert_eq!(called, first.map(|first| self.waiting[first].1));
        let passed = first.map_or(before, |first| first + 1);
        self.waiting.drain(..passed);
        self.running += usize::from(first.is_some());
        self.gone += (passed - usize::from(first.is_some())) as u64;
    }
}

proptest! {
    #[test]
    fn nobody_is_lost_and_no_more_run_than_may(
        running in 1_usize..4,
        waiting in 0_usize..6,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let wait = Duration::from_secs(1);
        let mut queue = Queue::new(Limits { running, waiting, wait });
        let mut model = Model::default();
        let mut now = Instant::now();
        for step in &steps {
            if let Step::Pass(ms) = step {
                now += Duration::from_millis(*ms);
            }
            model.act(&mut queue, step, now);
            let numbers = queue.numbers();
            prop_assert_eq!((numbers.running, numbers.waiting), (model.running, model.waiting.len()));
            prop_assert!(numbers.running <= running && numbers.waiting <= waiting);
            prop_assert!(numbers.waiting == 0 || numbers.running == running, "somebody waits before a free place");
            prop_assert_eq!(model.entered, model.gone + (model.running + model.waiting.len()) as u64);
        }
    }
}
