//! Plans and subscriptions.

mod plans;
mod subscriptions;

pub use plans::{Plan, Plans};
pub use subscriptions::{Subscription, Subscriptions};
