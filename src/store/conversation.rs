//! Channels, the customers who write on them, their conversations and messages.

mod ai_calls;
mod decision_settings;
mod documents;
mod escalations;
mod passages;
mod products;
mod suggestions;

pub use ai_calls::{AiCall, AiCalls, NewAiCall};
pub use decision_settings::DecisionSettings;
pub use documents::{Document, DocumentText, Documents};
pub use escalations::{Escalation, EscalationFilter, Escalations, NewEscalation};
pub use passages::Passages;
pub use products::{Product, ProductText, Products};
pub use suggestions::{
    NewSuggestion, Settlement, Suggestion, SuggestionAction, SuggestionFilter, Suggestions,
};
