use sea_orm::entity::prelude::*;

use crate::id::{JobId, TenantId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "job_log")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: JobId,
    pub queue: i16,
    pub kind: String,
    /// 3 done, 4 dead, 5 cancelled.
    pub state: i16,
    pub epoch: i32,
    pub tries: i16,
    pub crashes: i16,
    pub last_error: Option<String>,
    /// Somebody asked for its end; when it is done all the same, that came too late.
    pub cancel: bool,
    pub created_at: DateTimeUtc,
    #[sea_orm(primary_key, auto_increment = false)]
    pub finished_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
