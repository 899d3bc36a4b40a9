//! Plans, subscriptions, grants of access, and what platform staff did.

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
            create table plan (
                id text not null primary key,
                name text not null,
                currency text not null,
                amount bigint not null,
                billing_interval text not null,
                on_sale boolean not null,
                version bigint not null,
                create_time {time} not null,
                update_time {time} not null
            );
            create index plan_on_sale on plan (on_sale, currency, amount, id);
            insert into plan values (
                'pro-monthly', 'Switchboard Pro', 'USD', 5000, 'month', true, 1,
                '2026-01-01T00:00:00+00:00', '2026-01-01T00:00:00+00:00'
            );

            create table subscription (
                tenant_id {uuid} not null references tenant (id),
                id {uuid} not null,
                plan_id text references plan (id),
                status text not null,
                period_start {time},
                period_end {time},
                cancel_at_period_end boolean not null,
                cancelled_at {time},
                trial_start {time},
                trial_end {time},
                had_trial boolean not null,
                version bigint not null,
                create_time {time} not null,
                update_time {time} not null,
                primary key (tenant_id, id),
                unique (tenant_id)
            );

            create table access_grant (
                tenant_id {uuid} not null references tenant (id),
                id {uuid} not null,
                starts_at {time} not null,
                ends_at {time} not null,
                reason text not null,
                creator_id {uuid} not null references \"user\" (id),
                revoked_at {time},
                revoker_id {uuid} references \"user\" (id),
                revoke_reason text,
                version bigint not null,
                create_time {time} not null,
                update_time {time} not null,
                primary key (tenant_id, id)
            );
            create index access_grant_current on access_grant (tenant_id, ends_at) where revoked_at is null;

            create table platform_action (
                id {uuid} not null primary key,
                action text not null,
                target_kind text not null,
                target_id text not null,
                staff_id {uuid} not null references \"user\" (id),
                reason text not null,
                previous {json},
                note {json} not null,
                create_time {time} not null
            );
            create index platform_action_target on platform_action (target_kind, target_id, id);
            ",
        )
        .await
    }
}
