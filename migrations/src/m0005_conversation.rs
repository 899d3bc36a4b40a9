//! Channels, customers, conversations and messages.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

// Some references are missing on purpose.
// - From inbox and message to channel: PostgreSQL checks a reference by locking the row it points to, and
//   every webhook of a busy channel would queue its lock on that one row. Both are written beside a row that
//   does carry the reference.
// - From conversation.assignee_id to member: whoever is assigned is the caller, a member at that moment.
//   Members are never deleted, and one who left keeps what was theirs; a reference would only make every
//   command of a conversation lock the same few rows.
// - From conversation.last_message_id and last_inbound_id, and from message.suggestion_id, as from
//   suggestion.sent_message_id and escalation_id: the rows point at each other, are written in one
//   transaction and never deleted; a circle of references could only be checked when it commits, which SQLite
//   and PostgreSQL do differently.
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, CHANNELS).await?;
        ddl::run(manager, CONVERSATIONS).await?;
        ddl::run(manager, MESSAGES).await
    }
}

const CHANNELS: &str = "
    create table channel (
        tenant_id {uuid} not null references tenant (id),
        id {uuid} not null,
        kind text not null,
        name text not null,
        enabled boolean not null,
        account text not null,
        config {json} not null,
        secrets {bytes} not null,
        health text not null,
        health_reason text,
        version bigint not null,
        create_time {time} not null,
        update_time {time} not null,
        delete_time {time},
        primary key (tenant_id, id)
    );
    create unique index channel_id on channel (id);
    create unique index channel_account on channel (tenant_id, kind, account)
        where delete_time is null and account <> '';
    create index channel_of_account on channel (kind, account) where delete_time is null;

    create table inbox (
        tenant_id {uuid} not null,
        id {uuid} not null,
        channel_id {uuid} not null,
        dedupe_key text not null,
        outcome text not null,
        kind text not null,
        received_at {time} not null,
        body {json},
        primary key (tenant_id, id)
    );
    create unique index inbox_item on inbox (tenant_id, channel_id, dedupe_key);
    create index inbox_age on inbox {pg:using brin} (received_at);

    create table customer (
        tenant_id {uuid} not null references tenant (id),
        id {uuid} not null,
        display_name text not null,
        phone text,
        email text,
        language text,
        tags {json} not null,
        blocked boolean not null,
        block_reason text,
        version bigint not null,
        create_time {time} not null,
        update_time {time} not null,
        primary key (tenant_id, id)
    );

    create table customer_identity (
        tenant_id {uuid} not null,
        id {uuid} not null,
        customer_id {uuid} not null,
        channel_id {uuid} not null,
        scheme text not null,
        value text not null,
        reachable boolean not null,
        reachable_at {time},
        create_time {time} not null,
        primary key (tenant_id, id),
        foreign key (tenant_id, customer_id) references customer (tenant_id, id),
        foreign key (tenant_id, channel_id) references channel (tenant_id, id)
    );
    create unique index customer_identity_name on customer_identity (tenant_id, channel_id, scheme, value);
    create index customer_identity_owner on customer_identity (tenant_id, customer_id);
";

const CONVERSATIONS: &str = "
    create table conversation (
        tenant_id {uuid} not null,
        id {uuid} not null,
        customer_id {uuid} not null,
        channel_id {uuid} not null,
        state text not null,
        assignee_id {uuid},
        priority text not null,
        unread_count integer not null,
        message_count bigint not null,
        last_message_id {uuid},
        last_message_at {time} not null,
        last_message_preview text not null,
        last_message_direction text,
        last_inbound_id {uuid},
        last_inbound_at {time},
        window_expires_at {time},
        chat text,
        resolved_at {time},
        closed_at {time},
        version bigint not null,
        create_time {time} not null,
        update_time {time} not null,
        primary key (tenant_id, id),
        foreign key (tenant_id, customer_id) references customer (tenant_id, id),
        foreign key (tenant_id, channel_id) references channel (tenant_id, id)
    );
    create unique index conversation_open on conversation (tenant_id, channel_id, customer_id)
        where state not in ('resolved', 'closed');
    create index conversation_customer on conversation (tenant_id, customer_id);
    create index conversation_newest on conversation (tenant_id, last_message_at, id);
    create index conversation_by_state on conversation (tenant_id, state, last_message_at, id);
    create index conversation_by_channel on conversation (tenant_id, channel_id, last_message_at, id);
    create index conversation_by_assignee on conversation (tenant_id, assignee_id, last_message_at, id)
        where assignee_id is not null;
";

const MESSAGES: &str = "
    create table message (
        tenant_id {uuid} not null,
        id {uuid} not null,
        conversation_id {uuid} not null,
        channel_id {uuid} not null,
        seq bigint not null,
        at {time} not null,
        direction text not null,
        author text not null,
        author_id text,
        kind text not null,
        text text not null,
        attachments {json} not null,
        details {json},
        external_id text,
        provider_time {time},
        status text,
        attempt integer not null,
        failure_reason text,
        failure_detail text,
        reply_to_id {uuid},
        suggestion_id {uuid},
        reactions {json} not null,
        edited_at {time},
        deleted_at {time},
        raw {json},
        version bigint not null,
        create_time {time} not null,
        update_time {time} not null,
        primary key (tenant_id, id),
        foreign key (tenant_id, conversation_id) references conversation (tenant_id, id),
        foreign key (tenant_id, reply_to_id) references message (tenant_id, id)
    );
    create unique index message_external on message (tenant_id, channel_id, external_id)
        where external_id is not null;
    create unique index message_suggestion on message (tenant_id, suggestion_id)
        where suggestion_id is not null;
    create index message_order on message (tenant_id, conversation_id, at, seq);

    create table message_revision (
        tenant_id {uuid} not null,
        id {uuid} not null,
        message_id {uuid} not null,
        text text not null,
        replaced_at {time} not null,
        primary key (tenant_id, id),
        foreign key (tenant_id, message_id) references message (tenant_id, id)
    );
    create index message_revision_message on message_revision (tenant_id, message_id);

    create table delivery (
        tenant_id {uuid} not null,
        channel_id {uuid} not null,
        external_id text not null,
        message_id {uuid},
        attempt integer,
        status text,
        reason text,
        detail text,
        update_time {time} not null,
        primary key (tenant_id, channel_id, external_id),
        foreign key (tenant_id, channel_id) references channel (tenant_id, id),
        foreign key (tenant_id, message_id) references message (tenant_id, id)
    );
    create index delivery_age on delivery {pg:using brin} (update_time);
";
