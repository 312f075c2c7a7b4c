//! When each provider is in order, and what is wrong with it when it is not: drawn from a seed, before anything is asked.
//!
//! The providers take turns as *guardian*. Whoever is guardian is in order from the beginning of its turn until [`MARGIN`] after its
//! end, so that whenever a request comes, there is a provider that answers it now and for as long as trying all the others can take.
//! In what time that leaves, each provider is faulty: one kind after another, every kind once before any comes again. In the
//! middle one turn is so long that the two others are wholly down for ten seconds at once.

use orchestrator_base::random::Random;
use serde::{Deserialize, Serialize};

use crate::{
    gateway::TOTAL_MS,
    kind::{Kind, OF_KEYS, PASSING},
};

/// How many providers there are.
pub(crate) const PROVIDERS: usize = 3;
/// Milliseconds for which a guardian stays in order when its turn is over: two attempts that take as long as any may, and
/// some for the machine.
pub(crate) const MARGIN: u64 = 2 * TOTAL_MS + 600;
/// For how many milliseconds two providers are down at once.
pub(crate) const DOWN: u64 = 10_000;
/// A turn takes so long, between these.
const TURN: (u64, u64) = (6_000, 9_000);
/// A stretch of one kind takes so long, between these.
const STRETCH: (u64, u64) = (500, 1_100);
/// Between two stretches a provider is in order for less than this.
const BREATH: u64 = 100;

/// One provider's time, in milliseconds from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stretch {
    /// From here on.
    pub(crate) from: u64,
    /// Until here, exclusively.
    pub(crate) to: u64,
    /// What it does.
    pub(crate) kind: Kind,
}

/// A provider that is in order, in milliseconds from the start.
#[derive(Clone, Copy, Debug)]
struct Turn {
    guardian: usize,
    from: u64,
    to: u64,
}

/// Each provider's stretches, in order of time.
pub(crate) type Schedule = [Vec<Stretch>; PROVIDERS];

/// The schedule of that seed for that many milliseconds.
pub(crate) fn draw(seed: u64, length: u64) -> Schedule {
    let dice = Random::seeded(seed);
    let turns = turns(&dice, length);
    let down = turns.iter().copied().find(|turn| turn.to - turn.from >= DOWN);
    let mut kinds: Vec<Kind> = PASSING.into_iter().chain(OF_KEYS).collect();
    shuffle(&dice, &mut kinds);
    std::array::from_fn(|provider| {
        // Each begins somewhere else, so that none is left out though the time of one may be too short for all of them.
        let third = kinds.len() / PROVIDERS;
        kinds.rotate_left(third);
        let follows = down.is_some_and(|turn| (turn.guardian + 1) % PROVIDERS == provider);
        let when_down = if follows { Kind::DownReset } else { Kind::DownSilent };
        let mut bag = Bag { dice: &dice, left: kinds.clone(), when_down };
        let mut stretches = Vec::new();
        let mut at = 0;
        for turn in turns.iter().filter(|turn| turn.guardian == provider) {
            fill(&mut stretches, at, turn.from, down, &mut bag);
            at = turn.to + MARGIN;
        }
        fill(&mut stretches, at, length, down, &mut bag);
        stretches
    })
}

/// What is wrong with a provider at that moment.
pub(crate) fn at(stretches: &[Stretch], moment: u64) -> Option<Kind> {
    stretches.iter().find(|stretch| (stretch.from..stretch.to).contains(&moment)).map(|stretch| stretch.kind)
}

/// How much of the time a provider gives no answers, of 1.
pub(crate) fn faulty_share(stretches: &[Stretch], length: u64) -> f64 {
    let faulty = stretches.iter().filter(|stretch| stretch.kind.is_fault());
    faulty.map(|stretch| stretch.to - stretch.from).sum::<u64>() as f64 / length as f64
}

