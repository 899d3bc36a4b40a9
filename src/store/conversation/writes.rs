//! The statements that put a message into a conversation.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, ExprTrait, FromQueryResult, IntoActiveModel, QueryFilter, Value,
    sea_query::Expr,
};
use serde_json::Value as Json;

use super::{Conversation, Conversations, Message, Messages};
use crate::{
    domain::{
        conversation::{Author, Direction, State, after_inbound, after_outbound},
        delivery::DeliveryStatus,
    },
    error::{Error, Result},
    id::{ChannelId, ConversationId, CustomerId, MessageId, SuggestionId},
    store::{
        Tx,
        entity::conversation::{Column, Entity},
        sql::statement,
    },
};

/// A message that came through a channel.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub channel: ChannelId,
    pub customer: CustomerId,
    pub message: MessageId,
    pub at: DateTime<Utc>,
    pub preview: String,
    /// The customer's own; otherwise the business's, past us.
    pub inbound: bool,
    pub window_expires_at: Option<DateTime<Utc>>,
    pub chat: Option<String>,
}

/// A message on its way to the customer.
#[derive(Clone, Debug)]
pub struct Departure {
    pub message: MessageId,
    pub at: DateTime<Utc>,
    pub preview: String,
}

/// A message to be.
#[derive(Clone, Debug)]
pub struct NewMessage {
    pub id: MessageId,
    pub conversation: ConversationId,
    pub channel: ChannelId,
    pub seq: i64,
    pub at: DateTime<Utc>,
    pub direction: Direction,
    pub author: Author,
    pub author_id: Option<String>,
    pub kind: String,
    pub text: String,
    pub attachments: Json,
    pub details: Option<Json>,
    pub external_id: Option<String>,
    pub provider_time: Option<DateTime<Utc>>,
    pub status: Option<DeliveryStatus>,
    pub attempt: i32,
    pub reply_to: Option<MessageId>,
    pub suggestion: Option<SuggestionId>,
    pub raw: Option<Json>,
}

/// Finds the one open conversation or begins it, and counts the message in it: however many do so at once,
/// there is one conversation and no count is lost. The newest message by its own time decides what the
/// inbox shows, so that late and shuffled arrivals end in the same row.
const ARRIVE: &str = "insert into conversation (tenant_id, id, customer_id, channel_id, state, priority, \
     unread_count, message_count, last_message_id, last_message_at, last_message_preview, \
     last_message_direction, last_inbound_id, last_inbound_at, window_expires_at, chat, version, create_time, \
     update_time) \
     values ($1, $2, $3, $4, $5, 'medium', $6, 1, $7, $8, $9, $10, $11, $12, $13, $14, 1, $15, $15) \
     on conflict (tenant_id, channel_id, customer_id) where state not in ('resolved', 'closed') do update set \
     state = case when conversation.state = 'assigned' \
         or excluded.last_message_at < conversation.last_message_at \
         then conversation.state else excluded.state end, \
     unread_count = conversation.unread_count + excluded.unread_count, \
     message_count = conversation.message_count + 1, \
     last_message_id = case when excluded.last_message_at >= conversation.last_message_at \
         then excluded.last_message_id else conversation.last_message_id end, \
     last_message_preview = case when excluded.last_message_at >= conversation.last_message_at \
         then excluded.last_message_preview else conversation.last_message_preview end, \
     last_message_direction = case when excluded.last_message_at >= conversation.last_message_at \
         then excluded.last_message_direction else conversation.last_message_direction end, \
     last_message_at = case when excluded.last_message_at >= conversation.last_message_at \
         then excluded.last_message_at else conversation.last_message_at end, \
     last_inbound_id = case when excluded.last_inbound_at is not null \
         and (conversation.last_inbound_at is null or excluded.last_inbound_at >= conversation.last_inbound_at) \
         then excluded.last_inbound_id else conversation.last_inbound_id end, \
     last_inbound_at = case when excluded.last_inbound_at is not null \
         and (conversation.last_inbound_at is null or excluded.last_inbound_at >= conversation.last_inbound_at) \
         then excluded.last_inbound_at else conversation.last_inbound_at end, \
     window_expires_at = case when excluded.window_expires_at is not null \
         and (conversation.window_expires_at is null \
              or excluded.window_expires_at > conversation.window_expires_at) \
         then excluded.window_expires_at else conversation.window_expires_at end, \
     chat = coalesce(excluded.chat, conversation.chat), \
     version = conversation.version + 1, \
     update_time = excluded.update_time \
     returning *";

