use sea_orm::entity::prelude::*;

use crate::{
    domain::subscription::{Standing, Status},
    id::{SubscriptionId, TenantId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "subscription")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SubscriptionId,
    pub plan_id: Option<String>,
    pub status: Status,
    pub period_start: Option<DateTimeUtc>,
    pub period_end: Option<DateTimeUtc>,
    pub cancel_at_period_end: bool,
    pub cancelled_at: Option<DateTimeUtc>,
    pub trial_start: Option<DateTimeUtc>,
    pub trial_end: Option<DateTimeUtc>,
    pub had_trial: bool,
    pub version: i64,
    pub create_time: DateTimeUtc,
    pub update_time: DateTimeUtc,
}

impl Model {
    /// What of it decides about access.
    pub fn standing(&self) -> Standing {
        Standing { status: self.status, period_end: self.period_end, trial_end: self.trial_end }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
