//! The tables as SeaORM sees them. Private: rows leave as read models, queries do not.

pub(super) mod ai_call;
pub(super) mod audit_event;
pub(super) mod channel;
pub(super) mod conversation;
pub(super) mod customer;
pub(super) mod customer_identity;
pub(super) mod decision_settings;
pub(super) mod delivery;
pub(super) mod document;
pub(super) mod escalation;
pub(super) mod event;
pub(super) mod event_head;
pub(super) mod inbox;
pub(super) mod message;
pub(super) mod message_revision;
pub(super) mod passage;
pub(super) mod passage_term;
pub(super) mod product;
pub(super) mod suggestion;
pub(super) mod suggestion_action;
pub(super) mod tenant;
