//! The tables as SeaORM sees them. Private: rows leave as read models, queries do not.

pub(super) mod access_grant;
pub(super) mod ai_call;
pub(super) mod api_key;
pub(super) mod audit_event;
pub(super) mod channel;
pub(super) mod conversation;
pub(super) mod customer;
pub(super) mod customer_identity;
pub(super) mod decision_settings;
#[allow(dead_code, reason = "rows are written and read by column, never whole")]
pub(super) mod delivery;
pub(super) mod document;
pub(super) mod escalation;
pub(super) mod event;
pub(super) mod event_head;
#[allow(dead_code, reason = "rows are written and read by column, never whole")]
pub(super) mod inbox;
pub(super) mod invite;
pub(super) mod member;
pub(super) mod message;
pub(super) mod message_revision;
pub(super) mod passage;
pub(super) mod passage_term;
pub(super) mod plan;
pub(super) mod platform_action;
pub(super) mod product;
pub(super) mod session;
pub(super) mod subscription;
pub(super) mod suggestion;
pub(super) mod suggestion_action;
pub(super) mod tenant;
pub(super) mod tenant_key;
pub(super) mod user;
