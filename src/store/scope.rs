//! Scoped access: every query of a repository starts here, with the tenant already in it. This is the
//! only file that may name the unscoped forms of SeaORM.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbBackend, DeleteMany, EntityTrait, Insert,
    IntoActiveModel, QueryFilter, QueryTrait, Select, UpdateMany,
};

use super::{
    reader::Reader,
    rows::{Columns, Positional},
    transaction::{Db, Tx},
};
use crate::{
    auth::{Actor, TenantScope},
    domain::event::Event,
    env::Env,
    error::{Error, Result},
    id::TenantId,
};

/// A table whose rows belong to tenants.
pub(super) trait TenantOwned: EntityTrait {
    const TENANT: Self::Column;
}

/// The database as one tenant sees it.
pub struct TenantDb<C = Reader> {
    scope: TenantScope,
    db: Db<C>,
}

impl<C> TenantDb<C> {
    pub(super) fn new(scope: TenantScope, db: Db<C>) -> Self {
        Self { scope, db }
    }

    pub fn tenant(&self) -> TenantId {
        self.scope.tenant()
    }
    pub fn actor(&self) -> Actor {
        self.scope.actor()
    }
    pub fn scope(&self) -> &TenantScope {
        &self.scope
    }
    pub fn env(&self) -> &Env {
        self.db.env()
    }
}

impl TenantDb {
    /// Runs `work` in one transaction: commits on `Ok`, rolls back on `Err` and when dropped. A clone of it
    /// runs again when the database asks for that (serialisation failure, deadlock), so it must not
    /// change anything but rows.
    pub async fn transaction<T>(
        &self,
        work: impl AsyncFnOnce(&TenantDb<Tx>) -> Result<T> + Clone,
    ) -> Result<T> {
        for attempt in 0.. {
            let db = self.db.open().await?;
            let db = TenantDb { scope: self.scope.clone(), db };
            let value = work.clone()(&db).await;
            if let Some(value) = db.db.close(value, Some(&self.scope), attempt).await? {
                return Ok(value);
            }
        }
        unreachable!("close answers an error once the attempts are used up")
    }
}

impl TenantDb {
    /// Runs `work` and rolls it back, whatever it came to.
    pub(super) async fn rehearsal<T>(&self, work: impl AsyncFnOnce(&TenantDb<Tx>) -> Result<T>) -> Result<T> {
        let db = self.db.open().await?;
        let db = TenantDb { scope: self.scope.clone(), db };
        let value = work(&db).await;
        db.db.abandon().await?;
        value
    }
}

impl TenantDb<Tx> {
    /// Appends to the tenant's log; written with the transaction.
    pub fn emit(&self, event: Event) {
        self.db.noted().emit(self.scope.tenant(), self.scope.actor(), event);
    }

    /// Says that nothing is done here that was not done, and recorded, before.
    pub(super) fn repeated(&self) {
        self.db.noted().repeated();
    }

    /// Does a part of a command that may be refused by itself: then nothing of it stays, and the command goes
    /// on.
    ///
    /// # Errors
    /// What ends the whole command: the database failed, or wants it to run again.
    pub async fn attempt<T>(&self, part: impl AsyncFnOnce(&Self) -> Result<T>) -> Result<Result<T>> {
        let mark = self.db.noted().mark();
        self.conn().execute_unprepared("savepoint part").await?;
        let done = match part(self).await {
            Err(error @ (Error::Internal(_) | Error::Unavailable(_))) => return Err(error),
            Err(refused) => {
                self.conn().execute_unprepared("rollback to savepoint part").await?;
                self.db.noted().back_to(mark);
                Err(refused)
            }
            done => done,
        };
        self.conn().execute_unprepared("release savepoint part").await?;
        Ok(done)
    }

    /// Has the relay look at `queue` (its bit) once this commits.
    pub fn wake(&self, queue: u16) {
        self.db.noted().wake(self.scope.tenant(), queue);
    }
}

impl<C: ConnectionTrait> TenantDb<C> {
    pub(super) fn conn(&self) -> &C {
        self.db.conn()
    }
    pub(super) fn backend(&self) -> DbBackend {
        self.db.conn().get_database_backend()
    }
    pub(super) fn find<E: TenantOwned>(&self) -> Select<E> {
        E::find().filter(E::TENANT.eq(self.tenant()))
    }
    /// The rows of a query on the paths that are asked most: see [`super::rows`].
    pub(super) async fn rows<E: EntityTrait<Model: Positional>>(
        &self,
        query: Select<E>,
    ) -> Result<Vec<E::Model>> {
        let rows = self.conn().query_all_raw(query.build(self.backend())).await?;
        Ok(rows.iter().map(|row| E::Model::read(Columns::of(row))).collect::<Result<_, _>>()?)
    }
    /// As [`rows`](Self::rows), for a query that finds one row at most.
    pub(super) async fn row<E: EntityTrait<Model: Positional>>(
        &self,
        query: Select<E>,
    ) -> Result<Option<E::Model>> {
        let row = self.conn().query_one_raw(query.build(self.backend())).await?;
        Ok(row.as_ref().map(|row| E::Model::read(Columns::of(row))).transpose()?)
    }
    pub(super) fn update<E: TenantOwned>(&self) -> UpdateMany<E> {
        E::update_many().filter(E::TENANT.eq(self.tenant()))
    }
    pub(super) fn delete<E: TenantOwned>(&self) -> DeleteMany<E> {
        E::delete_many().filter(E::TENANT.eq(self.tenant()))
    }
    /// Inserts a row of this tenant: whatever the model says, the tenant is the scope's.
    pub(super) fn insert<E: TenantOwned, A>(&self, row: A) -> Insert<A>
    where
        E::Model: IntoActiveModel<A>,
        A: ActiveModelTrait<Entity = E>,
    {
        let mut row = row;
        row.set(E::TENANT, sea_orm::Value::from(self.tenant()));
        E::insert(row)
    }
}

/// The database across tenants. Whoever holds it must not be steered by a request field.
pub struct SystemDb<C = Reader> {
    db: Db<C>,
}

impl<C> SystemDb<C> {
    pub(super) fn new(db: Db<C>) -> Self {
        Self { db }
    }
    pub fn env(&self) -> &Env {
        self.db.env()
    }
}

impl SystemDb {
    /// As [`TenantDb::transaction`], across tenants.
    pub async fn transaction<T>(
        &self,
        work: impl AsyncFnOnce(&SystemDb<Tx>) -> Result<T> + Clone,
    ) -> Result<T> {
        for attempt in 0.. {
            let db = self.db.open().await?;
            let db = SystemDb { db };
            let value = work.clone()(&db).await;
            if let Some(value) = db.db.close(value, None, attempt).await? {
                return Ok(value);
            }
        }
        unreachable!("close answers an error once the attempts are used up")
    }
}

impl SystemDb<Tx> {
    /// The rows of one tenant, inside this transaction: sign-up creates a tenant and its rows at once.
    pub fn of(&self, scope: TenantScope) -> TenantDb<Tx> {
        TenantDb { scope, db: self.db.share() }
    }
}

impl<C: ConnectionTrait> SystemDb<C> {
    pub(super) fn conn(&self) -> &C {
        self.db.conn()
    }
    pub(super) fn find<E: EntityTrait>(&self) -> Select<E> {
        E::find()
    }
    pub(super) fn backend(&self) -> DbBackend {
        self.db.conn().get_database_backend()
    }
}
