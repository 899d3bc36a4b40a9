//! People, the tenants they belong to, and every kind of credential. Secrets are stored as SHA-256.

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
            create table \"user\" (
                id {uuid} not null primary key,
                email text not null,
                email_key text not null,
                name text not null,
                password_hash text not null,
                platform_role text,
                disabled boolean not null,
                version bigint not null,
                create_time {time} not null,
                update_time {time} not null
            );
            create unique index user_email on \"user\" (email_key);
            create index user_platform on \"user\" (platform_role) where platform_role is not null;
            create unique index user_platform_owner on \"user\" (platform_role) where platform_role = 'owner';

            create table member (
                tenant_id {uuid} not null references tenant (id),
                id {uuid} not null,
                user_id {uuid} not null references \"user\" (id),
                role text not null,
                removed_at {time},
                version bigint not null,
                create_time {time} not null,
                update_time {time} not null,
                primary key (tenant_id, id),
                unique (tenant_id, user_id)
            );
            create index member_user on member (user_id, create_time) where removed_at is null;
            create index member_owner on member (tenant_id, id) where role = 'owner' and removed_at is null;

            create table session (
                id {uuid} not null primary key,
                user_id {uuid} not null references \"user\" (id),
                token_hash {bytes} not null,
                tenant_id {uuid},
                create_time {time} not null,
                expires_at {time} not null,
                last_seen_at {time} not null,
                revoked_at {time},
                foreign key (tenant_id, user_id) references member (tenant_id, user_id)
            );
            create unique index session_token on session (token_hash);
            create index session_of_user on session (user_id, create_time);
            create index session_age on session (expires_at);

            create table sign_in_attempt (
                account {bytes} not null,
                network text not null,
                failures integer not null,
                last_at {time} not null,
                primary key (account, network)
            );
            create index sign_in_attempt_age on sign_in_attempt (last_at);

            create table invite (
                tenant_id {uuid} not null references tenant (id),
                id {uuid} not null,
                email text not null,
                email_key text not null,
                role text not null,
                token_hash {bytes} not null,
                inviter_id {uuid} not null,
                state text not null,
                create_time {time} not null,
                expires_at {time} not null,
                primary key (tenant_id, id),
                foreign key (tenant_id, inviter_id) references member (tenant_id, user_id)
            );
            create unique index invite_token on invite (token_hash);
            create unique index invite_open on invite (tenant_id, email_key) where state = 'open';

            create table api_key (
                tenant_id {uuid} not null references tenant (id),
                id {uuid} not null,
                name text not null,
                token_hash {bytes} not null,
                prefix text not null,
                last4 text not null,
                permissions {json} not null,
                creator_id {uuid} not null,
                expires_at {time},
                revoked_at {time},
                last_used_at {time},
                version bigint not null,
                create_time {time} not null,
                update_time {time} not null,
                primary key (tenant_id, id),
                foreign key (tenant_id, creator_id) references member (tenant_id, user_id)
            );
            create unique index api_key_token on api_key (token_hash);

            create table tenant_key (
                tenant_id {uuid} not null references tenant (id),
                number integer not null,
                wrapped {bytes} not null,
                master text not null,
                create_time {time} not null,
                primary key (tenant_id, number)
            );
            ",
        )
        .await
    }
}