impl Conversations<'_, Tx> {
    /// Counts an arriving message in the customer's open conversation on the channel, which begins now if
    /// there is none: then its version is 1.
    pub async fn arrive(&self, arrival: Arrival) -> Result<Conversation> {
        let Arrival { channel, customer, message, at, preview, inbound, window_expires_at, chat } = arrival;
        let (state, direction) = if inbound {
            (after_inbound(State::Open), Direction::Inbound)
        } else {
            (after_outbound(State::Open), Direction::Outbound)
        };
        let values: [Value; 15] = [
            self.0.tenant().into(),
            self.0.env().id::<ConversationId>().into(),
            customer.into(),
            channel.into(),
            state.into(),
            i32::from(inbound).into(),
            message.into(),
            at.into(),
            preview.into(),
            direction.into(),
            inbound.then_some(message).into(),
            inbound.then_some(at).into(),
            window_expires_at.into(),
            chat.into(),
            self.0.env().now().into(),
        ];
        let row = self.0.conn().query_one_raw(statement(self.0.backend(), ARRIVE, values)).await?;
        let row = row.ok_or_else(|| Error::internal(anyhow::anyhow!("an upsert returned no row")))?;
        Ok(Conversation::from_query_result(&row, "")?)
    }

    /// Counts a message that nobody is to look at: a blocked customer's.
    pub async fn overhear(&self, seen: &Conversation) -> Result<Conversation> {
        self.apply(
            self.0.update::<Entity>().col_expr(Column::MessageCount, Expr::value(seen.message_count + 1)),
            seen,
        )
        .await
    }

    /// Counts a message of the business; whoever answers has read everything.
    pub async fn depart(&self, seen: &Conversation, departure: Departure) -> Result<Conversation> {
        let Departure { message, at, preview } = departure;
        let update = self
            .0
            .update::<Entity>()
            .col_expr(Column::State, Expr::value(after_outbound(seen.state)))
            .col_expr(Column::UnreadCount, Expr::value(0))
            .col_expr(Column::MessageCount, Expr::value(seen.message_count + 1))
            .col_expr(Column::LastMessageId, Expr::value(message))
            .col_expr(Column::LastMessageAt, Expr::value(at))
            .col_expr(Column::LastMessagePreview, Expr::value(preview))
            .col_expr(Column::LastMessageDirection, Expr::value(Direction::Outbound));
        self.apply(update, seen).await
    }

    pub(super) async fn apply(
        &self,
        update: sea_orm::UpdateMany<Entity>,
        seen: &Conversation,
    ) -> Result<Conversation> {
        let update = update
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdateTime, Expr::value(self.0.env().now()))
            .filter(Column::Id.eq(seen.id))
            .filter(Column::Version.eq(seen.version));
        update.exec_with_returning(self.0.conn()).await?.pop().ok_or(Error::stale())
    }
}

impl Messages<'_, Tx> {
    pub async fn insert(&self, new: NewMessage) -> Result<Message> {
        let now = self.0.env().now();
        let row = Message {
            tenant_id: self.0.tenant(),
            id: new.id,
            conversation_id: new.conversation,
            channel_id: new.channel,
            seq: new.seq,
            at: new.at,
            direction: new.direction,
            author: new.author,
            author_id: new.author_id,
            kind: new.kind,
            text: new.text,
            attachments: new.attachments,
            details: new.details,
            external_id: new.external_id,
            provider_time: new.provider_time,
            status: new.status,
            attempt: new.attempt,
            failure_reason: None,
            failure_detail: None,
            reply_to_id: new.reply_to,
            suggestion_id: new.suggestion,
            reactions: Json::Object(serde_json::Map::new()),
            edited_at: None,
            settled_at: None,
            deleted_at: None,
            raw: new.raw,
            version: 1,
            create_time: now,
            update_time: now,
        };
        self.0.insert(row.clone().into_active_model()).exec_without_returning(self.0.conn()).await?;
        Ok(row)
    }
}
