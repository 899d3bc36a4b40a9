//! The history of the schema: forward only. Old code must run on the new schema, so a change that
//! takes something away comes in two releases: expand, then contract.

pub use sea_orm_migration::prelude::{MigrationTrait, MigratorTrait};

mod ddl;
mod m0001_tenant;
mod m0002_event;
mod m0003_people;
mod m0004_billing;
mod m0005_conversation;
mod m0006_suggestion;
mod m0007_knowledge;
mod m0008_job;
mod m0009_idempotency;
mod m0010_schedule;
mod m0011_operations;
mod m0012_event_partition;
mod m0013_weight;

pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_tenant::Migration),
            Box::new(m0002_event::Migration),
            Box::new(m0003_people::Migration),
            Box::new(m0004_billing::Migration),
            Box::new(m0005_conversation::Migration),
            Box::new(m0006_suggestion::Migration),
            Box::new(m0007_knowledge::Migration),
            Box::new(m0008_job::Migration),
            Box::new(m0009_idempotency::Migration),
            Box::new(m0010_schedule::Migration),
            Box::new(m0011_operations::Migration),
            Box::new(m0012_event_partition::Migration),
            Box::new(m0013_weight::Migration),
        ]
    }
}
