use sea_orm::entity::prelude::*;

use crate::{
    domain::delivery::DeliveryStatus,
    id::{ChannelId, MessageId, TenantId},
};

/// What a provider calls one attempt to send one message. The answer to the send and the reports about it
/// come in any order: whoever is second finds here what the first one left.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "delivery")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel_id: ChannelId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub external_id: String,
    /// Absent until the answer to the send is stored.
    pub message_id: Option<MessageId>,
    pub attempt: Option<i32>,
    /// The greatest report so far.
    pub status: Option<DeliveryStatus>,
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub update_time: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
