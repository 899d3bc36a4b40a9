//! Fair shares by deficit round robin: tenants with ready jobs take turns. A turn is worth as many jobs as the
//! tenant's weight, what is left of it is taken up the next time there is room, and a cap bounds what one has in
//! flight. A small tenant's wait is then window ÷ capacity, however much a big one has queued.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::id::TenantId;

/// What a tenant's turn is worth, in jobs, unless its plan says more.
pub(super) const PLAIN: usize = 1;

/// The tenants of one queue that have ready jobs, in the order of their turns.
#[derive(Debug, Default)]
pub(super) struct Ring(VecDeque<Turn>);

#[derive(Debug)]
struct Turn {
    tenant: TenantId,
    weight: usize,
    /// What is left of a turn that began.
    credit: usize,
    /// Of the room being shared.
    taken: usize,
}

impl Ring {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A newcomer is last in turn.
    pub(super) fn add(&mut self, tenant: TenantId, weight: usize) {
        if !self.0.iter().any(|turn| turn.tenant == tenant) {
            self.0.push_back(Turn { tenant, weight: weight.max(1), credit: 0, taken: 0 });
        }
    }

    pub(super) fn remove(&mut self, tenant: TenantId) {
        self.0.retain(|turn| turn.tenant != tenant);
    }

    /// Takes over what a look at the database found, and keeps the order of those who stay.
    pub(super) fn refresh(&mut self, found: impl IntoIterator<Item = (TenantId, usize)>) {
        let found: Vec<(TenantId, usize)> = found.into_iter().collect();
        let weights: HashMap<TenantId, usize> = found.iter().copied().collect();
        self.0.retain_mut(|turn| {
            let weight = weights.get(&turn.tenant);
            turn.weight = weight.copied().unwrap_or(turn.weight).max(1);
            weight.is_some()
        });
        let present: HashSet<TenantId> = self.0.iter().map(|turn| turn.tenant).collect();
        for (tenant, weight) in found.into_iter().filter(|(tenant, _)| !present.contains(tenant)) {
            self.0.push_back(Turn { tenant, weight: weight.max(1), credit: 0, taken: 0 });
        }
    }

    /// Splits `room` of a window among those whose turn it is; `busy` tells how many jobs a tenant has in flight
    /// already. All of the room is given away unless everybody is at its [`cap`].
    pub(super) fn share(
        &mut self,
        room: usize,
        window: usize,
        busy: impl Fn(TenantId) -> usize,
    ) -> Vec<(TenantId, i32)> {
        let active = self.0.len();
        self.0.iter_mut().for_each(|turn| turn.taken = 0);
        let (mut left, mut full) = (room, 0);
        while left > 0 && full < active {
            let Some(mut turn) = self.0.pop_front() else { break };
            let free = cap(window, active, turn.weight).saturating_sub(busy(turn.tenant) + turn.taken);
            if turn.credit == 0 {
                turn.credit = turn.weight;
            }
            let share = turn.credit.min(free).min(left);
            full = if share == 0 { full + 1 } else { 0 };
            left -= share;
            turn.taken += share;
            turn.credit -= share;
            if share == free {
                // What it cannot use now it does not save up.
                turn.credit = 0;
            }
            if turn.credit == 0 {
                self.0.push_back(turn);
            } else {
                self.0.push_front(turn);
            }
        }
        let shares = self.0.iter().filter(|turn| turn.taken > 0);
        shares.map(|turn| (turn.tenant, i32::try_from(turn.taken).unwrap_or(i32::MAX))).collect()
    }
}

