use sea_orm::entity::prelude::*;

use crate::id::{AiCallId, ConversationId, SuggestionId, TenantId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ai_call")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AiCallId,
    pub conversation_id: ConversationId,
    /// Absent for calls that led to no draft.
    pub suggestion_id: Option<SuggestionId>,
    /// `draft`, `self_check`.
    pub purpose: String,
    pub model: String,
    /// SHA-256 of the request, in hex.
    pub request_hash: String,
    /// The content of the answer as it came.
    pub response: String,
    pub input_tokens: i32,
    pub output_tokens: i32,
    /// Billionths of a US dollar.
    pub cost_nanos: i64,
    pub latency_ms: i32,
    /// Why the answer could not be used.
    pub problem: Option<String>,
    pub create_time: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
