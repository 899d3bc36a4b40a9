use sea_orm::entity::prelude::*;

use crate::{
    domain::suggestion::EscalationState,
    id::{ConversationId, EscalationId, SuggestionId, TenantId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "escalation")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: EscalationId,
    pub conversation_id: ConversationId,
    /// `None` when no draft could be made.
    pub suggestion_id: Option<SuggestionId>,
    /// The intent, or the words of whoever handed it over.
    pub reason: String,
    pub summary: String,
    /// What the AI would have answered.
    pub suggested_text: String,
    pub state: EscalationState,
    /// The label of an `Actor`.
    pub resolved_by: Option<String>,
    pub resolve_time: Option<DateTimeUtc>,
    pub version: i64,
    pub create_time: DateTimeUtc,
    pub update_time: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
