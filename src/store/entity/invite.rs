use sea_orm::entity::prelude::*;

use crate::{
    domain::{access::Role, membership::InviteState},
    id::{InviteId, TenantId, UserId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "invite")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: InviteId,
    /// As it was given.
    pub email: String,
    /// As it is compared; one open invitation each.
    pub email_key: String,
    pub role: Role,
    /// SHA-256 of the token.
    pub token_hash: Vec<u8>,
    pub inviter_id: UserId,
    pub state: InviteState,
    pub create_time: DateTimeUtc,
    pub expires_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
