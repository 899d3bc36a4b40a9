//! Channels, the customers who write on them, their conversations and messages; what the AI drafts, from
//! which knowledge, by which rules.

mod ai_calls;
mod channels;
mod conversations;
mod customers;
mod decision_settings;
mod deliveries;
mod documents;
mod escalations;
mod inbox;
mod ingress;
mod messages;
mod passages;
mod products;
mod secrets;
mod suggestions;
mod writes;

pub use ai_calls::{AiCall, AiCalls, NewAiCall};
pub use channels::{Channel, ChannelChange, Channels, NewChannel};
pub use conversations::{Conversation, ConversationFilter, Conversations, Position};
pub use customers::{Customer, CustomerChange, CustomerIdentity, Customers, NewCustomer};
pub use decision_settings::DecisionSettings;
pub use deliveries::{Deliveries, Met, Report};
pub use documents::{Document, DocumentText, Documents};
pub use escalations::{Escalation, EscalationFilter, Escalations, NewEscalation};
pub use inbox::{Entry, Inbox, Item, Known};
pub use messages::{Change, Message, Messages, Revision};
pub use passages::Passages;
pub use products::{Product, ProductText, Products};
pub use suggestions::{
    NewSuggestion, Settlement, Suggestion, SuggestionAction, SuggestionFilter, Suggestions,
};
pub use writes::{Arrival, Departure, NewMessage};
