use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};

pub use crate::store::entity::escalation::Model as Escalation;
use crate::{
    domain::suggestion::EscalationState,
    error::{Error, Result},
    id::{ConversationId, EscalationId, SuggestionId},
    store::{
        TenantDb, Tx,
        entity::escalation::{Column, Entity},
        scope::TenantOwned,
    },
};

impl TenantOwned for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// Questions that went over to people.
    pub fn escalations(&self) -> Escalations<'_, C> {
        Escalations(self)
    }
}

/// Questions that went over to people.
pub struct Escalations<'a, C>(&'a TenantDb<C>);

/// A hand-over to be.
#[derive(Clone, Debug)]
pub struct NewEscalation {
    pub conversation: ConversationId,
    /// `None` when no draft could be made.
    pub suggestion: Option<SuggestionId>,
    pub reason: String,
    pub summary: String,
    pub suggested_text: String,
}

/// Which escalations to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct EscalationFilter {
    pub conversation: Option<ConversationId>,
    pub state: Option<EscalationState>,
}

impl<C: ConnectionTrait> Escalations<'_, C> {
    pub async fn get(&self, id: EscalationId) -> Result<Escalation> {
        let found = self.0.find::<Entity>().filter(Column::Id.eq(id)).one(self.0.conn()).await?;
        found.ok_or_else(|| Error::not_found("escalation", id))
    }

    /// The escalation that a draft led to.
    pub async fn of_suggestion(&self, suggestion: SuggestionId) -> Result<Option<Escalation>> {
        let query = self.0.find::<Entity>().filter(Column::SuggestionId.eq(suggestion));
        Ok(query.one(self.0.conn()).await?)
    }

    /// The open one of a conversation for which no draft could be made.
    pub async fn without_draft(&self, conversation: ConversationId) -> Result<Option<Escalation>> {
        let open = self.0.find::<Entity>().filter(Column::ConversationId.eq(conversation));
        let open = open.filter(Column::State.eq(EscalationState::Pending));
        Ok(open.filter(Column::SuggestionId.is_null()).one(self.0.conn()).await?)
    }

    /// Newest first, from behind `after`.
    pub async fn list(
        &self,
        filter: EscalationFilter,
        after: Option<&EscalationId>,
        limit: u64,
    ) -> Result<Vec<Escalation>> {
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
}

impl Escalations<'_, Tx> {
    /// # Errors
    /// `Exists` when the draft has one already.
    pub async fn insert(&self, new: NewEscalation) -> Result<Escalation> {
        let now = self.0.env().now();
        let row = Escalation {
            tenant_id: self.0.tenant(),
            id: self.0.env().id(),
            conversation_id: new.conversation,
            suggestion_id: new.suggestion,
            reason: new.reason,
            summary: new.summary,
            suggested_text: new.suggested_text,
            state: EscalationState::Pending,
            resolved_by: None,
            resolve_time: None,
            version: 1,
            create_time: now,
            update_time: now,
        };
        self.0.insert(row.clone().into_active_model()).exec_without_returning(self.0.conn()).await?;
        Ok(row)
    }

    /// Ends `seen`, unless someone else changed it first.
    pub async fn resolve(&self, seen: &Escalation, to: EscalationState) -> Result<Escalation> {
        let now = self.0.env().now();
        let row = Escalation {
            state: to,
            resolved_by: Some(self.0.actor().label()),
            resolve_time: Some(now),
            version: seen.version + 1,
            update_time: now,
            ..seen.clone()
        };
        let update = self.0.update::<Entity>().set(row.clone().into_active_model().reset_all());
        let guarded = update.filter(Column::Id.eq(seen.id)).filter(Column::Version.eq(seen.version));
        match guarded.exec(self.0.conn()).await?.rows_affected {
            0 => Err(Error::stale()),
            _ => Ok(row),
        }
    }
}
