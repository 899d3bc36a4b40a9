//! Answers to commands that a client may send twice.

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
            create table idempotency_key (
                tenant_id {uuid} not null references tenant (id),
                key_hash {bytes} not null,
                method text not null,
                request_hash {bytes} not null,
                answer {bytes} not null,
                create_time {time} not null,
                expire_time {time} not null,
                primary key (tenant_id, key_hash)
            );
            create index idempotency_key_expired on idempotency_key (expire_time);
            ",
        )
        .await
    }
}
