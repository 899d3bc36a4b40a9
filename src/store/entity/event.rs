use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::id::{ConversationId, EventId, TenantId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "event")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: EventId,
    /// Which sequencer numbers it: xxh3(tenant) % 8.
    pub shard: i16,
    /// Place in the tenant's log, from 1, without gaps; null until the sequencer saw the commit.
    pub seq: Option<i64>,
    pub kind: String,
    pub subject: String,
    pub conversation_id: Option<ConversationId>,
    pub actor: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub payload: Json,
    pub at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
