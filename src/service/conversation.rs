//! Channels, customers, conversations, messages; and the webhooks that bring them.

pub mod channel;
pub mod customer;
pub mod ingress;
mod message;
pub mod precondition;
mod take;
mod thread;

pub use channel::Channels;
pub use customer::Customers;
pub use ingress::{Ingress, Received};
pub use message::Messages;
pub use thread::Conversations;