fn turns(dice: &Random, length: u64) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    let mut guarded = [0; PROVIDERS];
    let (mut at, mut guardian, mut long_is_due) = (0, below(dice, PROVIDERS), true);
    while at < length {
        let is_long = long_is_due && at >= length / 2 - DOWN / 2;
        long_is_due &= !is_long;
        let takes = if is_long { MARGIN + DOWN } else { between(dice, TURN) };
        turns.push(Turn { guardian, from: at, to: at + takes });
        guarded[guardian] += takes + MARGIN;
        at += takes;
        // Whoever has been in order for the shortest time is next, so that none gets away with few faults.
        let others = (0..PROVIDERS).filter(|other| *other != guardian);
        guardian = others.min_by_key(|other| guarded[*other]).unwrap_or_default();
    }
    turns
}

/// Fills a provider's free time. While it is down, it is nothing else.
fn fill(stretches: &mut Vec<Stretch>, mut at: u64, end: u64, down: Option<Turn>, bag: &mut Bag<'_>) {
    // The turn before has its margin first.
    let down = down.map(|turn| (turn.from + MARGIN, turn.to)).filter(|(from, to)| at <= *from && *to <= end);
    if let Some((from, to)) = down {
        fill(stretches, at, from, None, bag);
        stretches.push(Stretch { from, to, kind: bag.when_down });
        at = to;
    }
    while end.saturating_sub(at) >= STRETCH.0 {
        let kind = bag.next();
        let takes = if kind.is_fault() { between(bag.dice, STRETCH).min(end - at) } else { STRETCH.0 };
        stretches.push(Stretch { from: at, to: at + takes, kind });
        at += takes + between(bag.dice, (0, BREATH));
    }
}

/// Kinds in a random order: each once, and then each that passes once again.
struct Bag<'a> {
    dice: &'a Random,
    left: Vec<Kind>,
    /// What it does in the ten seconds in which it is down.
    when_down: Kind,
}

impl Bag<'_> {
    fn next(&mut self) -> Kind {
        if self.left.is_empty() {
            self.left.extend(PASSING);
            shuffle(self.dice, &mut self.left);
        }
        self.left.pop().unwrap_or(Kind::Status500)
    }
}

fn shuffle<T>(dice: &Random, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(dice, last + 1));
    }
}

fn below(dice: &Random, limit: usize) -> usize {
    (dice.bits() % limit as u64) as usize
}

fn between(dice: &Random, (least, most): (u64, u64)) -> u64 {
    least + dice.bits() % (most - least)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::kind;

    const MINUTE: u64 = 60_000;

    #[test]
    fn whenever_a_request_comes_there_is_somebody_who_answers_it_for_as_long_as_trying_the_others_takes() {
        for seed in 0..200 {
            let schedule = draw(seed, MINUTE);
            for moment in (0..MINUTE).step_by(50) {
                let stays = |stretches: &Vec<Stretch>| {
                    !stretches.iter().any(|stretch| stretch.from < moment + MARGIN && stretch.to > moment)
                };
                assert!(schedule.iter().any(stays), "seed {seed}, {moment} ms");
            }
        }
    }

    #[test]
    fn each_is_faulty_for_three_tenths_of_the_time_and_draws_every_kind_and_two_are_down_at_once() {
        for seed in 0..200 {
            let schedule = draw(seed, MINUTE);
            for stretches in &schedule {
                assert!(faulty_share(stretches, MINUTE) >= 0.3, "seed {seed}");
                assert!(stretches.is_sorted_by(|a, b| a.to <= b.from), "seed {seed}");
            }
            let drawn: BTreeSet<Kind> = schedule.iter().flatten().map(|stretch| stretch.kind).collect();
            for kind in kind::all() {
                assert!(drawn.contains(&kind), "seed {seed}: nobody draws {kind:?}");
            }
            let is_down = |stretch: &&Stretch| stretch.to - stretch.from == DOWN;
            let down: Vec<&Stretch> = schedule.iter().flatten().filter(is_down).collect();
            assert_eq!(down.len(), 2, "seed {seed}");
            assert_eq!(down[0].from, down[1].from, "seed {seed}");
        }
    }
}
