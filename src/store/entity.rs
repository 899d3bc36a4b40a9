//! The tables as SeaORM sees them. Private: rows leave as read models, queries do not.

pub(super) mod audit_event;
pub(super) mod event;
pub(super) mod event_head;
pub(super) mod tenant;
