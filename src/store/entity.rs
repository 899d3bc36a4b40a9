//! The tables as SeaORM sees them. Private: rows leave as read models, queries do not.

pub(super) mod audit_event;
pub(super) mod channel;
pub(super) mod conversation;
pub(super) mod customer;
pub(super) mod customer_identity;
pub(super) mod delivery;
pub(super) mod event;
pub(super) mod event_head;
pub(super) mod inbox;
pub(super) mod message;
pub(super) mod message_revision;
pub(super) mod tenant;
