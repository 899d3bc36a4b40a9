use sea_orm::entity::prelude::*;

use crate::{
    domain::channel::Outcome,
    id::{ChannelId, InboxId, TenantId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "inbox")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: InboxId,
    pub channel_id: ChannelId,
    /// Unique on the channel: the gate that lets every item of every webhook in once.
    pub dedupe_key: String,
    pub outcome: Outcome,
    /// What the item is: `message`, `status`, or the provider's word for what is not understood.
    pub kind: String,
    pub received_at: DateTimeUtc,
    /// The item as it came, for outcomes that may have to look at it again; for `Expected`, a list of
    /// changes that came before their message.
    #[sea_orm(column_type = "JsonBinary")]
    pub body: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
