//! Jobs, the order they keep, the effects they had, their schedules and their history.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // job.state: 0 ready, 1 dispatched, 2 running, 3 done, 4 dead, 5 cancelled, 6 blocked.
        // effect.state: 1 intent, 2 done, 3 unknown.
        ddl::run(
            manager,
            "
            create table job (
                tenant_id {uuid} not null,
                id {uuid} not null,
                shard smallint not null,
                queue smallint not null,
                kind text not null,
                ver smallint not null default 1,
                state smallint not null default 0,
                prio smallint not null default 100,
                epoch integer not null default 0,
                tries smallint not null default 0,
                crashes smallint not null default 0,
                max_tries smallint not null default 12,
                run_at {time} not null,
                lease_until {time},
                expires_at {time},
                order_key {uuid},
                order_seq bigint,
                halt boolean not null default false,
                uniq_key {bytes},
                cancel boolean not null default false,
                payload {bytes} not null,
                last_error text,
                trace {bytes},
                created_at {time} not null,
                finished_at {time},
                primary key (tenant_id, id)
            ) {pg:with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)};
            create index job_ready on job (shard, queue, tenant_id, prio, run_at, id) where state = 0;
            create index job_lease on job (lease_until) where state in (1, 2);
            create index job_finished on job (finished_at) where state in (3, 4, 5);
            create unique index job_order on job (tenant_id, order_key, order_seq) where order_key is not null;
            create unique index job_uniq on job (tenant_id, uniq_key)
                where uniq_key is not null and state in (0, 1, 2, 6);
            create table job_gate (
                tenant_id {uuid} not null,
                order_key {uuid} not null,
                next_seq bigint not null,
                head_seq bigint not null,
                primary key (tenant_id, order_key)
            );
            create table effect (
                tenant_id {uuid} not null,
                key {bytes} not null,
                state smallint not null,
                tries integer not null default 1,
                request_hash {bytes},
                provider_ref text,
                created_at {time} not null,
                done_at {time},
                primary key (tenant_id, key)
            );
            create index effect_age on effect {pg:using brin} (created_at);
            create table cron (
                tenant_id {uuid} not null,
                name text not null,
                expr text not null,
                tz text not null,
                next_at {time} not null,
                catch_up smallint not null default 1,
                enabled boolean not null default true,
                primary key (tenant_id, name)
            );
            create index cron_due on cron (next_at) where enabled;
            create table job_log (
                tenant_id {uuid} not null,
                id {uuid} not null,
                queue smallint not null,
                kind text not null,
                state smallint not null,
                epoch integer not null,
                tries smallint not null,
                crashes smallint not null,
                last_error text,
                created_at {time} not null,
                finished_at {time} not null,
                primary key (tenant_id, id, finished_at)
            ) {pg:partition by range (finished_at)};
            {pg:create table job_log_rest partition of job_log default};
            create index job_log_age on job_log {pg:using brin} (finished_at)
            ",
        )
        .await
    }
}
