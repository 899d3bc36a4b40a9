use sea_orm::entity::prelude::*;

use crate::{domain::cron::CatchUp, id::TenantId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "cron")]
pub struct Model {
    /// [`TenantId::PLATFORM`] for the platform's own.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub expr: String,
    /// The name of an IANA time zone.
    pub tz: String,
    /// The queue of the jobs it makes, see `domain::queue`.
    pub queue: i16,
    pub kind: String,
    pub payload: Vec<u8>,
    pub max_tries: i16,
    pub catch_up: CatchUp,
    pub enabled: bool,
    /// The fire that comes next, or waits for somebody to see it due. Means nothing while disabled.
    pub next_at: DateTimeUtc,
    /// The fire that a job was made for last.
    pub last_at: Option<DateTimeUtc>,
    /// Grows when the schedule changes, not when it fires.
    pub version: i64,
    pub create_time: DateTimeUtc,
    pub update_time: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
