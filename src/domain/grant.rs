//! Access that platform staff give for a time.

use chrono::{DateTime, TimeDelta, Utc};

/// The longest grant.
pub const LONGEST: TimeDelta = TimeDelta::days(365);

/// The time of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantPeriod {
    pub starts_at: DateTime<Utc>,
    /// Not part of it any more.
    pub ends_at: DateTime<Utc>,
    pub revoked: bool,
}

impl GrantPeriod {
    /// Whether it gives access at `now`.
    pub fn holds(&self, now: DateTime<Utc>) -> bool {
        !self.revoked && self.starts_at <= now && now < self.ends_at
    }
}

/// Refuses a period that is no period, that is over, or that is too long; says why.
pub fn check(
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), &'static str> {
    if ends_at <= starts_at {
        Err("must be after start_time")
    } else if ends_at <= now {
        Err("must be in the future")
    } else if ends_at - starts_at > LONGEST {
        Err("grant duration cannot exceed 365 days")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_789_990_000, 0).unwrap()
    }

    /// Acceptance case 78.
    #[test]
    fn a_period_is_in_order_ahead_and_short_enough() {
        for (starts, ends, expected) in [
            (0, 30, Ok(())),
            (-10, 1, Ok(())),
            (0, 365, Ok(())),
            (0, 366, Err("grant duration cannot exceed 365 days")),
            (2, 2, Err("must be after start_time")),
            (2, 1, Err("must be after start_time")),
            (-2, -1, Err("must be in the future")),
            (-2, 0, Err("must be in the future")),
        ] {
            let at = |days| now() + TimeDelta::days(days);
            assert_eq!(check(at(starts), at(ends), now()), expected, "{starts}..{ends}");
        }
    }

    #[test]
    fn a_grant_holds_from_its_start_until_its_end() {
        for (starts, ends, revoked, holds) in [
            (-1, 1, false, true),
            (0, 1, false, true),
            (-1, 0, false, false),
            (1, 2, false, false),
            (-1, 1, true, false),
        ] {
            let at = |days| now() + TimeDelta::days(days);
            let period = GrantPeriod { starts_at: at(starts), ends_at: at(ends), revoked };
            assert_eq!(period.holds(now()), holds, "{starts}..{ends} revoked {revoked}");
        }
    }
}
