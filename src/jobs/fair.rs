//! Fair shares: tenants with ready jobs take turns, each with the same room and a cap on what it has in
//! flight. A small tenant's wait is then window ÷ capacity, however much a big one has queued.

use std::collections::VecDeque;

use crate::id::TenantId;

/// The tenants of one queue that have ready jobs, in the order of their turns.
#[derive(Debug, Default)]
pub(super) struct Ring(VecDeque<TenantId>);

impl Ring {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A newcomer is last in turn.
    pub(super) fn add(&mut self, tenant: TenantId) {
        if !self.0.contains(&tenant) {
            self.0.push_back(tenant);
        }
    }

    pub(super) fn remove(&mut self, tenant: TenantId) {
        self.0.retain(|other| *other != tenant);
    }

    /// Takes over what a look at the database found, and keeps the order of those who stay.
    pub(super) fn refresh(&mut self, found: impl IntoIterator<Item = TenantId>) {
        let found: Vec<TenantId> = found.into_iter().collect();
        let known: std::collections::HashSet<TenantId> = found.iter().copied().collect();
        self.0.retain(|tenant| known.contains(tenant));
        let present: std::collections::HashSet<TenantId> = self.0.iter().copied().collect();
        self.0.extend(found.into_iter().filter(|tenant| !present.contains(tenant)));
    }

    /// Splits `room` among those whose turn it is: at most `cap` in flight each, `busy` tells how many a
    /// tenant has already. Whoever got a share goes to the end of the line.
    pub(super) fn share(
        &mut self,
        room: usize,
        cap: usize,
        busy: impl Fn(TenantId) -> usize,
    ) -> Vec<(TenantId, i32)> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let each = (room / self.0.len()).max(1);
        let (mut left, mut shares) = (room, Vec::new());
        for tenant in &self.0 {
            let share = each.min(cap.saturating_sub(busy(*tenant))).min(left);
            if share > 0 {
                shares.push((*tenant, i32::try_from(share).unwrap_or(i32::MAX)));
                left -= share;
            }
        }
        // What does not divide evenly goes to the first in line.
        for (tenant, share) in &mut shares {
            let taken = usize::try_from(*share).unwrap_or(0);
            let more = cap.saturating_sub(busy(*tenant) + taken).min(left);
            *share = i32::try_from(taken + more).unwrap_or(i32::MAX);
            left -= more;
        }
        let served: std::collections::HashSet<TenantId> = shares.iter().map(|(tenant, _)| *tenant).collect();
        let (mut waiting, last): (VecDeque<_>, VecDeque<_>) =
            self.0.drain(..).partition(|tenant| !served.contains(tenant));
        waiting.extend(last);
        self.0 = waiting;
        shares
    }
}

/// The most one tenant may have in flight while `active` tenants share `window`.
pub(super) fn cap(window: usize, active: usize) -> usize {
    (2 * window / active.max(1)).max(4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn tenant(n: u128) -> TenantId {
        TenantId(Uuid::from_u128(n))
    }

    #[test]
    fn turns_are_taken_when_there_is_less_room_than_tenants() {
        let mut ring = Ring::default();
        (0..5).for_each(|n| ring.add(tenant(n)));
        let first: Vec<_> = ring.share(2, 10, |_| 0);
        let second: Vec<_> = ring.share(2, 10, |_| 0);
        assert_eq!(first, [(tenant(0), 1), (tenant(1), 1)]);
        assert_eq!(second, [(tenant(2), 1), (tenant(3), 1)]);
        assert_eq!(ring.share(1, 10, |_| 0), [(tenant(4), 1)]);
    }

    #[test]
    fn a_tenant_at_its_cap_leaves_its_share_to_the_others() {
        let mut ring = Ring::default();
        (0..3).for_each(|n| ring.add(tenant(n)));
        let shares = ring.share(9, 6, |who| if who == tenant(0) { 6 } else { 0 });
        assert_eq!(shares, [(tenant(1), 6), (tenant(2), 3)]);
    }

    proptest! {
        #[test]
        fn shares_fit_the_room_and_the_cap_and_nobody_starves(
            tenants in 1_usize..40, room in 1_usize..60, cap in 1_usize..30,
            busy in proptest::collection::vec(0_usize..30, 40),
        ) {
            let mut ring = Ring::default();
            (0..tenants).for_each(|n| ring.add(tenant(n as u128)));
            let of = |who: TenantId| busy[usize::try_from(who.0.as_u128()).unwrap()];
            let mut served = std::collections::HashSet::new();
            for _ in 0..tenants {
                let shares = ring.share(room, cap, of);
                let total: i32 = shares.iter().map(|(_, share)| *share).sum();
                prop_assert!(usize::try_from(total).unwrap() <= room);
                for (who, share) in shares {
                    prop_assert!(usize::try_from(share).unwrap() + of(who) <= cap);
                    served.insert(who);
                }
            }
            let free = (0..tenants).map(|n| tenant(n as u128)).filter(|who| of(*who) < cap).count();
            prop_assert_eq!(served.len(), free);
            prop_assert_eq!(ring.len(), tenants);
        }
    }
}
