use sea_orm::entity::prelude::*;

use crate::{
    domain::{
        conversation::{Author, Direction},
        delivery::DeliveryStatus,
    },
    id::{ChannelId, ConversationId, MessageId, SuggestionId, TenantId},
    store::rows::positional,
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "message")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MessageId,
    pub conversation_id: ConversationId,
    pub channel_id: ChannelId,
    /// Order of arrival in the conversation, from 1, without gaps.
    pub seq: i64,
    /// When it was written: by the provider's clock if inbound. Messages are shown in this order.
    pub at: DateTimeUtc,
    pub direction: Direction,
    pub author: Author,
    /// `usr_…` or `key_…`; absent for customers, the AI and external authors.
    pub author_id: Option<String>,
    /// `text`, `image`, …: see [`MessageKind`](crate::domain::inbound).
    pub kind: String,
    /// The words, or a caption; empty if there are none.
    pub text: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub attachments: Json,
    /// What the kind says beyond words: a place, cards, an order.
    #[sea_orm(column_type = "JsonBinary")]
    pub details: Option<Json>,
    /// The provider's id.
    pub external_id: Option<String>,
    pub provider_time: Option<DateTimeUtc>,
    /// Absent for inbound messages.
    pub status: Option<DeliveryStatus>,
    /// 1 for the first; each deliberate resend counts up. 0 for inbound messages.
    pub attempt: i32,
    /// A word of [`Reason`](crate::domain::delivery).
    pub failure_reason: Option<String>,
    /// The provider's words for people.
    pub failure_detail: Option<String>,
    pub reply_to_id: Option<MessageId>,
    /// The draft that it came from: one message a draft.
    pub suggestion_id: Option<SuggestionId>,
    /// Who reacted and how: `{"customer": "👍"}`.
    #[sea_orm(column_type = "JsonBinary")]
    pub reactions: Json,
    pub edited_at: Option<DateTimeUtc>,
    /// When the customer last made an edit that changed nothing: an older one that comes later must not stand.
    pub settled_at: Option<DateTimeUtc>,
    pub deleted_at: Option<DateTimeUtc>,
    /// The item as it came, for kinds that are not understood.
    #[sea_orm(column_type = "JsonBinary")]
    pub raw: Option<Json>,
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
    conversation_id: one,
    channel_id: one,
    seq: one,
    at: one,
    direction: one,
    author: one,
    author_id: maybe,
    kind: one,
    text: one,
    attachments: json,
    details: maybe,
    external_id: maybe,
    provider_time: maybe,
    status: maybe,
    attempt: one,
    failure_reason: maybe,
    failure_detail: maybe,
    reply_to_id: maybe,
    suggestion_id: maybe,
    reactions: json,
    edited_at: maybe,
    settled_at: maybe,
    deleted_at: maybe,
    raw: maybe,
    version: one,
    create_time: one,
    update_time: one,
});
