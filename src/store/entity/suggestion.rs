use sea_orm::entity::prelude::*;

use crate::{
    domain::{
        decision::{Block, Decision},
        suggestion::SuggestionState,
    },
    id::{ConversationId, EscalationId, MessageId, SuggestionId, TenantId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "suggestion")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SuggestionId,
    pub conversation_id: ConversationId,
    /// The customer's newest message when it was drafted.
    pub message_id: MessageId,
    /// 1 for the draft that follows a message by itself, more for drafts asked for again.
    pub attempt: i32,
    pub state: SuggestionState,
    pub text: String,
    /// What was sent in its place.
    pub edited_text: Option<String>,
    /// The customer's turn that it answers.
    pub question: String,
    /// A word of `domain::intent`.
    pub intent: String,
    pub decision: Decision,
    /// 0 to 10,000.
    pub confidence_bp: i32,
    pub autosend_eligible: bool,
    pub autosend_block: Option<Block>,
    /// `decision::Inputs`, as decided upon.
    #[sea_orm(column_type = "JsonBinary")]
    pub inputs: Json,
    /// `decision::Policy`, as it stood.
    #[sea_orm(column_type = "JsonBinary")]
    pub policy: Json,
    /// A list of `decision::Penalty`.
    #[sea_orm(column_type = "JsonBinary")]
    pub penalties: Json,
    /// A list of `retrieval::Hit`: the knowledge as it was read.
    #[sea_orm(column_type = "JsonBinary")]
    pub sources: Json,
    /// A list of sentences.
    #[sea_orm(column_type = "JsonBinary")]
    pub explanations: Json,
    /// A list of sentences.
    #[sea_orm(column_type = "JsonBinary")]
    pub self_check_reasons: Json,
    /// The model that wrote it; "offline" for the built-in drafter.
    pub model: String,
    pub sent_message_id: Option<MessageId>,
    pub escalation_id: Option<EscalationId>,
    /// The label of an `Actor`; absent while pending and when superseded.
    pub decided_by: Option<String>,
    pub decide_reason: Option<String>,
    pub decide_time: Option<DateTimeUtc>,
    pub version: i64,
    pub create_time: DateTimeUtc,
    pub update_time: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
