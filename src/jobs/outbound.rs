//! The one way a message leaves: promised with the conversation's row, sent by a job.

use chrono::{DateTime, Utc};
use futures::FutureExt as _;

use super::{Terms, effect, enqueue, send_message::SendMessage};
use crate::{
    domain::{
        conversation::{Author, Direction},
        delivery::DeliveryStatus,
        event::Event,
        sending,
    },
    error::{Error, Result},
    id::{MessageId, SuggestionId},
    store::{
        TenantDb, Tx,
        conversation::{
            Channel, Conversation, Customer, CustomerIdentity, Departure, Message, Met, NewMessage,
        },
    },
};

/// A text to be sent.
#[derive(Clone, Debug)]
pub struct NewOutbound {
    /// Chosen by the client; `None` to make one.
    pub id: Option<MessageId>,
    /// 1 to 4,000 characters.
    pub text: String,
    pub author: Author,
    /// `usr_…` or `key_…`; `None` for the AI.
    pub author_id: Option<String>,
    /// A message of the same conversation.
    pub reply_to: Option<MessageId>,
    pub suggestion: Option<SuggestionId>,
}

/// Promises a message to the customer: it goes out once, after the earlier ones of its conversation, when
/// this transaction commits. `conversation` must be held by it
/// ([`Conversations::locked`](crate::store::conversation::Conversations::locked)), so that what the caller
/// checked is still so.
///
/// # Errors
/// The obstacles of [`sending::check`]; a text or a reference that does not fit; `Exists` for an id or a
/// draft that was used before.
pub async fn send(db: &TenantDb<Tx>, conversation: &Conversation, new: NewOutbound) -> Result<Message> {
    check(db, conversation, &new).boxed().await?;
    let NewOutbound { id, text, author, author_id, reply_to, suggestion } = new;
    let id = id.unwrap_or_else(|| db.env().id());
    // The messenger's clock may be ahead of ours: an answer never stands before its question.
    let at = db.env().now().max(conversation.last_message_at);
    let departure = Departure { message: id, at, preview: sending::preview("text", &text) };
    let conversation = db.conversations().depart(conversation, departure).await?;
    let message = NewMessage {
        id,
        conversation: conversation.id,
        channel: conversation.channel_id,
        seq: conversation.message_count,
        at,
        direction: Direction::Outbound,
        author,
        author_id,
        kind: "text".to_owned(),
        text,
        attachments: serde_json::Value::Array(Vec::new()),
        details: None,
        external_id: None,
        provider_time: None,
        status: Some(DeliveryStatus::Queued),
        attempt: 1,
        reply_to,
        suggestion,
        raw: None,
    };
    let message = db.messages().insert(message).await?;
    dispatch(db, &message).boxed().await?;
    db.emit(created(&message));
    db.emit(updated(&conversation));
    Ok(message)
}

/// What keeps [`send`] from promising the message; changes nothing.
pub async fn check(db: &TenantDb<Tx>, conversation: &Conversation, new: &NewOutbound) -> Result<()> {
    sending::check_text(&new.text).map_err(|problem| Error::invalid("text", problem))?;
    let customer = db.customers().get(conversation.customer_id).await?;
    let channel = db.channels().get(conversation.channel_id).await?;
    let names = db.customers().identities(customer.id, Some(channel.id)).await?;
    sending::check(&situation(conversation, &customer, &channel, &names, db.env().now()))?;
    let Some(reply_to) = new.reply_to else { return Ok(()) };
    let answered = db.messages().get(reply_to).await?;
    if answered.conversation_id == conversation.id {
        Ok(())
    } else {
        Err(Error::not_found("message", reply_to))
    }
}

/// Promises the present attempt of a queued message.
pub async fn dispatch(db: &TenantDb<Tx>, message: &Message) -> Result<()> {
    let job = SendMessage { message: message.id, attempt: message.attempt };
    enqueue(db, &job, Terms::now().ordered(message.conversation_id.0)).boxed().await?;
    Ok(())
}

/// Tells the ledger what became of an attempt whose outcome nobody knew.
pub async fn settle(
    db: &TenantDb<Tx>,
    met: Met,
    status: DeliveryStatus,
    external_id: Option<&str>,
) -> Result<()> {
    let key = SendMessage { message: met.message, attempt: met.attempt }.effect_key();
    if status == DeliveryStatus::Failed {
        db.effect_undone(key).await
    } else {
        effect::found(db, key, external_id).await
    }
}

/// What decides whether something may be sent into a conversation.
pub fn situation(
    conversation: &Conversation,
    customer: &Customer,
    channel: &Channel,
    names: &[CustomerIdentity],
    now: DateTime<Utc>,
) -> sending::Situation {
    sending::Situation {
        state: conversation.state,
        customer_blocked: customer.blocked,
        customer_reachable: names.iter().any(|name| name.reachable),
        channel: channel.kind,
        channel_enabled: channel.enabled,
        channel_health: channel.health,
        last_inbound: conversation.last_inbound_at,
        now,
    }
}

/// The event of a new message.
pub fn created(message: &Message) -> Event {
    Event::MessageCreated {
        conversation: message.conversation_id,
        message: message.id,
        direction: message.direction,
        author: message.author,
        kind: message.kind.clone(),
        text: message.text.clone(),
    }
}

/// The event of a conversation that changed.
pub fn updated(conversation: &Conversation) -> Event {
    Event::ConversationUpdated {
        conversation: conversation.id,
        state: conversation.state,
        assignee: conversation.assignee_id,
        unread_count: conversation.unread_count,
        version: conversation.version,
    }
}

/// The event of a delivery that came further; `None` for a message of the customer.
pub fn status_changed(message: &Message) -> Option<Event> {
    Some(Event::MessageStatusChanged {
        conversation: message.conversation_id,
        message: message.id,
        status: message.status?,
        reason: message.failure_reason.clone(),
    })
}

/// The event of a channel that changed.
pub fn channel_updated(channel: &Channel) -> Event {
    Event::ChannelUpdated {
        channel: channel.id,
        channel_kind: channel.kind,
        enabled: channel.enabled,
        health: channel.health.as_str().to_owned(),
    }
}
