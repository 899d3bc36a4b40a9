//! The one write path. `begin` runs in a task of its own, because sqlx 0.9.0 hands a connection with an
//! open transaction back to the pool when a `begin` is cancelled, and the next write on it is lost
//! (transact-rs/sqlx#4393). `tests/it/transaction.rs` shows that ours does not.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    Statement, TransactionTrait,
};

use super::{
    Hint, Store, audit, events,
    group::{Group, Turn},
    reader::Reader,
};
use crate::{
    auth::{Actor, TenantScope},
    domain::event::Event,
    env::Env,
    error::{Error, Result},
    fault::{self, Point},
    id::TenantId,
};

/// How often a transaction runs again after a serialisation failure or a deadlock.
const RETRIES: u32 = 5;

/// A connection, and what happened on it.
pub struct Db<C = Reader> {
    store: Store,
    conn: C,
    noted: Arc<Noted>,
}

/// An open transaction.
#[derive(Clone)]
pub struct Tx(Arc<Open>);

#[async_trait::async_trait]
impl ConnectionTrait for Tx {
    fn get_database_backend(&self) -> DbBackend {
        self.0.transaction().get_database_backend()
    }
    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.0.transaction().execute_raw(statement).await
    }
    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.0.transaction().execute_unprepared(sql).await
    }
    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.0.transaction().query_one_raw(statement).await
    }
    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.0.transaction().query_all_raw(statement).await
    }
}

/// What a transaction promised to tell once it commits.
#[derive(Default)]
pub(super) struct Noted(Mutex<Notes>);

#[derive(Default)]
struct Notes {
    events: Vec<(TenantId, Actor, Event)>,
    wakes: Vec<(TenantId, u16)>,
    /// Nothing was done: the answer is that of an earlier time, which is in the audit log already.
    repeated: bool,
}

impl Noted {
    pub(super) fn emit(&self, tenant: TenantId, actor: Actor, event: Event) {
        self.lock().events.push((tenant, actor, event));
    }
    pub(super) fn wake(&self, tenant: TenantId, queue: u16) {
        self.lock().wakes.push((tenant, queue));
    }
    pub(super) fn repeated(&self) {
        self.lock().repeated = true;
    }
    /// How much is promised by now.
    pub(super) fn mark(&self) -> (usize, usize) {
        let notes = self.lock();
        (notes.events.len(), notes.wakes.len())
    }
    /// Takes back what was promised after `mark`.
    pub(super) fn back_to(&self, mark: (usize, usize)) {
        let mut notes = self.lock();
        notes.events.truncate(mark.0);
        notes.wakes.truncate(mark.1);
    }
    fn lock(&self) -> std::sync::MutexGuard<'_, Notes> {
        // Pushing to a list cannot leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn take(&self) -> Notes {
        std::mem::take(&mut *self.lock())
    }
}

impl<C> Db<C> {
    pub(super) fn conn(&self) -> &C {
        &self.conn
    }
    pub(super) fn env(&self) -> &Env {
        &self.store.env
    }
    pub(super) fn noted(&self) -> &Noted {
        &self.noted
    }
}

impl Db<Tx> {
    /// The same transaction once more.
    pub(super) fn share(&self) -> Self {
        Self { store: self.store.clone(), conn: self.conn.clone(), noted: self.noted.clone() }
    }
}

impl Db {
    pub(super) fn reading(store: Store, conn: Reader) -> Self {
        Self { store, conn, noted: Arc::default() }
    }

    /// Opens a transaction; [`Db::close`] ends it.
    pub(super) async fn open(&self) -> Result<Db<Tx>> {
        let open = self.store.writer.open().await?;
        Ok(Db { store: self.store.clone(), conn: Tx(Arc::new(open)), noted: Arc::default() })
    }
}