/// The most that one tenant may have in flight while `active` tenants share `window`.
pub(super) fn cap(window: usize, active: usize, weight: usize) -> usize {
    (2 * window * weight / active.max(1)).max(4)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use uuid::Uuid;

    use super::*;

    fn tenant(n: usize) -> TenantId {
        TenantId(Uuid::from_u128(n as u128))
    }

    fn ring(weights: impl IntoIterator<Item = usize>) -> Ring {
        let mut ring = Ring::default();
        weights.into_iter().enumerate().for_each(|(n, weight)| ring.add(tenant(n), weight));
        ring
    }

    fn nobody(_: TenantId) -> usize {
        0
    }

    #[test]
    fn turns_are_taken_when_there_is_less_room_than_tenants() {
        let mut ring = ring([1; 5]);
        assert_eq!(ring.share(2, 64, nobody), [(tenant(0), 1), (tenant(1), 1)]);
        assert_eq!(ring.share(2, 64, nobody), [(tenant(2), 1), (tenant(3), 1)]);
        assert_eq!(ring.share(1, 64, nobody), [(tenant(4), 1)]);
    }

    #[test]
    fn a_turn_that_found_too_little_room_goes_on_where_it_stopped() {
        let mut ring = ring([3, 1]);
        let shares: Vec<_> = (0..8).flat_map(|_| ring.share(1, 64, nobody)).map(|(who, _)| who).collect();
        let (big, small) = (tenant(0), tenant(1));
        assert_eq!(shares, [big, big, big, small, big, big, big, small]);
    }

    #[test]
    fn a_tenant_at_its_cap_leaves_its_share_to_the_others() {
        let mut ring = ring([1; 3]);
        // Nine jobs' window for three: six each.
        let mut shares = ring.share(9, 9, |who| if who == tenant(0) { 6 } else { 0 });
        shares.sort();
        assert_eq!(shares, [(tenant(1), 5), (tenant(2), 4)]);
    }

    #[test]
    fn the_cap_follows_the_weight() {
        for (window, active, weight, expected) in
            [(1_000, 20, 1, 100), (1_000, 20, 4, 400), (64, 1_000, 1, 4), (64, 0, 1, 128)]
        {
            assert_eq!(cap(window, active, weight), expected, "{window} {active} {weight}");
        }
    }

    proptest! {
        /// No room is left while anybody may take it, nobody is over its cap, and everybody gets its turn.
        #[test]
        fn shares_fit_the_room_and_the_cap_and_nobody_starves(
            weights in vec(1_usize..6, 1..40), room in 1_usize..60, window in 1_usize..200,
            busy in vec(0_usize..30, 40),
        ) {
            let mut ring = ring(weights.iter().copied());
            let of = |who: TenantId| busy[usize::try_from(who.0.as_u128()).unwrap()];
            let free = |n: usize| cap(window, weights.len(), weights[n]).saturating_sub(busy[n]);
            let mut served = HashSet::new();
            for _ in 0..weights.iter().sum() {
                let shares = ring.share(room, window, of);
                let total: i32 = shares.iter().map(|(_, share)| *share).sum();
                let most: usize = (0..weights.len()).map(free).sum();
                prop_assert_eq!(usize::try_from(total).unwrap(), room.min(most), "work-conserving");
                for (who, share) in shares {
                    let n = usize::try_from(who.0.as_u128()).unwrap();
                    prop_assert!(usize::try_from(share).unwrap() <= free(n));
                    served.insert(who);
                }
            }
            prop_assert_eq!(served.len(), (0..weights.len()).filter(|n| free(*n) > 0).count());
            prop_assert_eq!(ring.len(), weights.len());
        }

        /// While all of them have work and room, any two tenants' services stay within one turn of their weights,
        /// however the room comes in.
        #[test]
        fn service_follows_the_weights(
            weights in vec(1_usize..9, 2..12), rooms in vec(1_usize..50, 1..60),
        ) {
            let mut ring = ring(weights.iter().copied());
            let mut served = vec![0.0; weights.len()];
            for room in rooms {
                // No cap: an in-flight count of none, and a window for all.
                for (who, share) in ring.share(room, 100_000, nobody) {
                    served[usize::try_from(who.0.as_u128()).unwrap()] += f64::from(share);
                }
                let turns = |n: usize| served[n] / f64::from(u32::try_from(weights[n]).unwrap());
                for a in 0..weights.len() {
                    for b in 0..weights.len() {
                        prop_assert!(turns(a) - turns(b) <= 1.0 + 1e-9, "{served:?} by {weights:?}");
                    }
                }
            }
        }

        /// Against a backlog of any size, a newcomer's jobs start within two windows.
        #[test]
        fn a_newcomer_waits_for_a_window_not_for_a_backlog(
            big in 1_usize..20, weight in 1_usize..5, slots in 1_usize..64, few in 1_usize..4,
        ) {
            let window = 64;
            let mut ring = ring(vec![weight; big]);
            let mut line: VecDeque<TenantId> = VecDeque::new();
            let admit = |line: &mut VecDeque<TenantId>, ring: &mut Ring| {
                let room = window - line.len();
                let busy = |who| line.iter().filter(|other| **other == who).count();
                let shares = ring.share(room, window, busy);
                for (who, share) in shares {
                    line.extend(std::iter::repeat_n(who, usize::try_from(share).unwrap()));
                }
            };
            admit(&mut line, &mut ring);
            let small = tenant(999);
            ring.add(small, PLAIN);
            let (mut left, mut others) = (few, 0);
            while left > 0 {
                // One slot's work at a time, as workers end.
                for _ in 0..slots.min(line.len()) {
                    match line.pop_front() {
                        Some(who) if who == small => left = left.saturating_sub(1),
                        _ => others += 1,
                    }
                }
                prop_assert!(others <= 2 * window + few * (weight * big) + slots, "{others} of the others' went first");
                admit(&mut line, &mut ring);
            }
        }
    }
}
