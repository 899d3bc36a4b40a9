//! When guessing at a password stops. Failures count per account and network, so that a stranger's
//! guesses do not lock the owner out, and an unknown account behaves as a known one.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};

/// Failures after which an account is locked.
pub const MOST: i32 = 5;
/// How long it stays locked, and how long a failure counts.
pub const PAUSE: TimeDelta = TimeDelta::minutes(15);

/// What an attempt is allowed to do; it counts as a failure until it succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The failures to store, this attempt among them.
    pub failures: i32,
    /// The password is not even looked at.
    pub locked: bool,
}

impl Attempt {
    /// Whether the account is locked once this attempt failed.
    pub fn locks(self) -> bool {
        self.failures >= MOST
    }
}

/// Counts an attempt at `now` after `failures`, the last of them at `last`. An attempt while locked
/// starts the pause again.
pub fn attempt(failures: i32, last: DateTime<Utc>, now: DateTime<Utc>) -> Attempt {
    let before = if last + PAUSE <= now { 0 } else { failures };
    Attempt { failures: before.saturating_add(1), locked: before >= MOST }
}

/// The network of an address: /24 of IPv4, /64 of IPv6; those behind it share a count.
pub fn network(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Acceptance case 56.
    #[test]
    fn the_fifth_failure_locks_for_fifteen_minutes() {
        let start = DateTime::from_timestamp(1_789_990_000, 0).unwrap();
        let at = |minutes| start + TimeDelta::minutes(minutes);
        for (failures, last, now, expected) in [
            (0, 0, 0, (1, false)),
            (3, 0, 1, (4, false)),
            (4, 0, 1, (5, false)),
            (5, 0, 14, (6, true)),
            (6, 14, 28, (7, true)),
            (7, 28, 43, (1, false)),
            (4, 0, 15, (1, false)),
        ] {
            let (failures_after, locked) = expected;
            let found = attempt(failures, at(last), at(now));
            assert_eq!(
                found,
                Attempt { failures: failures_after, locked },
                "{failures} at {last}, now {now}"
            );
        }
        assert!(attempt(4, at(0), at(0)).locks());
        assert!(!attempt(3, at(0), at(0)).locks());
    }

    #[test]
    fn neighbours_share_a_network() {
        for (address, expected) in [
            ("192.0.2.17", "192.0.2.0/24"),
            ("::ffff:192.0.2.99", "192.0.2.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(network(address.parse().ok()), expected);
        }
    }
}
