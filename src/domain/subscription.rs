//! Who has access, and how a subscription moves.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

use super::{Rejected, grant::GrantPeriod};

/// How long a trial lasts.
pub const TRIAL: TimeDelta = TimeDelta::hours(72);

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Trialing,
    Active,
    PastDue,
    Canceled,
    Unpaid,
    Incomplete,
    Paused,
    Expired,
}

/// What of a subscription decides about access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub status: Status,
    /// `None`: the paid period does not end.
    pub period_end: Option<DateTime<Utc>>,
    pub trial_end: Option<DateTime<Utc>>,
}

/// Whether a tenant may use what needs a subscription: by its trial, its paid period or a grant.
pub fn can_access(subscription: Option<&Standing>, grants: &[GrantPeriod], now: DateTime<Utc>) -> bool {
    granted(grants, now) || subscription.is_some_and(|standing| standing.gives_access(now))
}

/// Whether a grant gives access, whatever the subscription says.
pub fn granted(grants: &[GrantPeriod], now: DateTime<Utc>) -> bool {
    grants.iter().any(|grant| grant.holds(now))
}

impl Standing {
    fn gives_access(&self, now: DateTime<Utc>) -> bool {
        match self.status {
            Status::Trialing => self.trial_end.is_some_and(|end| end > now),
            Status::Active | Status::PastDue | Status::Canceled => {
                self.period_end.is_none_or(|end| end > now)
            }
            Status::Unpaid | Status::Incomplete | Status::Paused | Status::Expired => false,
        }
    }

    /// The status as it is at `now`: a trial that is over has expired, whoever noticed.
    pub fn status_at(&self, now: DateTime<Utc>) -> Status {
        match self.status {
            Status::Trialing if !self.gives_access(now) => Status::Expired,
            status => status,
        }
    }

    /// Days of the trial that are left, begun ones counted.
    pub fn trial_days_remaining(&self, now: DateTime<Utc>) -> i32 {
        let Some(end) = self.trial_end.filter(|_| self.status == Status::Trialing) else { return 0 };
        let left = (end - now).num_milliseconds().max(0);
        i32::try_from(left.div_euclid(86_400_000) + i64::from(left % 86_400_000 > 0)).unwrap_or(i32::MAX)
    }
}

/// What a tenant's wish to end its subscription comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancellation {
    /// It ends now.
    Now(Status),
    /// It keeps what was paid for.
    AtPeriodEnd,
    /// That has been asked before.
    Already,
}

/// Decides how a subscription ends.
pub fn cancel(
    standing: Option<&Standing>,
    asked: bool,
    now: DateTime<Utc>,
) -> Result<Cancellation, Rejected> {
    const NONE: Rejected = Rejected::because("NO_SUBSCRIPTION", "there is no subscription to cancel");
    let standing = standing.ok_or(NONE)?;
    match standing.status_at(now) {
        Status::Canceled => Ok(Cancellation::Already),
        Status::Active | Status::PastDue if asked => Ok(Cancellation::Already),
        Status::Active | Status::PastDue if standing.period_end.is_some() => Ok(Cancellation::AtPeriodEnd),
        // There is no paid period to keep.
        Status::Active
        | Status::PastDue
        | Status::Trialing
        | Status::Unpaid
        | Status::Paused
        | Status::Incomplete => Ok(Cancellation::Now(Status::Expired)),
        Status::Expired => Err(NONE),
    }
}

/// A trial is for tenants that never had a subscription of any kind.
pub const TRIAL_USED: Rejected =
    Rejected::because("TRIAL_USED", "the tenant has had a trial or a subscription before");

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_789_990_000, 0).unwrap()
    }
    fn trial(left: TimeDelta) -> Standing {
        Standing { status: Status::Trialing, period_end: None, trial_end: Some(now() + left) }
    }
    fn paid(status: Status, end: Option<i64>) -> Standing {
        Standing { status, period_end: end.map(|days| now() + TimeDelta::days(days)), trial_end: None }
    }

    /// Acceptance case 76.
    #[test]
    fn a_trial_gives_access_until_it_ends() {
        for (left, access, days) in [
            (TimeDelta::seconds(1), true, 1),
            (TimeDelta::seconds(-1), false, 0),
            (TimeDelta::zero(), false, 0),
            (TimeDelta::hours(25), true, 2),
            (TimeDelta::hours(72), true, 3),
        ] {
            let standing = trial(left);
            assert_eq!(can_access(Some(&standing), &[], now()), access, "{left}");
            assert_eq!(standing.trial_days_remaining(now()), days, "{left}");
        }
        let endless = Standing { trial_end: None, ..trial(TRIAL) };
        assert!(!can_access(Some(&endless), &[], now()));
    }

    /// Acceptance case 77.
    #[test]
    fn a_paid_period_gives_access_until_it_ends() {
        for (status, end, access) in [
            (Status::Active, None, true),
            (Status::Active, Some(1), true),
            (Status::Active, Some(-1), false),
            (Status::PastDue, Some(1), true),
            (Status::PastDue, Some(-1), false),
            (Status::Canceled, Some(1), true),
            (Status::Canceled, Some(-1), false),
            (Status::Unpaid, Some(1), false),
            (Status::Incomplete, Some(1), false),
            (Status::Paused, Some(1), false),
            (Status::Expired, Some(1), false),
        ] {
            assert_eq!(can_access(Some(&paid(status, end)), &[], now()), access, "{status:?} {end:?}");
        }
        assert!(!can_access(None, &[], now()));
    }

    /// Acceptance case 78.
    #[test]
    fn a_grant_gives_access_whatever_the_subscription_says() {
        let day = TimeDelta::days(1);
        let grant = GrantPeriod { starts_at: now() - day, ends_at: now() + day, revoked: false };
        let ended = GrantPeriod { ends_at: now(), ..grant };
        let revoked = GrantPeriod { revoked: true, ..grant };
        let future = GrantPeriod { starts_at: now() + day, ends_at: now() + day * 2, revoked: false };
        let expired = paid(Status::Expired, None);
        assert!(can_access(None, &[grant], now()));
        assert!(can_access(Some(&expired), &[ended, grant], now()));
        assert!(!can_access(Some(&expired), &[ended, revoked, future], now()));
    }

    #[test]
    fn a_cancelled_subscription_keeps_what_was_paid() {
        for (standing, asked, expected) in [
            (Some(paid(Status::Active, Some(1))), false, Ok(Cancellation::AtPeriodEnd)),
            (Some(paid(Status::Active, Some(1))), true, Ok(Cancellation::Already)),
            (Some(paid(Status::PastDue, Some(1))), false, Ok(Cancellation::AtPeriodEnd)),
            (Some(paid(Status::Canceled, Some(1))), false, Ok(Cancellation::Already)),
            (Some(paid(Status::Active, None)), false, Ok(Cancellation::Now(Status::Expired))),
            (Some(trial(TRIAL)), false, Ok(Cancellation::Now(Status::Expired))),
            (Some(trial(TimeDelta::seconds(-1))), false, Err("NO_SUBSCRIPTION")),
            (None, false, Err("NO_SUBSCRIPTION")),
        ] {
            let found = cancel(standing.as_ref(), asked, now()).map_err(|rejected| rejected.reason);
            assert_eq!(found, expected, "{standing:?}");
        }
    }
}
