//! The end of a draft: the only way one becomes a message, whether a person or policy says so.

use super::outbound::{self, NewOutbound};
use crate::{
    auth::Actor,
    domain::{conversation::Author, event::Event, sending, suggestion::SuggestionState},
    error::{Error, Result},
    store::{
        TenantDb, Tx,
        conversation::{Conversation, NewEscalation, Settlement, Suggestion},
    },
};
use futures::FutureExt as _;

/// The reason of an escalation without a draft.
const UNDRAFTED: &str = "draft_failed";

/// Whether a free message may go into the conversation now.
///
/// # Errors
/// The obstacles of [`sending::check`]: `WINDOW_CLOSED`, `CONVERSATION_NOT_OPEN`, a blocked customer, a channel
/// that is off.
pub async fn check_sendable(db: &TenantDb<Tx>, conversation: &Conversation) -> Result<()> {
    let customer = db.customers().get(conversation.customer_id).await?;
    let channel = db.channels().get(conversation.channel_id).await?;
    let names = db.customers().identities(customer.id, Some(channel.id)).await?;
    Ok(sending::check(&outbound::situation(conversation, &customer, &channel, &names, db.env().now()))?)
}

/// Settles a pending draft and promises its message, both or neither. `conversation` is held by this
/// transaction.
pub async fn send(
    db: &TenantDb<Tx>,
    conversation: &Conversation,
    seen: &Suggestion,
    how: &Settlement,
) -> Result<Suggestion> {
    let id = db.env().id();
    let settled = settle(db, seen, &Settlement { message: Some(id), ..how.clone() }).boxed().await?;
    let (author, author_id) = match how.actor {
        Actor::User(id) => (Author::Operator, Some(id.to_string())),
        Actor::ApiKey(id) => (Author::Api, Some(id.to_string())),
        _ => (Author::Ai, None),
    };
    let new = NewOutbound {
        id: Some(id),
        text: how.edited_text.clone().unwrap_or_else(|| seen.text.clone()),
        author,
        author_id,
        reply_to: None,
        suggestion: Some(seen.id),
    };
    outbound::send(db, conversation, new).boxed().await?;
    Ok(settled)
}

/// Ends a pending draft and tells.
pub async fn settle(db: &TenantDb<Tx>, seen: &Suggestion, how: &Settlement) -> Result<Suggestion> {
    let settled = db.suggestions().settle(seen, how).boxed().await?.ok_or(Error::stale())?;
    db.emit(decided(&settled));
    Ok(settled)
}

/// Ends the pending draft of a conversation, if there is one: a newer one takes its place.
pub async fn supersede(db: &TenantDb<Tx>, conversation: &Conversation) -> Result<()> {
    if let Some(old) = db.suggestions().pending_of(conversation.id).await? {
        settle(db, &old, &Settlement::of(SuggestionState::Superseded, db.actor())).boxed().await?;
    }
    Ok(())
}

/// Opens the escalation of a draft; there is one a draft.
pub async fn escalate(
    db: &TenantDb<Tx>,
    draft: &Suggestion,
    reason: Option<&str>,
    summary: &str,
) -> Result<crate::id::EscalationId> {
    if let Some(open) = db.escalations().of_suggestion(draft.id).await? {
        return Ok(open.id);
    }
    let new = NewEscalation {
        conversation: draft.conversation_id,
        suggestion: Some(draft.id),
        reason: reason.unwrap_or(&draft.intent).to_owned(),
        summary: summary.to_owned(),
        suggested_text: draft.text.clone(),
    };
    open(db, new).boxed().await
}

/// Hands a conversation for which no draft could be made over to people, once until they took care of it.
pub async fn escalate_undrafted(db: &TenantDb<Tx>, conversation: &Conversation) -> Result<()> {
    if db.escalations().without_draft(conversation.id).await?.is_some() {
        return Ok(());
    }
    let new = NewEscalation {
        conversation: conversation.id,
        suggestion: None,
        reason: UNDRAFTED.to_owned(),
        summary: conversation.last_message_preview.clone(),
        suggested_text: String::new(),
    };
    open(db, new).boxed().await.map(|_| ())
}

async fn open(db: &TenantDb<Tx>, new: NewEscalation) -> Result<crate::id::EscalationId> {
    let opened = db.escalations().insert(new).await?;
    db.emit(Event::EscalationCreated {
        conversation: opened.conversation_id,
        escalation: opened.id,
        reason: opened.reason,
    });
    Ok(opened.id)
}

/// The event of a draft that ended.
fn decided(row: &Suggestion) -> Event {
    Event::SuggestionDecided {
        conversation: row.conversation_id,
        suggestion: row.id,
        state: row.state,
        message: row.sent_message_id,
    }
}
