use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{Cell, Key, Pace};

/// Callers counted at most.
const MOST: usize = 100_000;

/// Looking for callers to forget costs a walk over all: at most once in this many microseconds.
const SWEEP: i64 = 1_000_000;

/// The counters of one process.
#[derive(Default)]
pub(super) struct Local(Mutex<Cells>);

#[derive(Default)]
struct Cells {
    arrivals: HashMap<Key, i64>,
    /// Shared by all who find no room: a flood of new callers limits itself.
    overflow: Option<i64>,
    swept: i64,
}

impl Local {
    /// What one more call would get, without counting it. Whoever is not known yet may call.
    pub(super) fn look(&self, key: &Key, pace: Pace, now: i64) -> Cell {
        let cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pace.decide(cells.arrivals.get(key).copied(), now).0
    }

    pub(super) fn spend(&self, key: &Key, pace: Pace, now: i64) -> Cell {
        // A lost update costs one call: nothing can be left half changed.
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.arrivals.len() >= MOST && now - cells.swept >= SWEEP {
            cells.swept = now;
            cells.arrivals.retain(|_, arrival| *arrival > now);
        }
        if let Some(known) = cells.arrivals.get_mut(key) {
            let (cell, arrival) = pace.decide(Some(*known), now);
            *known = arrival;
            return cell;
        }
        if cells.arrivals.len() >= MOST {
            let (cell, arrival) = pace.decide(cells.overflow, now);
            cells.overflow = Some(arrival);
            return cell;
        }
        let (cell, arrival) = pace.decide(None, now);
        cells.arrivals.insert(key.clone(), arrival);
        cell
    }

    /// Has a known caller be as far ahead as all processes together say it is, if that is further.
    pub(super) fn learn(&self, key: &Key, arrival: i64) {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cells.arrivals.get_mut(key) {
            *known = arrival.max(*known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access::rate::Who, id::TenantId};

    #[test]
    fn memory_is_bounded_and_a_flood_limits_itself() {
        let local = Local::default();
        let pace = Pace { emission: 1_000_000, tolerance: 2_000_000 };
        let key = |n: u128| Key { class: "read", who: Who::Tenant(TenantId(uuid::Uuid::from_u128(n))) };
        for n in 0..u128::try_from(MOST).unwrap() {
            assert!(local.spend(&key(n), pace, 0).allowed);
        }
        let late = (0..10).map(|n| local.spend(&key(u128::MAX - n), pace, 1).allowed);
        assert_eq!(late.filter(|allowed| *allowed).count(), 2);
        assert!(local.spend(&key(5), pace, 1).allowed, "a known caller keeps its own count");
        // A minute later the old ones are forgotten.
        assert!(local.spend(&key(u128::MAX), pace, 60_000_000).allowed);
        assert!(local.0.lock().unwrap().arrivals.len() < 10);
    }
}
