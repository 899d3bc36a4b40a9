use sea_orm::entity::prelude::*;

use crate::{
    domain::conversation::{Direction, Priority, State},
    id::{ChannelId, ConversationId, CustomerId, MessageId, TenantId, UserId},
    store::rows::positional,
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "conversation")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ConversationId,
    pub customer_id: CustomerId,
    pub channel_id: ChannelId,
    pub state: State,
    pub assignee_id: Option<UserId>,
    pub priority: Priority,
    pub unread_count: i32,
    /// Every message there ever was; a message's `seq` is this count as of its writing.
    pub message_count: i64,
    /// The newest message by its own time, not by arrival.
    pub last_message_id: Option<MessageId>,
    pub last_message_at: DateTimeUtc,
    pub last_message_preview: String,
    pub last_message_direction: Option<Direction>,
    pub last_inbound_id: Option<MessageId>,
    pub last_inbound_at: Option<DateTimeUtc>,
    /// Until when anything may be sent; absent where the channel has no window or the customer has not
    /// written.
    pub window_expires_at: Option<DateTimeUtc>,
    /// The provider's id of the chat, where that is more than the pair of customer and account.
    pub chat: Option<String>,
    pub resolved_at: Option<DateTimeUtc>,
    pub closed_at: Option<DateTimeUtc>,
    pub version: i64,
    pub create_time: DateTimeUtc,
    pub update_time: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

positional!(Model {
    tenant_id: one,
    id: one,
    customer_id: one,
    channel_id: one,
    state: one,
    assignee_id: maybe,
    priority: one,
    unread_count: one,
    message_count: one,
    last_message_id: maybe,
    last_message_at: one,
    last_message_preview: one,
    last_message_direction: maybe,
    last_inbound_id: maybe,
    last_inbound_at: maybe,
    window_expires_at: maybe,
    chat: maybe,
    resolved_at: maybe,
    closed_at: maybe,
    version: one,
    create_time: one,
    update_time: one,
});
