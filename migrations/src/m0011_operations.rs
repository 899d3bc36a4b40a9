//! Jobs as those who run the system meet them: paused queues, what died and may run again, the log by the
//! time of its entries, and what staff asked for once.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A dead job stays where it can be redriven; it must not stand in the way of those that are archived.
        ddl::run(
            manager,
            "
            create table queue_pause (
                queue smallint primary key,
                reason text not null,
                actor text not null,
                create_time {time} not null
            );
            drop index job_finished;
            create index job_ended on job (finished_at) where state in (3, 5);
            create index job_dead on job (tenant_id, id) where state = 4;
            create index job_dead_age on job (created_at) where state = 4;
            create index job_blocked on job (tenant_id, id) where state = 6;
            alter table job_log add column cancel boolean not null default false;
            drop index job_log_age;
            create index job_log_age on job_log (finished_at, tenant_id, id);
            create table platform_key (
                staff_id {uuid} not null references \"user\" (id),
                key_hash {bytes} not null,
                method text not null,
                request_hash {bytes} not null,
                answer {bytes} not null,
                create_time {time} not null,
                expire_time {time} not null,
                primary key (staff_id, key_hash)
            );
            create index platform_key_expired on platform_key (expire_time)
            ",
        )
        .await
    }
}
