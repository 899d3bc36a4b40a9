//! Schedules: what makes jobs at its times; and answers to commands that no tenant owns.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The first form of `cron` did not say which job it makes; nothing ever wrote to it.
        //
        // The platform's own schedules have the nil tenant, as the jobs they make and the answers to staff
        // who tend them: so neither table refers to `tenant`, as `job` does not.
        //
        // cron.catch_up: 0 skip, 1 one, 2 all.
        ddl::run(
            manager,
            "
            drop table cron;
            create table cron (
                tenant_id {uuid} not null,
                name text not null,
                expr text not null,
                tz text not null,
                queue smallint not null,
                kind text not null,
                payload {bytes} not null,
                max_tries smallint not null,
                catch_up smallint not null,
                enabled boolean not null default true,
                next_at {time} not null,
                last_at {time},
                version bigint not null,
                create_time {time} not null,
                update_time {time} not null,
                primary key (tenant_id, name)
            );
            create index cron_due on cron (next_at) where enabled;

            {pg:alter table idempotency_key drop constraint idempotency_key_tenant_id_fkey};
            {sqlite:alter table idempotency_key rename to idempotency_key_before;
            drop index idempotency_key_expired;
            create table idempotency_key (
                tenant_id blob not null,
                key_hash blob not null,
                method text not null,
                request_hash blob not null,
                answer blob not null,
                create_time text not null,
                expire_time text not null,
                primary key (tenant_id, key_hash)
            );
            insert into idempotency_key select * from idempotency_key_before;
            drop table idempotency_key_before;
            create index idempotency_key_expired on idempotency_key (expire_time)}
            ",
        )
        .await
    }
}
