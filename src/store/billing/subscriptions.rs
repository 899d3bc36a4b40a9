//! The tenant's subscription: one row, once there was one.

use sea_orm::{ColumnTrait, ConnectionTrait, IntoActiveModel, QueryFilter, QuerySelect, sea_query::Expr};

use crate::{
    domain::subscription::{Cancellation, Status, TRIAL, TRIAL_USED},
    error::{Error, Result},
    store::{
        TenantDb, Tx,
        entity::subscription::{Column, Entity},
        scope::TenantOwned,
    },
};

pub use crate::store::entity::subscription::Model as Subscription;

impl TenantOwned for Entity {
    const TENANT: Column = Column::TenantId;
}

/// The subscription of the scope's tenant.
pub struct Subscriptions<'a, C>(&'a TenantDb<C>);

impl<C: ConnectionTrait> TenantDb<C> {
    pub fn subscriptions(&self) -> Subscriptions<'_, C> {
        Subscriptions(self)
    }
}

impl<C: ConnectionTrait> Subscriptions<'_, C> {
    pub async fn get(&self) -> Result<Option<Subscription>> {
        Ok(self.0.find::<Entity>().one(self.0.conn()).await?)
    }
}

impl Subscriptions<'_, Tx> {
    /// Reads it and keeps others from changing it until the transaction ends.
    pub async fn lock(&self) -> Result<Option<Subscription>> {
        Ok(self.0.find::<Entity>().lock_exclusive().one(self.0.conn()).await?)
    }

    /// Starts the trial; TRIAL_USED when there is a row of any kind, also when another request wrote it
    /// at the same moment.
    pub async fn start_trial(&self) -> Result<Subscription> {
        let now = self.0.env().now();
        let trial = Subscription {
            tenant_id: self.0.tenant(),
            id: self.0.env().id(),
            plan_id: None,
            status: Status::Trialing,
            period_start: None,
            period_end: None,
            cancel_at_period_end: false,
            cancelled_at: None,
            trial_start: Some(now),
            trial_end: Some(now + TRIAL),
            had_trial: true,
            version: 1,
            create_time: now,
            update_time: now,
        };
        let row = trial.clone().into_active_model();
        let added = self.0.insert::<Entity, _>(row).exec_without_returning(self.0.conn()).await;
        match added.map_err(Error::from) {
            Err(Error::Exists { .. }) => Err(TRIAL_USED.into()),
            other => other.map(|_| trial),
        }
    }

    /// Stores how `seen` ends.
    pub async fn cancel(&self, seen: Subscription, how: Cancellation) -> Result<Subscription> {
        let now = self.0.env().now();
        let (status, at_period_end) = match how {
            Cancellation::Already => return Ok(seen),
            Cancellation::AtPeriodEnd => (seen.status, true),
            Cancellation::Now(status) => (status, false),
        };
        let ended = Subscription {
            status,
            cancel_at_period_end: at_period_end,
            cancelled_at: Some(now),
            version: seen.version + 1,
            update_time: now,
            ..seen
        };
        let done = self
            .0
            .update::<Entity>()
            .col_expr(Column::Status, Expr::value(ended.status))
            .col_expr(Column::CancelAtPeriodEnd, Expr::value(ended.cancel_at_period_end))
            .col_expr(Column::CancelledAt, Expr::value(ended.cancelled_at))
            .col_expr(Column::Version, Expr::value(ended.version))
            .col_expr(Column::UpdateTime, Expr::value(ended.update_time))
            .filter(Column::Version.eq(ended.version - 1))
            .exec(self.0.conn())
            .await?;
        if done.rows_affected == 0 { Err(Error::stale()) } else { Ok(ended) }
    }
}
