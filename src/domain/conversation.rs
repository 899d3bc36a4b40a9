//! Conversations: their states, who may move them, and what a sender may demand of them.

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

use super::Rejected;
use crate::id::{MessageId, UserId};

/// A messenger, or whatever else carries a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    Whatsapp,
    Telegram,
    Webhook,
}

/// Where a conversation stands. All but `Resolved` and `Closed` count as open; a customer has at
/// most one open conversation on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for anyone.
    Open,
    /// The AI works on a draft, or a draft waits for a person.
    Pending,
    /// An operator has it.
    Assigned,
    /// Answered; the customer's turn.
    WaitingCustomer,
    /// Put aside until a time.
    Snoozed,
    /// Done, as far as the business is concerned.
    Resolved,
    /// Done for good.
    Closed,
}

impl State {
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Resolved | Self::Closed)
    }
}

/// How urgent a conversation is.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    EnumIter,
    DeriveActiveEnum,
    Serialize,
    Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    Low,
    Medium,
    High,
    Urgent,
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Inbound,
    Outbound,
}

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Author {
    Customer,
    /// A member, through Switchboard.
    Operator,
    /// A machine with an API key.
    Api,
    /// The AI, sent by policy.
    Ai,
    /// The business, past Switchboard: from its own phone.
    External,
}

/// What a command demands of a conversation; see `Precondition` in the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Precondition {
    pub version: Option<i64>,
    pub last_message: Option<MessageId>,
    pub assignee: Option<UserId>,
    pub window_open: bool,
}

/// What a [`Precondition`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct Present {
    pub version: i64,
    pub last_message: Option<MessageId>,
    pub assignee: Option<UserId>,
    pub window_open: bool,
}

impl Precondition {
    /// Whether the conversation is still as the sender of the command saw it.
    pub fn holds(&self, now: &Present) -> bool {
        self.version.is_none_or(|version| version == now.version)
            && (self.last_message.is_none() || self.last_message == now.last_message)
            && (self.assignee.is_none() || self.assignee == now.assignee)
            && (!self.window_open || now.window_open)
    }
}

/// The operator takes the conversation: only an open one, and only one that nobody else has.
pub fn assign(state: State, current: Option<UserId>, to: UserId) -> Result<State, Rejected> {
    if !state.is_open() {
        return Err(NOT_OPEN);
    }
    match current {
        Some(current) if current == to => {
            Err(Rejected::because("ALREADY_ASSIGNED", "the conversation already belongs to this operator"))
        }
        Some(_) => Err(Rejected::because("ASSIGNED_TO_ANOTHER", "another operator has the conversation")),
        None => Ok(State::Assigned),
    }
}

/// The operator gives the conversation back.
pub fn release(state: State, current: Option<UserId>) -> Result<State, Rejected> {
    match (state.is_open(), current) {
        (false, _) => Err(NOT_OPEN),
        (true, None) => Err(Rejected::because("NOT_ASSIGNED", "nobody has the conversation")),
        (true, Some(_)) => Ok(State::Open),
    }
}

/// The question is answered.
pub fn resolve(state: State) -> Result<State, Rejected> {
    if state.is_open() { Ok(State::Resolved) } else { Err(NOT_OPEN) }
}

/// Done for good: only what is resolved.
pub fn close(state: State) -> Result<State, Rejected> {
    match state {
        State::Resolved => Ok(State::Closed),
        _ => Err(Rejected::because("NOT_RESOLVED", "only a resolved conversation can be closed")),
    }
}

/// Back to work.
pub fn reopen(state: State) -> Result<State, Rejected> {
    if state.is_open() {
        Err(Rejected::because("ALREADY_OPEN", "the conversation is open"))
    } else {
        Ok(State::Open)
    }
}

/// The state after a customer wrote: an assigned conversation stays with its operator.
pub const fn after_inbound(state: State) -> State {
    match state {
        State::Assigned => State::Assigned,
        _ => State::Open,
    }
}

/// The state after the business wrote.
pub const fn after_outbound(state: State) -> State {
    match state {
        State::Assigned => State::Assigned,
        _ => State::WaitingCustomer,
    }
}

/// Whether a message may be sent into a conversation of that state.
pub const fn check_sendable(state: State) -> Result<(), Rejected> {
    if state.is_open() { Ok(()) } else { Err(NOT_OPEN) }
}

const NOT_OPEN: Rejected =
    Rejected::because("CONVERSATION_NOT_OPEN", "the conversation is resolved or closed; reopen it first");

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ANN: UserId = UserId(Uuid::from_u128(1));
    const BEN: UserId = UserId(Uuid::from_u128(2));

    fn reason<T>(result: Result<T, Rejected>) -> &'static str {
        result.err().map_or("ok", |rejected| rejected.reason)
    }

    #[test]
    fn only_one_operator_has_a_conversation() {
        assert_eq!(assign(State::Open, None, ANN), Ok(State::Assigned));
        assert_eq!(assign(State::Snoozed, None, ANN), Ok(State::Assigned));
        assert_eq!(reason(assign(State::Assigned, Some(ANN), ANN)), "ALREADY_ASSIGNED");
        assert_eq!(reason(assign(State::Assigned, Some(BEN), ANN)), "ASSIGNED_TO_ANOTHER");
        assert_eq!(reason(assign(State::Resolved, None, ANN)), "CONVERSATION_NOT_OPEN");
        assert_eq!(release(State::Assigned, Some(ANN)), Ok(State::Open));
        assert_eq!(reason(release(State::Open, None)), "NOT_ASSIGNED");
    }

    #[test]
    fn a_precondition_names_what_must_not_have_changed() {
        let last = Some(MessageId(Uuid::from_u128(3)));
        let now = Present { version: 7, last_message: last, assignee: Some(ANN), window_open: false };
        let any = Precondition::default();

        assert!(any.holds(&now));
        assert!(
            Precondition { version: Some(7), last_message: last, assignee: Some(ANN), ..any }.holds(&now)
        );
        assert!(!Precondition { version: Some(6), ..any }.holds(&now));
        assert!(!Precondition { last_message: Some(MessageId(Uuid::from_u128(4))), ..any }.holds(&now));
        assert!(!Precondition { assignee: Some(BEN), ..any }.holds(&now));
        assert!(!Precondition { window_open: true, ..any }.holds(&now));
    }

    /// Acceptance case 124: close needs resolved, reopen needs not open.
    #[test]
    fn a_conversation_ends_in_order() {
        assert_eq!(resolve(State::Assigned), Ok(State::Resolved));
        assert_eq!(reason(resolve(State::Resolved)), "CONVERSATION_NOT_OPEN");
        assert_eq!(reason(close(State::Open)), "NOT_RESOLVED");
        assert_eq!(close(State::Resolved), Ok(State::Closed));
        assert_eq!(reopen(State::Closed), Ok(State::Open));
        assert_eq!(reason(reopen(State::Open)), "ALREADY_OPEN");
    }
}
