//! Tenants and their audit log.

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
            create table tenant (
                id {uuid} not null primary key,
                name text not null,
                language text not null,
                currency text not null,
                time_zone text not null,
                restricted boolean not null,
                restricted_reason text,
                version bigint not null,
                create_time {time} not null,
                update_time {time} not null
            );
            create table audit_event (
                tenant_id {uuid} not null references tenant (id),
                id {uuid} not null,
                actor text not null,
                action text not null,
                subject text,
                request_id text,
                at {time} not null,
                primary key (tenant_id, id)
            );
            ",
        )
        .await
    }
}
