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
