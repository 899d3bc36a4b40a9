use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};
use serde::{Deserialize, Serialize};

pub use crate::store::entity::conversation::Model as Conversation;
use crate::{
    domain::conversation::State,
    error::{Error, Result},
    id::{ChannelId, ConversationId, CustomerId, MessageId, UserId},
    store::{
        TenantDb, Tx,
        entity::conversation::{Column, Entity},
        scope::TenantOwned,
    },
};

impl TenantOwned for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// The inbox.
    pub fn conversations(&self) -> Conversations<'_, C> {
        Conversations(self)
    }
}

/// The inbox.
pub struct Conversations<'a, C>(pub(super) &'a TenantDb<C>);

/// Which conversations to list; `None` for all.
#[derive(Clone, Debug, Default)]
pub struct ConversationFilter {
    pub state: Option<State>,
    pub channel: Option<ChannelId>,
    pub assignee: Option<UserId>,
    pub customer: Option<CustomerId>,
}

/// A place in the list: newest message first, then id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position(pub DateTime<Utc>, pub ConversationId);

impl From<&Conversation> for Position {
    fn from(row: &Conversation) -> Self {
        Self(row.last_message_at, row.id)
    }
}

impl<C: ConnectionTrait> Conversations<'_, C> {
    pub async fn get(&self, id: ConversationId) -> Result<Conversation> {
        let found = self.0.row(self.0.find::<Entity>().filter(Column::Id.eq(id))).await?;
        found.ok_or_else(|| Error::not_found("conversation", id))
    }

    /// The one with the newest message first.
    pub async fn list(
        &self,
        filter: &ConversationFilter,
        after: Option<&Position>,
        limit: u64,
    ) -> Result<Vec<Conversation>> {
        let ConversationFilter { state, channel, assignee, customer } = filter;
        let mut query = self.0.find::<Entity>();
        if let Some(state) = state {
            query = query.filter(Column::State.eq(*state));
        }
        if let Some(channel) = channel {
            query = query.filter(Column::ChannelId.eq(*channel));
        }
        if let Some(assignee) = assignee {
            query = query.filter(Column::AssigneeId.eq(*assignee));
        }
        if let Some(customer) = customer {
            query = query.filter(Column::CustomerId.eq(*customer));
        }
        if let Some(Position(at, id)) = after {
            // The first condition is what the index can start from.
            let later = Condition::any().add(Column::LastMessageAt.lt(*at)).add(Column::Id.lt(*id));
            query = query.filter(Column::LastMessageAt.lte(*at)).filter(later);
        }
        let query = query.order_by_desc(Column::LastMessageAt).order_by_desc(Column::Id).limit(limit);
        self.0.rows(query).await
    }

    /// The customer's newest conversation on the channel, in whatever state.
    pub async fn newest_of(&self, channel: ChannelId, customer: CustomerId) -> Result<Option<Conversation>> {
        let found = self
            .0
            .find::<Entity>()
            .filter(Column::ChannelId.eq(channel))
            .filter(Column::CustomerId.eq(customer))
            .order_by_desc(Column::LastMessageAt)
            .order_by_desc(Column::Id);
        Ok(found.one(self.0.conn()).await?)
    }
}

impl Conversations<'_, Tx> {
    /// The conversation, held until this transaction ends: what is checked is still so when it is changed.
    pub async fn locked(&self, id: ConversationId) -> Result<Conversation> {
        // SQLite has one writer at a time and needs no lock; there this reads.
        let found = self.0.row(self.0.find::<Entity>().filter(Column::Id.eq(id)).lock_exclusive()).await?;
        found.ok_or_else(|| Error::not_found("conversation", id))
    }

    /// Moves a conversation to `state`, into the hands of `assignee`.
    ///
    /// # Errors
    /// `ANOTHER_CONVERSATION_OPEN` when that would give the customer a second open one on the channel.
    pub async fn move_to(
        &self,
        seen: &Conversation,
        state: State,
        assignee: Option<UserId>,
    ) -> Result<Conversation> {
        let now = self.0.env().now();
        let resolved_at =
            (state == State::Resolved).then_some(now).or(seen.resolved_at.filter(|_| !state.is_open()));
        let closed_at = (state == State::Closed).then_some(now);
        let update = self
            .0
            .update::<Entity>()
            .col_expr(Column::State, Expr::value(state))
            .col_expr(Column::AssigneeId, Expr::value(assignee))
            .col_expr(Column::ResolvedAt, Expr::value(resolved_at))
            .col_expr(Column::ClosedAt, Expr::value(closed_at));
        match self.apply(update, seen).await {
            Err(Error::Exists { .. }) => Err(Error::rejected(
                "ANOTHER_CONVERSATION_OPEN",
                "the customer has another open conversation on this channel",
            )),
            moved => moved,
        }
    }

    /// Nothing is unread any more.
    pub async fn mark_read(&self, seen: &Conversation) -> Result<Conversation> {
        let update = self.0.update::<Entity>().col_expr(Column::UnreadCount, Expr::value(0));
        self.apply(update, seen).await
    }

    /// The message says something else now; changes nothing unless it is the newest one.
    pub async fn reword(&self, id: ConversationId, message: MessageId, preview: String) -> Result<()> {
        self.0
            .update::<Entity>()
            .col_expr(Column::LastMessagePreview, Expr::value(preview))
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdateTime, Expr::value(self.0.env().now()))
            .filter(Column::Id.eq(id))
            .filter(Column::LastMessageId.eq(message))
            .exec(self.0.conn())
            .await?;
        Ok(())
    }
}
