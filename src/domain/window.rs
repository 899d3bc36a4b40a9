//! The customer-service window: how long after a customer's message the business may write freely.
//!
//! It belongs to the customer on one account, not to the conversation, and is computed from the
//! stored time of the last inbound message, so it survives any restart.

use chrono::{DateTime, TimeDelta, Utc};

use super::Rejected;

pub const CLOSED: Rejected = Rejected::because(
    "WINDOW_CLOSED",
    "the customer wrote too long ago for a free message; send an approved template",
);

/// When an inbound message opens the window. A provider's clock may run ahead of ours, which must not
/// keep the window open longer than it is.
pub fn opened_at(provider_time: Option<DateTime<Utc>>, received: DateTime<Utc>) -> DateTime<Utc> {
    provider_time.map_or(received, |at| at.min(received))
}

/// When the window closes; `None` while the customer has not written, or where a channel has no window.
pub fn closes_at(window: Option<TimeDelta>, last_inbound: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    last_inbound?.checked_add_signed(window?)
}

/// Whether a free message may be sent now. A channel without a window (`None`) is always open.
pub fn is_open(window: Option<TimeDelta>, last_inbound: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    window.is_none() || closes_at(window, last_inbound).is_some_and(|end| now < end)
}

/// [`is_open`] as a rule.
///
/// # Errors
/// `WINDOW_CLOSED`.
pub fn check(
    window: Option<TimeDelta>,
    last_inbound: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), Rejected> {
    if is_open(window, last_inbound, now) { Ok(()) } else { Err(CLOSED) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Option<TimeDelta> = Some(TimeDelta::hours(24));

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_789_990_000 + seconds, 0).unwrap()
    }

    /// Acceptance case 75.
    #[test]
    fn a_free_message_may_go_23_hours_after_the_last_inbound_and_not_after_25() {
        let hours = |n: i64| at(n * 3600);
        assert_eq!(check(DAY, Some(at(0)), hours(23)), Ok(()));
        assert_eq!(check(DAY, Some(at(0)), hours(25)), Err(CLOSED));
        assert_eq!(check(DAY, Some(at(0)), at(24 * 3600 - 1)), Ok(()));
        assert_eq!(check(DAY, Some(at(0)), hours(24)), Err(CLOSED));
        assert_eq!(check(DAY, None, at(0)), Err(CLOSED));
        assert_eq!(check(None, None, at(0)), Ok(()));
    }

    #[test]
    fn a_clock_that_runs_ahead_does_not_stretch_the_window() {
        assert_eq!(opened_at(Some(at(500)), at(0)), at(0));
        assert_eq!(opened_at(Some(at(-500)), at(0)), at(-500));
        assert_eq!(opened_at(None, at(0)), at(0));
    }

    proptest! {
        #[test]
        fn a_window_once_closed_stays_closed(last in 0..10_000_000i64, now in 0..10_000_000i64, later in 0..10_000_000i64) {
            if !is_open(DAY, Some(at(last)), at(now)) {
                prop_assert!(!is_open(DAY, Some(at(last)), at(now + later)));
            }
        }
    }
}
