//! "Only if the conversation is still as I saw it": checked on the row that the transaction holds.

use crate::{
    domain::{
        channel,
        conversation::{Precondition, Present},
        window,
    },
    error::Result,
    store::{TenantDb, Tx, conversation::Conversation},
    wire::thread::conversation_changed,
};

/// Refuses with the conversation as it is now, unless it still is as the caller saw it. `now` must be held
/// by the transaction ([`Conversations::locked`](crate::store::conversation::Conversations::locked)).
pub async fn require(db: &TenantDb<Tx>, demanded: &Precondition, now: &Conversation) -> Result<()> {
    let window_open = if demanded.window_open {
        let channel = db.channels().get(now.channel_id).await?;
        window::is_open(channel::window(channel.kind), now.last_inbound_at, db.env().now())
    } else {
        // Nobody asks.
        true
    };
    let present = Present {
        version: now.version,
        last_message: now.last_message_id,
        assignee: now.assignee_id,
        window_open,
    };
    if demanded.holds(&present) { Ok(()) } else { Err(conversation_changed(now)) }
}
