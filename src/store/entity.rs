//! The tables as SeaORM sees them. Private: rows leave as read models, queries do not.

pub(super) mod access_grant;
pub(super) mod ai_call;
pub(super) mod api_key;
pub(super) mod audit_event;
pub(super) mod channel;
pub(super) mod conversation;
pub(super) mod cron;
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
pub(super) mod job_log;
pub(super) mod member;
pub(super) mod message;
pub(super) mod message_revision;
pub(super) mod passage;
pub(super) mod passage_term;
pub(super) mod plan;
pub(super) mod platform_action;
#[allow(dead_code, reason = "rows are written and read by column, never whole")]
pub(super) mod platform_key;
pub(super) mod product;
pub(super) mod queue_pause;
pub(super) mod session;
pub(super) mod subscription;
pub(super) mod suggestion;
pub(super) mod suggestion_action;
pub(super) mod tenant;
pub(super) mod tenant_key;
pub(super) mod user;

use sea_orm::{ColumnTrait, ColumnType, EntityTrait, IdenStatic, Iterable};

/// A table as the code sees it.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: &'static str,
    pub columns: Vec<Column>,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: ColumnType,
    pub nullable: bool,
}

fn table<E: EntityTrait>() -> Table {
    let columns = E::Column::iter().map(|column| {
        let definition = column.def();
        let kind = definition.get_column_type().clone();
        Column { name: column.as_str(), kind, nullable: definition.is_null() }
    });
    Table { name: E::default().table_name(), columns: columns.collect() }
}

/// Every table that has an entity. What the migrations made must be the same.
pub fn tables() -> Vec<Table> {
    vec![
        table::<access_grant::Entity>(),
        table::<ai_call::Entity>(),
        table::<api_key::Entity>(),
        table::<audit_event::Entity>(),
        table::<channel::Entity>(),
        table::<conversation::Entity>(),
        table::<cron::Entity>(),
        table::<customer::Entity>(),
        table::<customer_identity::Entity>(),
        table::<decision_settings::Entity>(),
        table::<delivery::Entity>(),
        table::<document::Entity>(),
        table::<escalation::Entity>(),
        table::<event::Entity>(),
        table::<event_head::Entity>(),
        table::<inbox::Entity>(),
        table::<invite::Entity>(),
        table::<job_log::Entity>(),
        table::<member::Entity>(),
        table::<message::Entity>(),
        table::<message_revision::Entity>(),
        table::<passage::Entity>(),
        table::<passage_term::Entity>(),
        table::<plan::Entity>(),
        table::<platform_action::Entity>(),
        table::<platform_key::Entity>(),
        table::<product::Entity>(),
        table::<queue_pause::Entity>(),
        table::<session::Entity>(),
        table::<subscription::Entity>(),
        table::<suggestion::Entity>(),
        table::<suggestion_action::Entity>(),
        table::<tenant::Entity>(),
        table::<tenant_key::Entity>(),
        table::<user::Entity>(),
    ]
}
