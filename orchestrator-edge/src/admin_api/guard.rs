//! How often a wrong admin key may be tried: what slows whoever guesses.
//!
//! Pure: what it decides depends on what it was told alone. An attempt counts as a failure until it is told to be none, so that a
//! thousand at once are no way around it. A client is its address, or its network of 64 bits (IPv6), which is what one person has.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use orchestrator_base::clock::UnixMicros;

/// Attempts that cost a client no time.
const FREE: u32 = 5;
/// How long the first that does is away; it doubles.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest rest. After so long without an attempt a client is as new.
const LONGEST_REST: Duration = Duration::from_mins(15);
/// Failures of all clients within a minute, but for those who have signed in before.
const OF_ALL: u32 = 120;
const MINUTE: Duration = Duration::from_mins(1);
/// Clients that are remembered.
const MOST: usize = 10_000;

/// Who has tried, and how often.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    clients: HashMap<IpAddr, Client>,
    minute: UnixMicros,
    failures: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Client {
    failures: u32,
    last: UnixMicros,
    has_signed_in: bool,
}

impl Client {
    /// From when on he may try again.
    fn may_at(&self) -> UnixMicros {
        if self.failures < FREE {
            return UnixMicros(i64::MIN);
        }
        let doubled = FIRST_REST.saturating_mul(1 << (self.failures - FREE).min(20));
        self.last.plus(doubled.min(LONGEST_REST))
    }

    fn is_forgotten(&self, now: UnixMicros) -> bool {
        self.last.plus(LONGEST_REST) < now
    }
}

impl Guard {
    /// Somebody is about to present a key. An error says how long he must wait; it is no attempt.
    pub(crate) fn attempt(&mut self, from: IpAddr, now: UnixMicros) -> Result<(), Duration> {
        if self.minute.plus(MINUTE) <= now || self.minute > now {
            (self.minute, self.failures) = (now, 0);
        }
        let client = self.client(from, now);
        let may_at = client.may_at();
        if may_at > now {
            return Err(until(may_at, now));
        }
        let is_known = client.has_signed_in;
        if self.failures >= OF_ALL && !is_known {
            return Err(until(self.minute.plus(MINUTE), now));
        }
        self.failures += 1;
        let client = self.client(from, now);
        client.failures = client.failures.saturating_add(1);
        client.last = now;
        Ok(())
    }

    /// The attempt was none: the key was good, or nobody could say.
    pub(crate) fn forgive(&mut self, from: IpAddr, signed_in: bool, now: UnixMicros) {
        self.failures = self.failures.saturating_sub(1);
        let client = self.client(from, now);
        client.failures = if signed_in { 0 } else { client.failures.saturating_sub(1) };
        client.has_signed_in |= signed_in;
    }

    /// The client's state. Where too many are remembered, whoever has rested is forgotten, and if that is not enough, all.
    fn client(&mut self, from: IpAddr, now: UnixMicros) -> &mut Client {
        let from = network(from);
        if self.clients.len() >= MOST && !self.clients.contains_key(&from) {
            self.clients.retain(|_, client| client.has_signed_in || !client.is_forgotten(now));
            if self.clients.len() >= MOST {
                self.clients.clear();
            }
        }
        let client = self.clients.entry(from).or_default();
        if client.is_forgotten(now) {
            client.failures = 0;
        }
        client
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address @ IpAddr::V4(_) => address,
    }
}

/// In whole seconds, at least one.
fn until(then: UnixMicros, now: UnixMicros) -> Duration {
    let micros = u64::try_from(then.0.saturating_sub(now.0)).unwrap_or(0);
    Duration::from_secs(micros.div_ceil(1_000_000).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn at(second: i64) -> UnixMicros {
        UnixMicros(1_700_000_000 * SECOND + second * SECOND)
    }

    fn seconds(outcome: Result<(), Duration>) -> u64 {
        outcome.map_or_else(|wait| wait.as_secs(), |()| 0)
    }

    #[test]
    fn whoever_guesses_waits_twice_as_long_each_time() {
        let mut guard = Guard::default();
        let from: IpAddr = "192.0.2.1".parse().unwrap();
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..18 {
            let wait = seconds(guard.attempt(from, at(now)));
            waits.push(wait);
            now += i64::try_from(wait).unwrap();
            if wait > 0 {
                assert_eq!(seconds(guard.attempt(from, at(now))), 0, "after the wait");
            }
        }
        assert_eq!(waits[..9], [0, 0, 0, 0, 0, 1, 2, 4, 8]);
        assert_eq!(waits[17], 900, "{waits:?}");
        assert_eq!(seconds(guard.attempt("192.0.2.2".parse().unwrap(), at(now))), 0, "others do not");
        assert_eq!(seconds(guard.attempt(from, at(now + 901))), 0, "as new");
        assert_eq!(seconds(guard.attempt(from, at(now + 901))), 0);
    }

    #[test]
    fn a_good_key_ends_the_wait_and_an_attempt_that_nobody_could_judge_is_none() {
        let mut guard = Guard::default();
        let from: IpAddr = "2001:db8::1".parse().unwrap();
        for _ in 0..20 {
            guard.attempt(from, at(0)).unwrap();
            guard.forgive(from, false, at(0));
        }
        for _ in 0..FREE {
            guard.attempt(from, at(0)).unwrap();
        }
        let neighbour: IpAddr = "2001:db8::2".parse().unwrap();
        assert_eq!(seconds(guard.attempt(neighbour, at(0))), 1, "of the same network");
        guard.attempt(from, at(1)).unwrap();
        guard.forgive(from, true, at(1));
        assert_eq!(seconds(guard.attempt(from, at(1))), 0);
    }

    #[test]
    fn many_clients_together_wait_too_but_not_who_was_here_before() {
        let mut guard = Guard::default();
        let known: IpAddr = "192.0.2.1".parse().unwrap();
        guard.attempt(known, at(0)).unwrap();
        guard.forgive(known, true, at(0));
        let other = |number: u32| IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        for number in 0..OF_ALL {
            guard.attempt(other(number), at(1)).unwrap();
        }
        assert_eq!(seconds(guard.attempt(other(999), at(1))), 59);
        guard.attempt(known, at(1)).unwrap();
        guard.attempt(other(999), at(60)).unwrap();
    }

    #[test]
    fn it_remembers_so_many_and_no_more() {
        let mut guard = Guard::default();
        for number in 0..50_000_u32 {
            let _ = guard.attempt(IpAddr::from(number.to_be_bytes()), at(i64::from(number)));
            assert!(guard.clients.len() <= MOST);
        }
    }
}
