//! Suggestions: what may become of an AI's draft.

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

use super::Rejected;

/// Where a draft stands. Every state but `Pending` is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum SuggestionState {
    /// Waits for a person.
    Pending,
    /// Sent as it was, by a person or by policy.
    Approved,
    /// Sent with another text.
    Edited,
    Rejected,
    /// Handed over to people.
    Escalated,
    /// The customer wrote again before anyone decided.
    Superseded,
}

/// Only a pending draft can be decided.
pub fn decide(from: SuggestionState) -> Result<(), Rejected> {
    match from {
        SuggestionState::Pending => Ok(()),
        SuggestionState::Superseded => {
            Err(Rejected::because("SUGGESTION_SUPERSEDED", "the customer wrote again; a newer draft follows"))
        }
        _ => Err(Rejected::because("SUGGESTION_DECIDED", "someone already decided this draft")),
    }
}

/// Where a hand-over to people stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum EscalationState {
    /// Waits for people.
    Pending,
    Handled,
    /// There was nothing to do.
    Dismissed,
}

/// People say what became of a hand-over; saying the same again is no news (`None`).
pub fn resolve_escalation(
    from: EscalationState,
    to: EscalationState,
) -> Result<Option<EscalationState>, Rejected> {
    match (from, to) {
        (_, EscalationState::Pending) => {
            Err(Rejected::because("NOT_A_RESOLUTION", "an escalation ends handled or dismissed"))
        }
        (EscalationState::Pending, to) => Ok(Some(to)),
        (from, to) if from == to => Ok(None),
        _ => Err(Rejected::because("ESCALATION_RESOLVED", "the escalation was resolved otherwise")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_decided_once() {
        let reason = |from| decide(from).err().map_or("ok", |rejected| rejected.reason);
        assert_eq!(reason(SuggestionState::Pending), "ok");
        assert_eq!(reason(SuggestionState::Superseded), "SUGGESTION_SUPERSEDED");
        for decided in [
            SuggestionState::Approved,
            SuggestionState::Edited,
            SuggestionState::Rejected,
            SuggestionState::Escalated,
        ] {
            assert_eq!(reason(decided), "SUGGESTION_DECIDED");
        }
    }

    #[test]
    fn an_escalation_is_resolved_once() {
        use EscalationState::{Dismissed, Handled, Pending};
        assert_eq!(resolve_escalation(Pending, Handled), Ok(Some(Handled)));
        assert_eq!(resolve_escalation(Handled, Handled), Ok(None));
        assert!(resolve_escalation(Handled, Dismissed).is_err());
        assert!(resolve_escalation(Pending, Pending).is_err());
    }
}
