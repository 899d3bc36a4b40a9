//! Conversations, customers and messages: rows to the contract.

use std::sync::Arc;

use prost::Message as _;
use prost_types::Any;

use super::{
    conversation::v1::{self, Attachment, Conversation, Customer, Message, Reaction},
    time,
};
use crate::{
    domain::{
        conversation::{Author, Direction, Precondition, Priority, State},
        delivery::DeliveryStatus,
        inbound,
    },
    error::{Error, Result},
    id::UserId,
    store::conversation as rows,
    wire,
};

impl From<rows::Conversation> for Conversation {
    fn from(row: rows::Conversation) -> Self {
        Self {
            id: row.id.to_string(),
            customer_id: row.customer_id.to_string(),
            channel_id: row.channel_id.to_string(),
            state: v1::ConversationState::from(row.state).into(),
            assignee_id: text(row.assignee_id),
            priority: v1::ConversationPriority::from(row.priority).into(),
            unread_count: row.unread_count,
            message_count: row.message_count,
            last_message_id: text(row.last_message_id),
            last_message_time: Some(time(row.last_message_at)),
            last_message_preview: row.last_message_preview,
            last_message_direction: direction(row.last_message_direction),
            last_inbound_time: row.last_inbound_at.map(time),
            window_expire_time: row.window_expires_at.map(time),
            resolve_time: row.resolved_at.map(time),
            close_time: row.closed_at.map(time),
            create_time: Some(time(row.create_time)),
            update_time: Some(time(row.update_time)),
            version: row.version,
        }
    }
}

impl From<rows::Message> for Message {
    fn from(row: rows::Message) -> Self {
        let reactions = row.reactions();
        let attachments: Vec<inbound::Attachment> =
            // Written by ingress alone; what does not read back is no attachment.
            serde_json::from_value(row.attachments).unwrap_or_default();
        Self {
            id: row.id.to_string(),
            conversation_id: row.conversation_id.to_string(),
            seq: row.seq,
            direction: direction(Some(row.direction)),
            author: v1::MessageAuthor::from(row.author).into(),
            author_id: row.author_id.unwrap_or_default(),
            kind: row.kind,
            text: row.text,
            attachments: attachments.into_iter().map(Attachment::from).collect(),
            sent_time: Some(time(row.at)),
            external_id: row.external_id.unwrap_or_default(),
            status: row.status.map_or(v1::DeliveryStatus::Unspecified, v1::DeliveryStatus::from).into(),
            attempt: row.attempt,
            failure_reason: row.failure_reason.unwrap_or_default(),
            failure_detail: row.failure_detail.unwrap_or_default(),
            reply_to_id: text(row.reply_to_id),
            suggestion_id: text(row.suggestion_id),
            reactions: reactions.into_iter().map(|(author, emoji)| Reaction { author, emoji }).collect(),
            edit_time: row.edited_at.map(time),
            delete_time: row.deleted_at.map(time),
            create_time: Some(time(row.create_time)),
            update_time: Some(time(row.update_time)),
            version: row.version,
        }
    }
}

impl From<inbound::Attachment> for Attachment {
    fn from(file: inbound::Attachment) -> Self {
        let inbound::Attachment { kind, external_id, url, mime, name, size, sha256: _ } = file;
        Self {
            kind: kind.as_str().to_owned(),
            mime_type: mime.unwrap_or_default(),
            name: name.unwrap_or_default(),
            size: size.and_then(|size| i64::try_from(size).ok()).unwrap_or_default(),
            url: url.unwrap_or_default(),
            external_id: external_id.unwrap_or_default(),
        }
    }
}

impl From<rows::Customer> for Customer {
    fn from(row: rows::Customer) -> Self {
        Self {
            id: row.id.to_string(),
            display_name: row.display_name,
            phone: row.phone.unwrap_or_default(),
            email: row.email.unwrap_or_default(),
            language: row.language.unwrap_or_default(),
            tags: serde_json::from_value(row.tags).unwrap_or_default(),
            blocked: row.blocked,
            block_reason: row.block_reason.unwrap_or_default(),
            identities: Vec::new(),
            create_time: Some(time(row.create_time)),
            update_time: Some(time(row.update_time)),
            version: row.version,
        }
    }
}

impl From<&rows::CustomerIdentity> for v1::CustomerIdentity {
    fn from(row: &rows::CustomerIdentity) -> Self {
        Self {
            channel_id: row.channel_id.to_string(),
            scheme: row.scheme.clone(),
            value: row.value.clone(),
            reachable: row.reachable,
        }
    }
}

macro_rules! enums {
    ($($ours:ty => $wire:ident { $($variant:ident),* };)*) => {
        $(impl From<$ours> for v1::$wire {
            fn from(value: $ours) -> Self {
                match value {
                    $(<$ours>::$variant => Self::$variant,)*
                }
            }
        })*
    };
}

enums! {
    State => ConversationState { Open, Pending, Assigned, WaitingCustomer, Snoozed, Resolved, Closed };
    Priority => ConversationPriority { Low, Medium, High, Urgent };
    Direction => MessageDirection { Inbound, Outbound };
    Author => MessageAuthor { Customer, Operator, Api, Ai, External };
    DeliveryStatus => DeliveryStatus { Queued, Unknown, Sent, Delivered, Read, Failed };
}

/// Reads a state; `None` for unspecified.
pub fn state(number: i32) -> Result<Option<State>> {
    use v1::ConversationState as Wire;
    let state = Wire::try_from(number).map_err(|_| Error::invalid("state", "is not a state"))?;
    Ok(Some(match state {
        Wire::Unspecified => return Ok(None),
        Wire::Open => State::Open,
        Wire::Pending => State::Pending,
        Wire::Assigned => State::Assigned,
        Wire::WaitingCustomer => State::WaitingCustomer,
        Wire::Snoozed => State::Snoozed,
        Wire::Resolved => State::Resolved,
        Wire::Closed => State::Closed,
    }))
}

/// Reads a precondition; `me` is whom `assigned_to_me` means.
///
/// # Errors
/// A message id that is none; `assigned_to_me` from somebody who cannot have a conversation.
pub fn precondition(
    demanded: Option<v1::Precondition>,
    me: impl FnOnce() -> Result<UserId>,
) -> Result<Precondition> {
    let Some(v1::Precondition { expected_version, last_message_id, assigned_to_me, window_open }) = demanded
    else {
        return Ok(Precondition::default());
    };
    Ok(Precondition {
        version: (expected_version != 0).then_some(expected_version),
        last_message: wire::optional_id("precondition.last_message_id", &last_message_id)?,
        assignee: if assigned_to_me { Some(me()?) } else { None },
        window_open,
    })
}

/// ABORTED with the conversation as it is now.
pub fn conversation_changed(now: &rows::Conversation) -> Error {
    let state = Any {
        type_url: "type.googleapis.com/switchboard.conversation.v1.Conversation".to_owned(),
        value: Conversation::from(now.clone()).encode_to_vec(),
    };
    Error::Changed { reason: "CONVERSATION_CHANGED", state: Some(Arc::new(state)) }
}

fn text(id: Option<impl ToString>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

fn direction(direction: Option<Direction>) -> i32 {
    direction.map_or(v1::MessageDirection::Unspecified, v1::MessageDirection::from).into()
}
