//! What a draft is made from, read out of a conversation.

use crate::{
    ai::{DraftInput, Turn},
    domain::{conversation::Direction, decision::Policy, supersede},
    id::MessageId,
    store::conversation::Message,
};

/// How many of the newest messages are looked at, and how many before the turn are told.
pub(super) const LOOK_BACK: u64 = 50;
const HISTORY: usize = 6;

/// What a draft is made from, as it was read.
pub(super) struct Material {
    pub(super) input: DraftInput,
    pub(super) policy: Policy,
    /// How many messages the conversation had.
    pub(super) message_count: i64,
}

/// Whether the business wrote after `message` arrived: by arrival, as clocks of providers differ.
pub(super) fn answered(newest: &[Message], message: MessageId) -> bool {
    let asked = newest.iter().find(|row| row.id == message).map_or(0, |row| row.seq);
    newest.iter().any(|row| row.direction == Direction::Outbound && row.seq > asked)
}

/// The customer's turn, and what was said before it. `newest` comes newest first.
pub(super) fn turns(newest: &[Message]) -> (String, Vec<Turn>) {
    let inbound = |row: &&Message| row.direction == Direction::Inbound;
    let rows = newest.iter().skip_while(|row| !inbound(row));
    let turn: Vec<&Message> = rows.clone().take_while(inbound).collect();
    let question = supersede::turn(turn.iter().rev().map(|row| row.text.as_str()));
    let before = rows.skip(turn.len()).filter(|row| !row.text.trim().is_empty()).take(HISTORY);
    let mut history: Vec<Turn> = before
        .map(|row| Turn { from_customer: row.direction == Direction::Inbound, text: row.text.clone() })
        .collect();
    history.reverse();
    (question, history)
}
