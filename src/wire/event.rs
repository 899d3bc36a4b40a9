//! The event log: stored entries to the contract's events.

use super::{
    tenant::v1::{self, event::Payload},
    time, word,
};
use crate::{
    domain::event::Event,
    error::{Error, Result},
    store::events::LoggedEvent,
};

impl TryFrom<&LoggedEvent> for v1::Event {
    type Error = Error;

    fn try_from(row: &LoggedEvent) -> Result<Self> {
        let payload = row.event()?.into();
        let LoggedEvent {
            tenant_id: _,
            id,
            shard: _,
            seq,
            kind,
            subject,
            conversation_id,
            actor,
            payload: _,
            at,
        } = row;
        Ok(Self {
            id: id.to_string(),
            seq: seq.unwrap_or_default(),
            r#type: kind.clone(),
            create_time: Some(time(*at)),
            actor: actor.clone(),
            subject: subject.clone(),
            conversation_id: conversation_id.map(|id| id.to_string()).unwrap_or_default(),
            payload,
        })
    }
}

impl From<Event> for Option<Payload> {
    fn from(event: Event) -> Self {
        Some(match event {
            Event::ConversationCreated { conversation: _, customer, channel, channel_kind } => {
                Payload::ConversationCreated(v1::ConversationCreated {
                    customer_id: customer.to_string(),
                    channel_id: channel.to_string(),
                    channel_kind: word(&channel_kind),
                })
            }
            Event::ConversationUpdated { conversation: _, state, assignee, unread_count, version } => {
                Payload::ConversationUpdated(v1::ConversationUpdated {
                    state: word(&state),
                    assignee_id: assignee.map(|id| id.to_string()).unwrap_or_default(),
                    unread_count,
                    version,
                })
            }
            Event::MessageCreated { conversation: _, message: _, direction, author, kind, text } => {
                Payload::MessageCreated(v1::MessageCreated {
                    direction: word(&direction),
                    author: word(&author),
                    kind,
                    text,
                })
            }
            Event::MessageStatusChanged { conversation: _, message: _, status, reason } => {
                Payload::MessageStatusChanged(v1::MessageStatusChanged {
                    status: word(&status),
                    reason: reason.unwrap_or_default(),
                })
            }
            Event::MessageEdited { conversation: _, message: _, text } => {
                Payload::MessageEdited(v1::MessageEdited { text })
            }
            // The type and the subject say it all.
            Event::MessageDeleted { conversation: _, message: _ } => return None,
            Event::MessageReacted { conversation: _, message: _, emoji } => {
                Payload::MessageReacted(v1::MessageReacted { emoji: emoji.unwrap_or_default() })
            }
            Event::SuggestionCreated { conversation: _, suggestion: _, text, decision, confidence_bp } => {
                Payload::SuggestionCreated(v1::SuggestionCreated { text, decision, confidence_bp })
            }
            Event::SuggestionDecided { conversation: _, suggestion: _, state, message } => {
                Payload::SuggestionDecided(v1::SuggestionDecided {
                    state: word(&state),
                    message_id: message.map(|id| id.to_string()).unwrap_or_default(),
                })
            }
            Event::EscalationCreated { conversation: _, escalation: _, reason } => {
                Payload::EscalationCreated(v1::EscalationCreated { reason })
            }
            Event::ChannelUpdated { channel: _, channel_kind, enabled, health } => {
                Payload::ChannelUpdated(v1::ChannelUpdated {
                    channel_kind: word(&channel_kind),
                    enabled,
                    health,
                })
            }
            Event::CustomerUpdated { customer: _, blocked } => {
                Payload::CustomerUpdated(v1::CustomerUpdated { blocked })
            }
            Event::JobProgressed { job: _, job_kind, done, total } => {
                Payload::JobProgressed(v1::JobProgressed { job_kind, done, total })
            }
            Event::MemberUpdated { user: _, role } => Payload::MemberUpdated(v1::MemberUpdated { role }),
            Event::TenantUpdated { subject: _, action } => {
                Payload::TenantUpdated(v1::TenantUpdated { action })
            }
        })
    }
}
