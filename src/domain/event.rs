//! The vocabulary of a tenant's durable log. One entry tells what happened to one subject; it holds
//! what a screen or a webhook needs to show it without asking again.

use serde::{Deserialize, Serialize};

use super::{
    conversation::{Author, ChannelKind, Direction, State},
    delivery::DeliveryStatus,
    suggestion::SuggestionState,
};
use crate::id::{
    ChannelId, ConversationId, CustomerId, EscalationId, JobId, MessageId, SuggestionId, UserId,
};

/// Something that happened in a tenant. The `type` of each variant is part of the contract: never
/// renamed, only added to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Event {
    #[serde(rename = "conversation.created")]
    ConversationCreated {
        conversation: ConversationId,
        customer: CustomerId,
        channel: ChannelId,
        channel_kind: ChannelKind,
    },
    #[serde(rename = "conversation.updated")]
    ConversationUpdated {
        conversation: ConversationId,
        state: State,
        assignee: Option<UserId>,
        unread_count: i32,
        version: i64,
    },
    #[serde(rename = "message.created")]
    MessageCreated {
        conversation: ConversationId,
        message: MessageId,
        direction: Direction,
        author: Author,
        kind: String,
        text: String,
    },
    #[serde(rename = "message.status_changed")]
    MessageStatusChanged {
        conversation: ConversationId,
        message: MessageId,
        status: DeliveryStatus,
        /// Why it failed or is unknown.
        reason: Option<String>,
    },
    #[serde(rename = "message.edited")]
    MessageEdited { conversation: ConversationId, message: MessageId, text: String },
    #[serde(rename = "message.deleted")]
    MessageDeleted { conversation: ConversationId, message: MessageId },
    #[serde(rename = "message.reacted")]
    MessageReacted {
        conversation: ConversationId,
        message: MessageId,
        /// Absent when the reaction was taken back.
        emoji: Option<String>,
    },
    #[serde(rename = "suggestion.created")]
    SuggestionCreated {
        conversation: ConversationId,
        suggestion: SuggestionId,
        text: String,
        decision: String,
        confidence_bp: i32,
    },
    #[serde(rename = "suggestion.decided")]
    SuggestionDecided {
        conversation: ConversationId,
        suggestion: SuggestionId,
        state: SuggestionState,
        /// The message that went out, for approved and edited drafts.
        message: Option<MessageId>,
    },
    #[serde(rename = "escalation.created")]
    EscalationCreated { conversation: ConversationId, escalation: EscalationId, reason: String },
    #[serde(rename = "channel.updated")]
    ChannelUpdated { channel: ChannelId, channel_kind: ChannelKind, enabled: bool, health: String },
    #[serde(rename = "customer.updated")]
    CustomerUpdated { customer: CustomerId, blocked: bool },
    #[serde(rename = "member.updated")]
    MemberUpdated { user: UserId, role: String },
    /// Changes of settings, plan and access: `subject` names the row.
    #[serde(rename = "tenant.updated")]
    TenantUpdated { subject: String, action: String },
    #[serde(rename = "job.progressed")]
    JobProgressed {
        job: JobId,
        job_kind: String,
        done: i64,
        /// 0 when nobody knows.
        total: i64,
    },
}

impl Event {
    /// The contract's name of the kind: `message.created`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ConversationCreated { .. } => "conversation.created",
            Self::ConversationUpdated { .. } => "conversation.updated",
            Self::MessageCreated { .. } => "message.created",
            Self::MessageStatusChanged { .. } => "message.status_changed",
            Self::MessageEdited { .. } => "message.edited",
            Self::MessageDeleted { .. } => "message.deleted",
            Self::MessageReacted { .. } => "message.reacted",
            Self::SuggestionCreated { .. } => "suggestion.created",
            Self::SuggestionDecided { .. } => "suggestion.decided",
            Self::EscalationCreated { .. } => "escalation.created",
            Self::ChannelUpdated { .. } => "channel.updated",
            Self::CustomerUpdated { .. } => "customer.updated",
            Self::MemberUpdated { .. } => "member.updated",
            Self::TenantUpdated { .. } => "tenant.updated",
            Self::JobProgressed { .. } => "job.progressed",
        }
    }

    /// The id of what it happened to, as text.
    pub fn subject(&self) -> String {
        match self {
            Self::ConversationCreated { conversation, .. }
            | Self::ConversationUpdated { conversation, .. } => conversation.to_string(),
            Self::MessageCreated { message, .. }
            | Self::MessageStatusChanged { message, .. }
            | Self::MessageEdited { message, .. }
            | Self::MessageDeleted { message, .. }
            | Self::MessageReacted { message, .. } => message.to_string(),
            Self::SuggestionCreated { suggestion, .. } | Self::SuggestionDecided { suggestion, .. } => {
                suggestion.to_string()
            }
            Self::EscalationCreated { escalation, .. } => escalation.to_string(),
            Self::ChannelUpdated { channel, .. } => channel.to_string(),
            Self::CustomerUpdated { customer, .. } => customer.to_string(),
            Self::MemberUpdated { user, .. } => user.to_string(),
            Self::TenantUpdated { subject, .. } => subject.clone(),
            Self::JobProgressed { job, .. } => job.to_string(),
        }
    }

    /// The conversation it belongs to, for filters and for order.
    pub const fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::ConversationCreated { conversation, .. }
            | Self::ConversationUpdated { conversation, .. }
            | Self::MessageCreated { conversation, .. }
            | Self::MessageStatusChanged { conversation, .. }
            | Self::MessageEdited { conversation, .. }
            | Self::MessageDeleted { conversation, .. }
            | Self::MessageReacted { conversation, .. }
            | Self::SuggestionCreated { conversation, .. }
            | Self::SuggestionDecided { conversation, .. }
            | Self::EscalationCreated { conversation, .. } => Some(*conversation),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_kind_is_the_stored_tag() {
        let event = Event::MessageDeleted {
            conversation: ConversationId(Uuid::from_u128(1)),
            message: MessageId(Uuid::from_u128(2)),
        };
        let stored = serde_json::to_value(&event).unwrap();
        assert_eq!(stored["type"], event.kind());
        assert_eq!(serde_json::from_value::<Event>(stored).unwrap(), event);
    }
}
