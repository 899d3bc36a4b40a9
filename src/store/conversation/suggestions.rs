use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use serde::Serialize;
use serde_json::Value as Json;

pub use crate::store::entity::{
    suggestion::Model as Suggestion, suggestion_action::Model as SuggestionAction,
};
use crate::{
    auth::Actor,
    domain::{
        decision::{Block, Inputs, Policy, Verdict},
        retrieval::Hit,
        suggestion::SuggestionState,
    },
    error::{Error, Result},
    id::{ActionId, ConversationId, EscalationId, MessageId, SuggestionId},
    store::{
        TenantDb, Tx,
        entity::{
            suggestion::{Column, Entity},
            suggestion_action as action,
        },
        scope::TenantOwned,
    },
};

impl TenantOwned for Entity {
    const TENANT: Column = Column::TenantId;
}
impl TenantOwned for action::Entity {
    const TENANT: action::Column = action::Column::TenantId;
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// Drafts of the AI.
    pub fn suggestions(&self) -> Suggestions<'_, C> {
        Suggestions(self)
    }
}

/// Drafts of the AI and what was done with them.
pub struct Suggestions<'a, C>(&'a TenantDb<C>);

/// A draft to be, with everything it rests on.
#[derive(Clone, Debug)]
pub struct NewSuggestion {
    pub id: SuggestionId,
    pub conversation: ConversationId,
    pub message: MessageId,
    pub attempt: i32,
    pub text: String,
    pub question: String,
    pub inputs: Inputs,
    pub policy: Policy,
    pub verdict: Verdict,
    /// What kept policy from sending it, beyond the verdict.
    pub block: Option<Block>,
    pub sources: Vec<Hit>,
    pub explanations: Vec<String>,
    pub self_check_reasons: Vec<String>,
    pub model: String,
}

/// Which drafts to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct SuggestionFilter {
    pub conversation: Option<ConversationId>,
    pub state: Option<SuggestionState>,
}

/// The end of a draft.
#[derive(Clone, Debug)]
pub struct Settlement {
    pub state: SuggestionState,
    pub actor: Actor,
    pub edited_text: Option<String>,
    pub reason: Option<String>,
    pub escalation: Option<EscalationId>,
    /// The message that goes out.
    pub message: Option<MessageId>,
}

impl Settlement {
    pub fn of(state: SuggestionState, actor: Actor) -> Self {
        Self { state, actor, edited_text: None, reason: None, escalation: None, message: None }
    }

    /// The word of the action log.
    const fn action(&self) -> &'static str {
        match self.state {
            SuggestionState::Pending | SuggestionState::Superseded => "supersede",
            SuggestionState::Approved => "approve",
            SuggestionState::Edited => "edit",
            SuggestionState::Rejected => "reject",
            SuggestionState::Escalated => "escalate",
        }
    }
}

impl<C: ConnectionTrait> Suggestions<'_, C> {
    pub async fn get(&self, id: SuggestionId) -> Result<Suggestion> {
        let found = self.0.find::<Entity>().filter(Column::Id.eq(id)).one(self.0.conn()).await?;
        found.ok_or_else(|| Error::not_found("suggestion", id))
    }

    /// Newest first, from behind `after`.
    pub async fn list(
        &self,
        filter: SuggestionFilter,
        after: Option<&SuggestionId>,
        limit: u64,
    ) -> Result<Vec<Suggestion>> {
        let mut query = self.0.find::<Entity>();
        if let Some(conversation) = filter.conversation {
            query = query.filter(Column::ConversationId.eq(conversation));
        }
        if let Some(state) = filter.state {
            query = query.filter(Column::State.eq(state));
        }
        if let Some(after) = after {
            query = query.filter(Column::Id.lt(*after));
        }
        Ok(query.order_by_desc(Column::Id).limit(limit).all(self.0.conn()).await?)
    }

    /// The draft of a conversation that waits for a person; there is at most one.
    pub async fn pending_of(&self, conversation: ConversationId) -> Result<Option<Suggestion>> {
        let query = self.0.find::<Entity>().filter(Column::ConversationId.eq(conversation));
        Ok(query.filter(Column::State.eq(SuggestionState::Pending)).one(self.0.conn()).await?)
    }

    /// How many drafts there were for a message of the customer.
    pub async fn attempts(&self, conversation: ConversationId, message: MessageId) -> Result<i32> {
        let query = self.0.find::<Entity>().filter(Column::ConversationId.eq(conversation));
        let latest = query.filter(Column::MessageId.eq(message)).order_by_desc(Column::Attempt);
        Ok(latest.one(self.0.conn()).await?.map_or(0, |row| row.attempt))
    }

    /// What was done with a draft, oldest first.
    pub async fn actions(&self, id: SuggestionId) -> Result<Vec<SuggestionAction>> {
        let query = self.0.find::<action::Entity>().filter(action::Column::SuggestionId.eq(id));
        Ok(query.order_by_asc(action::Column::Id).limit(100).all(self.0.conn()).await?)
    }
}

