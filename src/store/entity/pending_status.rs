use sea_orm::entity::prelude::*;

use crate::{
    domain::delivery::DeliveryStatus,
    id::{ChannelId, MessageId, TenantId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pending_status")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel_id: ChannelId,
    /// The provider's id of a message that we sent. Whoever comes second, the report or the answer to the
    /// send, finds here what the first one left.
    #[sea_orm(primary_key, auto_increment = false)]
    pub external_id: String,
    pub message_id: Option<MessageId>,
    pub status: Option<DeliveryStatus>,
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub update_time: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