impl Db<Tx> {
    /// Commits what led to `Ok`, together with the events it noted and the audit entry of `scope`;
    /// rolls back what led to `Err`. `Ok(None)`: the database wants the command to run again.
    pub(super) async fn close<T>(
        self,
        value: Result<T>,
        scope: Option<&TenantScope>,
        attempt: u32,
    ) -> Result<Option<T>> {
        let notes = self.noted.take();
        let written = match value {
            Ok(value) => record(&self, &notes, scope).await.map(|()| value),
            Err(error) => Err(error),
        };
        let open = Arc::into_inner(self.conn.0).ok_or_else(outlived)?;
        let ended = match written {
            Ok(value) => open.commit().await.map(|()| value),
            Err(error) => {
                open.rollback().await?;
                Err(error)
            }
        };
        match ended {
            Ok(value) => {
                pass(Point::CommandAfterCommit, scope).await?;
                self.store.tell(&notes);
                pass(Point::CommandBeforeAnswer, scope).await?;
                Ok(Some(value))
            }
            Err(error) if attempt < RETRIES && repeatable(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Rolls back, and tells nobody.
    pub(super) async fn abandon(self) -> Result<()> {
        Arc::into_inner(self.conn.0).ok_or_else(outlived)?.rollback().await
    }
}

fn outlived() -> Error {
    Error::internal(anyhow::anyhow!("a transaction outlived its command: something kept its connection"))
}

impl Store {
    fn tell(&self, notes: &Notes) {
        let mut hints: Vec<Hint> = Vec::new();
        let touched = notes.events.iter().map(|(tenant, ..)| (*tenant, true, 0));
        for (tenant, events, queue) in touched.chain(notes.wakes.iter().map(|(t, queue)| (*t, false, *queue)))
        {
            Hint { tenant, events, queues: queue }.join(&mut hints);
        }
        hints.into_iter().for_each(|hint| self.hints.tell(hint));
    }
}

/// Writes what the command noted: its events in one statement, and its audit entry.
async fn record(db: &Db<Tx>, notes: &Notes, scope: Option<&TenantScope>) -> Result<()> {
    events::append(&db.conn, db.env(), &notes.events).await?;
    if let Some(scope) = scope.filter(|_| !notes.repeated)
        && let Some(action) = scope.audit()
    {
        let subject = notes.events.first().map(|(_, _, event)| event.subject());
        audit::append(&db.conn, db.env(), scope, action, subject).await?;
    }
    pass(Point::CommandBeforeCommit, scope).await
}

/// The points of commands: what works across tenants has points of its own.
async fn pass(point: Point, scope: Option<&TenantScope>) -> Result<()> {
    match scope {
        Some(_) => fault::point(point).await.map_err(Error::unavailable),
        None => Ok(()),
    }
}

/// Serialisation failure and deadlock on PostgreSQL; a busy database on SQLite.
fn repeatable(error: &Error) -> bool {
    let Error::Internal(cause) = error else { return false };
    let Some(
        DbErr::Exec(sea_orm::RuntimeErr::SqlxError(cause))
        | DbErr::Query(sea_orm::RuntimeErr::SqlxError(cause)),
    ) = cause.downcast_ref::<DbErr>()
    else {
        return false;
    };
    let code = cause.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| matches!(code.as_ref(), "40001" | "40P01" | "5" | "517"))
}

/// Where transactions begin.
#[derive(Clone)]
pub(super) enum Writer {
    Postgres(DatabaseConnection),
    /// One connection; commands that wait for it at the same time share a commit.
    Sqlite(DatabaseConnection, Arc<Group>),
}

/// An open transaction, and on SQLite the hold on the writer that goes with it. The two end together, in a task
/// that nobody can cancel: a writer that is free before its last statement ran would have the next command
/// commit or roll back what is not its own. Whoever lets go of it without ending it rolls back.
pub(super) struct Open {
    transaction: Option<DatabaseTransaction>,
    turn: Option<Turn>,
}

impl Open {
    pub(super) fn shared(savepoint: DatabaseTransaction, turn: Turn) -> Self {
        Self { transaction: Some(savepoint), turn: Some(turn) }
    }

    fn transaction(&self) -> &DatabaseTransaction {
        self.transaction.as_ref().expect("only what ends it takes it out")
    }

    async fn commit(mut self) -> Result<()> {
        match (self.transaction.take(), self.turn.take()) {
            (Some(savepoint), Some(turn)) => turn.commit(savepoint).await,
            (Some(transaction), None) => uncancelled(transaction.commit()).await,
            (None, _) => Ok(()),
        }
    }

    async fn rollback(mut self) -> Result<()> {
        match self.ending() {
            Some(ending) => tokio::spawn(ending).await.map_err(Error::internal),
            None => Ok(()),
        }
    }

    /// What is left to do without a commit.
    fn ending(&mut self) -> Option<impl Future<Output = ()> + Send + 'static> {
        let (transaction, turn) = (self.transaction.take()?, self.turn.take());
        Some(async move {
            match turn {
                Some(turn) => turn.rollback(transaction).await,
                // The command failed already, and the connection is discarded.
                None => drop(transaction.rollback().await.inspect_err(|error| {
                    tracing::warn!(%error, "rollback failed");
                })),
            }
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and the database rolls back by itself.
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && let Some(ending) = self.ending()
        {
            runtime.spawn(ending);
        }
    }
}

impl Writer {
    pub(super) fn postgres(pool: DatabaseConnection) -> Self {
        Self::Postgres(pool)
    }
    pub(super) fn sqlite(connection: DatabaseConnection) -> Self {
        Self::Sqlite(connection.clone(), Group::new(connection))
    }
    pub(super) fn connection(&self) -> &DatabaseConnection {
        match self {
            Self::Postgres(connection) | Self::Sqlite(connection, _) => connection,
        }
    }

    async fn open(&self) -> Result<Open> {
        match self {
            Self::Postgres(pool) => {
                let pool = pool.clone();
                #[expect(clippy::disallowed_methods, reason = "in a task that nobody can cancel")]
                let begun = uncancelled(async move { pool.begin().await }).await?;
                Ok(Open { transaction: Some(begun), turn: None })
            }
            Self::Sqlite(_, group) => group.join().await,
        }
    }
}

/// Runs to its end even when the caller goes away.
pub(super) async fn uncancelled<T: Send + 'static>(
    work: impl Future<Output = Result<T, DbErr>> + Send + 'static,
) -> Result<T> {
    let left = Left;
    let done = tokio::spawn(work).await;
    std::mem::forget(left);
    match done {
        Ok(done) => Ok(done?),
        Err(panicked) => Err(Error::internal(panicked)),
    }
}

/// Counts callers that go away in the middle: each is a connection that would be poisoned without the task.
struct Left;

impl Drop for Left {
    fn drop(&mut self) {
        metrics::counter!("switchboard_cancelled_begin_total").increment(1);
    }
}
