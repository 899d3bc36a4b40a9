//! Plans and subscriptions: rows to the contract.

use chrono::{DateTime, Utc};

pub use super::contract::switchboard::billing::v1;
use super::{changed, time, types};
use crate::{
    domain::{
        grant::GrantPeriod,
        money,
        subscription::{Standing, Status, can_access, granted},
    },
    error::Result,
    store::billing as rows,
};
use v1::{BillingInterval, Plan, Subscription, SubscriptionStatus};

impl From<&rows::Plan> for Plan {
    fn from(row: &rows::Plan) -> Self {
        let (units, nanos) = money::units_and_nanos(row.amount, &row.currency);
        let interval = match row.billing_interval.as_str() {
            "month" => BillingInterval::Month,
            "year" => BillingInterval::Year,
            _ => BillingInterval::Unspecified,
        };
        Self {
            id: row.id.clone(),
            name: row.name.clone(),
            price: Some(types::v1::Money { currency_code: row.currency.clone(), units, nanos }),
            interval: interval.into(),
            create_time: Some(time(row.create_time)),
            update_time: Some(time(row.update_time)),
            version: row.version,
        }
    }
}

impl From<Status> for SubscriptionStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Trialing => Self::Trialing,
            Status::Active => Self::Active,
            Status::PastDue => Self::PastDue,
            Status::Canceled => Self::Canceled,
            Status::Unpaid => Self::Unpaid,
            Status::Incomplete => Self::Incomplete,
            Status::Paused => Self::Paused,
            Status::Expired => Self::Expired,
        }
    }
}

/// What a tenant has at `now`: its subscription, if there ever was one, and its grants.
pub fn subscription(
    row: Option<&rows::Subscription>,
    grants: &[GrantPeriod],
    now: DateTime<Utc>,
) -> Subscription {
    let standing = row.map(rows::Subscription::standing);
    let granted = granted(grants, now);
    let status = match standing {
        _ if granted => SubscriptionStatus::Active,
        Some(standing) => standing.status_at(now).into(),
        None => SubscriptionStatus::Unspecified,
    };
    let shown = row.map(|row| Subscription {
        id: row.id.to_string(),
        plan_id: row.plan_id.clone().unwrap_or_default(),
        trial_end_time: row.trial_end.map(time),
        period_start_time: row.period_start.map(time),
        period_end_time: row.period_end.map(time),
        cancel_at_period_end: row.cancel_at_period_end,
        cancel_time: row.cancelled_at.map(time),
        had_trial: row.had_trial,
        create_time: Some(time(row.create_time)),
        update_time: Some(time(row.update_time)),
        version: row.version,
        ..Subscription::default()
    });
    Subscription {
        status: status.into(),
        access: can_access(standing.as_ref(), grants, now),
        granted,
        trial_days_remaining: standing.map(|s: Standing| s.trial_days_remaining(now)).unwrap_or_default(),
        ..shown.unwrap_or_default()
    }
}

/// Refuses a decision that was based on another version than the subscription has now.
pub fn check_subscription(expected_version: i64, row: &rows::Subscription, now: DateTime<Utc>) -> Result<()> {
    let state = || subscription(Some(row), &[], now);
    changed::unless(expected_version, row.version, "switchboard.billing.v1.Subscription", state)
}
