//! The event log in pieces: months on PostgreSQL, which go whole; and where each tenant's log begins. What the log
//! does not speak of is no change of a row that clients have copies of: the time of an edit that changed nothing
//! has a column of its own.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DbBackend},
};

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

// Ids grow with time and are in the primary key, so they are what the table is divided by. The number is not:
// that no number is given twice is kept by the lock on the tenant's row of `event_head`, under which all
// numbers are given, and the index on it is no longer unique.
//
// The table of before becomes the first piece, up to the end of this month, without a row being copied.
const DIVIDE: &str = "
    alter table event rename to event_before;
    alter table event_before rename constraint event_pkey to event_before_pkey;
    alter index event_unnumbered rename to event_before_unnumbered;
    drop index event_seq;
    create table event (like event_before including defaults) partition by range (id);
    alter table event add primary key (tenant_id, id);
    alter table event add foreign key (tenant_id) references tenant (id);
    create index event_unnumbered on event (shard, id) where seq is null;
    create index event_seq on event (tenant_id, seq) where seq is not null;
    do $$
    declare
        newest bigint := (
            select ('x' || lpad(replace(left(id::text, 13), '-', ''), 16, '0'))::bit(64)::bigint
            from event_before order by id desc limit 1
        );
        ends timestamptz := date_trunc(
            'month', greatest(now(), to_timestamp(coalesce(newest, 0) / 1000.0)), 'UTC'
        ) + interval '1 month';
        digits text := lpad(to_hex((extract(epoch from ends) * 1000)::bigint), 12, '0');
    begin
        execute format(
            'alter table event attach partition event_before for values from (minvalue) to (%L)',
            left(digits, 8) || '-' || right(digits, 4) || '-0000-0000-000000000000'
        );
    end $$;
    create table event_rest partition of event default;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, "alter table event_head add column oldest bigint not null default 1").await?;
        ddl::run(manager, "alter table message add column settled_at {time}").await?;
        let connection = manager.get_connection();
        if connection.get_database_backend() == DbBackend::Postgres {
            connection.execute_unprepared(DIVIDE).await?;
        }
        Ok(())
    }
}
