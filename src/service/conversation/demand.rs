//! What a command demands of its conversation.

use crate::{
    auth::Caller,
    domain::{
        channel,
        conversation::{Precondition, Present},
        window,
    },
    error::{Error, Result},
    store::{TenantDb, Tx, conversation::Conversation},
    wire::{self, conversation::v1},
};

/// A precondition, read.
pub(super) struct Demand(Precondition);

impl Demand {
    /// # Errors
    /// A message id that is none; a machine that says "assigned to me".
    pub(super) fn read(given: Option<v1::Precondition>, caller: &Caller) -> Result<Self> {
        let Some(given) = given else { return Ok(Self(Precondition::default())) };
        Ok(Self(Precondition {
            version: Some(given.expected_version).filter(|version| *version != 0),
            last_message: wire::optional_id("precondition.last_message_id", &given.last_message_id)?,
            assignee: given.assigned_to_me.then(|| caller.user()).transpose()?,
            window_open: given.window_open,
        }))
    }

    /// Checks the conversation as this transaction holds it.
    ///
    /// # Errors
    /// `WINDOW_CLOSED` when only that is wrong; else ABORTED `CONVERSATION_CHANGED`.
    pub(super) async fn check(&self, db: &TenantDb<Tx>, conversation: &Conversation) -> Result<()> {
        let channel = db.channels().get(conversation.channel_id).await?;
        let window = channel::window(channel.kind);
        let mut present = Present {
            version: conversation.version,
            last_message: conversation.last_message_id,
            assignee: conversation.assignee_id,
            window_open: true,
        };
        if !self.0.holds(&present) {
            return Err(Error::Changed { reason: "CONVERSATION_CHANGED", state: None });
        }
        present.window_open = window::is_open(window, conversation.last_inbound_at, db.env().now());
        if self.0.holds(&present) { Ok(()) } else { Err(window::CLOSED.into()) }
    }
}
