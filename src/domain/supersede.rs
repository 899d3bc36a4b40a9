//! When a draft is still wanted: the questions a drafting job asks first, and what a newer message ends.

use super::{Rejected, conversation::State, suggestion::SuggestionState};
use crate::id::MessageId;

/// What a drafting job looks at before it works, and again before it stores.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// The customer's message that the job is for.
    pub message: MessageId,
    /// The customer's newest message.
    pub last_inbound: Option<MessageId>,
    pub state: State,
    pub customer_blocked: bool,
}

/// Why a draft is not wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwanted {
    /// The customer wrote again: the job of that message drafts for both.
    NewerMessage,
    /// The conversation is over.
    NotOpen,
    /// Nobody answers a blocked customer.
    Blocked,
}

/// Whether a draft for that message is still wanted. An assigned conversation gets one too: its operator may
/// use it; only policy keeps its hands off (see [`may_send_itself`]).
pub fn wanted(now: Situation) -> Result<(), Unwanted> {
    if now.last_inbound != Some(now.message) {
        Err(Unwanted::NewerMessage)
    } else if !now.state.is_open() {
        Err(Unwanted::NotOpen)
    } else if now.customer_blocked {
        Err(Unwanted::Blocked)
    } else {
        Ok(())
    }
}

/// Whether a draft may be asked for.
pub fn check_draftable(state: State, customer_blocked: bool) -> Result<(), Rejected> {
    super::conversation::check_sendable(state)?;
    if customer_blocked {
        return Err(Rejected::because("CUSTOMER_BLOCKED", "the customer is blocked"));
    }
    Ok(())
}

/// Whether policy may send into a conversation of that state: never beside an operator at work.
pub const fn may_send_itself(state: State, assigned: bool) -> bool {
    state.is_open() && !assigned && !matches!(state, State::Assigned)
}

/// Whether a person may still send a draft made for `answers`: not once the customer wrote again.
pub fn check_current(
    state: SuggestionState,
    answers: MessageId,
    last_inbound: Option<MessageId>,
) -> Result<(), Rejected> {
    super::suggestion::decide(state)?;
    if last_inbound == Some(answers) {
        Ok(())
    } else {
        super::suggestion::decide(SuggestionState::Superseded)
    }
}

/// The customer's turn: its texts in order, parted by an empty line. Messages without words are left out.
pub fn turn<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts: Vec<&str> = texts.into_iter().map(str::trim).filter(|text| !text.is_empty()).collect();
    texts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const FIRST: MessageId = MessageId(Uuid::from_u128(1));
    const SECOND: MessageId = MessageId(Uuid::from_u128(2));

    #[test]
    fn a_job_asks_first() {
        let now = Situation {
            message: FIRST,
            last_inbound: Some(FIRST),
            state: State::Open,
            customer_blocked: false,
        };
        assert_eq!(wanted(now), Ok(()));
        assert_eq!(wanted(Situation { state: State::Assigned, ..now }), Ok(()));
        assert_eq!(wanted(Situation { last_inbound: Some(SECOND), ..now }), Err(Unwanted::NewerMessage));
        assert_eq!(wanted(Situation { state: State::Resolved, ..now }), Err(Unwanted::NotOpen));
        assert_eq!(wanted(Situation { customer_blocked: true, ..now }), Err(Unwanted::Blocked));
    }

    #[test]
    fn policy_never_talks_over_an_operator() {
        assert!(may_send_itself(State::Open, false));
        assert!(!may_send_itself(State::Assigned, true));
        assert!(!may_send_itself(State::Snoozed, true));
        assert!(!may_send_itself(State::Closed, false));
    }

    #[test]
    fn a_draft_is_current_until_the_customer_writes_again() {
        let reason = |result: Result<(), Rejected>| result.err().map_or("ok", |rejected| rejected.reason);
        let check = |state, last| reason(check_current(state, FIRST, last));
        assert_eq!(check(SuggestionState::Pending, Some(FIRST)), "ok");
        assert_eq!(check(SuggestionState::Pending, Some(SECOND)), "SUGGESTION_SUPERSEDED");
        assert_eq!(check(SuggestionState::Superseded, Some(FIRST)), "SUGGESTION_SUPERSEDED");
        assert_eq!(check(SuggestionState::Approved, Some(FIRST)), "SUGGESTION_DECIDED");
    }

    /// Acceptance case 120: three texts are one turn, as they were written.
    #[test]
    fn a_turn_is_the_texts_parted_by_empty_lines() {
        assert_eq!(turn(["a", " B ", "", "c"]), "a\n\nB\n\nc");
        assert_eq!(turn([]), "");
    }
}
