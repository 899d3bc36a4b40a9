//! The event log.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(
            manager,
            "
            create table event (
                tenant_id {uuid} not null references tenant (id),
                id {uuid} not null,
                shard smallint not null,
                seq bigint,
                kind text not null,
                subject text not null,
                conversation_id {uuid},
                actor text not null,
                payload {json} not null,
                at {time} not null,
                primary key (tenant_id, id)
            );
            create index event_unnumbered on event (shard, id) where seq is null;
            create unique index event_seq on event (tenant_id, seq) where seq is not null;
            create table event_head (
                tenant_id {uuid} not null primary key references tenant (id),
                seq bigint not null
            );
            create table lease (
                name text not null primary key,
                holder {uuid} not null,
                term bigint not null,
                expires_at {time} not null
            );
            ",
        )
        .await
    }
}
