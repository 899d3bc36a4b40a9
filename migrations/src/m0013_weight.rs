//! Plans say how much of the platform's time they buy.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // plan.job_weight: jobs a turn when tenants take turns; one without a paid plan has 1.
        ddl::run(
            manager,
            "
            alter table plan add column job_weight smallint not null default 1 check (job_weight between 1 and 100);
            update plan set job_weight = 4 where id = 'pro-monthly'
            ",
        )
        .await
    }
}