impl Suggestions<'_, Tx> {
    /// # Errors
    /// `Exists` when there is a draft for this message and attempt, or another one waits.
    pub async fn insert(&self, new: NewSuggestion) -> Result<Suggestion> {
        let now = self.0.env().now();
        let row = Suggestion {
            tenant_id: self.0.tenant(),
            id: new.id,
            conversation_id: new.conversation,
            message_id: new.message,
            attempt: new.attempt,
            state: SuggestionState::Pending,
            text: new.text,
            edited_text: None,
            question: new.question,
            intent: new.inputs.intent.word().to_owned(),
            decision: new.verdict.decision,
            confidence_bp: new.verdict.confidence_bp,
            autosend_eligible: new.verdict.eligible && new.block.is_none(),
            autosend_block: new.verdict.block.or(new.block),
            inputs: json(&new.inputs)?,
            policy: json(&new.policy)?,
            penalties: json(&new.verdict.penalties)?,
            sources: json(&new.sources)?,
            explanations: json(&new.explanations)?,
            self_check_reasons: json(&new.self_check_reasons)?,
            model: new.model,
            sent_message_id: None,
            escalation_id: None,
            decided_by: None,
            decide_reason: None,
            decide_time: None,
            version: 1,
            create_time: now,
            update_time: now,
        };
        self.0.insert(row.clone().into_active_model()).exec_without_returning(self.0.conn()).await?;
        Ok(row)
    }

    /// Ends a pending draft, once: `None` when somebody else did so first. The draft's own text stays.
    pub async fn settle(&self, seen: &Suggestion, how: &Settlement) -> Result<Option<Suggestion>> {
        let now = self.0.env().now();
        let superseded = how.state == SuggestionState::Superseded;
        let row = Suggestion {
            state: how.state,
            edited_text: how.edited_text.clone(),
            escalation_id: how.escalation.or(seen.escalation_id),
            sent_message_id: how.message,
            decided_by: (!superseded).then(|| how.actor.label()),
            decide_reason: how.reason.clone(),
            decide_time: Some(now),
            version: seen.version + 1,
            update_time: now,
            ..seen.clone()
        };
        let update = self
            .0
            .update::<Entity>()
            .set(row.clone().into_active_model().reset_all())
            .filter(Column::Id.eq(seen.id))
            .filter(Column::State.eq(SuggestionState::Pending))
            .filter(Column::Version.eq(seen.version));
        if update.exec(self.0.conn()).await?.rows_affected == 0 {
            return Ok(None);
        }
        let action = SuggestionAction {
            tenant_id: self.0.tenant(),
            id: self.0.env().id::<ActionId>(),
            suggestion_id: seen.id,
            action: how.action().to_owned(),
            actor: how.actor.label(),
            original_text: seen.text.clone(),
            edited_text: how.edited_text.clone(),
            reason: how.reason.clone(),
            create_time: now,
        };
        self.0.insert(action.into_active_model()).exec_without_returning(self.0.conn()).await?;
        Ok(Some(row))
    }

    /// Notes the escalation of a draft that still waits: people may answer with it all the same.
    pub async fn escalated(&self, seen: &Suggestion, escalation: EscalationId) -> Result<()> {
        self.0
            .update::<Entity>()
            .col_expr(Column::EscalationId, Expr::val(escalation))
            .filter(Column::Id.eq(seen.id))
            .exec(self.0.conn())
            .await?;
        Ok(())
    }
}

fn json(value: &impl Serialize) -> Result<Json> {
    serde_json::to_value(value).map_err(Error::internal)
}
