//! The only holder of connections. `store.of(scope)` is the road to a tenant's rows; `entity` is private,
//! so that no other module can build a query of its own.
//!
//! Writes go through [`TenantDb::transaction`] or [`SystemDb::transaction`] alone: aggregate rows, the
//! events and jobs they cause and the audit entry commit together or not at all.

pub mod admin;
mod audit;
pub mod billing;
mod command;
mod connect;
pub mod conversation;
mod entity;
pub mod events;
mod group;
mod hints;
pub mod jobs;
mod lead;
mod reader;
mod retention;
mod rows;
mod scope;
mod sql;
pub mod sync;
pub mod tenant;
mod transaction;

pub use connect::{Settings, connect};
pub use entity::{Column, Table, tables};
pub use hints::{Hint, Hints};
pub use lead::Lead;
pub use scope::{SystemDb, TenantDb};
pub use transaction::{Db, Tx};

use sea_orm::{ConnectionTrait as _, DbBackend};

use reader::Reader;

use crate::{auth::TenantScope, env::Env};

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    reader: Reader,
    writer: transaction::Writer,
    hints: Hints,
    env: Env,
}

impl Store {
    /// The database as one tenant sees it.
    pub fn of(&self, scope: TenantScope) -> TenantDb {
        TenantDb::new(scope, self.read())
    }

    /// The database across tenants: for credentials, leases, the job engine, staff.
    pub fn system(&self) -> SystemDb {
        SystemDb::new(self.read())
    }

    /// Which database it is; both speak the same schema.
    pub fn backend(&self) -> DbBackend {
        self.reader.get_database_backend()
    }

    /// What committed just now, for those who would otherwise poll.
    pub fn hints(&self) -> &Hints {
        &self.hints
    }

    pub fn env(&self) -> &Env {
        &self.env
    }

    fn read(&self) -> Db {
        Db::reading(self.clone(), self.reader.clone())
    }
}
