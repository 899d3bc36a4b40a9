//! Channels, the customers who write on them, their conversations and messages.

mod channels;
mod conversations;
mod customers;
mod deliveries;
mod inbox;
mod ingress;
mod messages;
mod writes;

pub use channels::{Channel, ChannelChange, Channels, NewChannel};
pub use conversations::{Conversation, ConversationFilter, Conversations, Position};
pub use customers::{Customer, CustomerChange, CustomerIdentity, Customers, NewCustomer};
pub use deliveries::{Deliveries, Met, Report};
pub use inbox::{Entry, Inbox, Item};
pub use messages::{Change, Message, Messages, Revision};
pub use writes::{Arrival, Departure, NewMessage};
