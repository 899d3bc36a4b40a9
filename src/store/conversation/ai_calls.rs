use sea_orm::{ColumnTrait, ConnectionTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};

pub use crate::store::entity::ai_call::Model as AiCall;
use crate::{
    error::Result,
    id::{ConversationId, SuggestionId},
    store::{
        TenantDb, Tx,
        entity::ai_call::{Column, Entity},
        scope::TenantOwned,
    },
};

impl TenantOwned for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// Recorded calls of models.
    pub fn ai_calls(&self) -> AiCalls<'_, C> {
        AiCalls(self)
    }
}

/// Recorded calls of models: which request was answered how, at what cost.
pub struct AiCalls<'a, C>(&'a TenantDb<C>);

/// A call to record.
#[derive(Clone, Debug)]
pub struct NewAiCall {
    pub purpose: &'static str,
    pub model: String,
    /// SHA-256 of the request, in hex.
    pub request_hash: String,
    pub response: String,
    pub input_tokens: i32,
    pub output_tokens: i32,
    /// Billionths of a US dollar.
    pub cost_nanos: i64,
    pub latency_ms: i32,
    pub problem: Option<String>,
}

impl<C: ConnectionTrait> AiCalls<'_, C> {
    /// The calls behind a draft, in order.
    pub async fn of_suggestion(&self, suggestion: SuggestionId) -> Result<Vec<AiCall>> {
        let query = self.0.find::<Entity>().filter(Column::SuggestionId.eq(suggestion));
        Ok(query.order_by_asc(Column::Id).limit(100).all(self.0.conn()).await?)
    }
}

impl AiCalls<'_, Tx> {
    /// Records a call, with the draft it led to if there is one.
    pub async fn insert(
        &self,
        conversation: ConversationId,
        suggestion: Option<SuggestionId>,
        call: NewAiCall,
    ) -> Result<()> {
        let row = AiCall {
            tenant_id: self.0.tenant(),
            id: self.0.env().id(),
            conversation_id: conversation,
            suggestion_id: suggestion,
            purpose: call.purpose.to_owned(),
            model: call.model,
            request_hash: call.request_hash,
            response: call.response,
            input_tokens: call.input_tokens,
            output_tokens: call.output_tokens,
            cost_nanos: call.cost_nanos,
            latency_ms: call.latency_ms,
            problem: call.problem,
            create_time: self.0.env().now(),
        };
        self.0.insert(row.into_active_model()).exec_without_returning(self.0.conn()).await?;
        Ok(())
    }
}
