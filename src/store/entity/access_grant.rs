use sea_orm::entity::prelude::*;

use crate::{
    domain::grant::GrantPeriod,
    id::{GrantId, TenantId, UserId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "access_grant")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: GrantId,
    pub starts_at: DateTimeUtc,
    pub ends_at: DateTimeUtc,
    pub reason: String,
    pub creator_id: UserId,
    pub revoked_at: Option<DateTimeUtc>,
    pub revoker_id: Option<UserId>,
    pub revoke_reason: Option<String>,
    pub version: i64,
    pub create_time: DateTimeUtc,
    pub update_time: DateTimeUtc,
}

impl Model {
    pub fn period(&self) -> GrantPeriod {
        GrantPeriod { starts_at: self.starts_at, ends_at: self.ends_at, revoked: self.revoked_at.is_some() }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
