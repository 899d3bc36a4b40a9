use sea_orm::entity::prelude::*;

use crate::{
    domain::{channel::Health, conversation::ChannelKind},
    id::{ChannelId, TenantId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "channel")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ChannelId,
    pub kind: ChannelKind,
    pub name: String,
    pub enabled: bool,
    /// The provider's name of the account: a phone number id, a bot's number; empty where there is none.
    pub account: String,
    /// Settings that may be shown; the adapter knows their keys.
    #[sea_orm(column_type = "JsonBinary")]
    pub config: Json,
    /// A JSON object of secrets, sealed.
    pub secrets: Vec<u8>,
    pub health: Health,
    /// Why it is broken: a word of [`Reason`](crate::domain::delivery).
    pub health_reason: Option<String>,
    pub version: i64,
    pub create_time: DateTimeUtc,
    pub update_time: DateTimeUtc,
    pub delete_time: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
