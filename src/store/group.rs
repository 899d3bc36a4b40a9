//! Group commit for SQLite. A durable commit costs a disk flush (about 300 a second); commands that
//! queue for the single writer at the same moment run one after another as savepoints of one outer
//! transaction and share its flush. Each is answered after that flush.
//!
//! sqlx knows a savepoint by its depth alone, so statements that begin and end savepoints must never overtake
//! each other: each runs in a task of its own, together with the lock on the writer, whatever becomes of the
//! caller.

use std::sync::Arc;

use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use super::transaction::Open;
use crate::error::{Error, Result};

/// Commands that may share one flush: bounds how much one power cut can undo before the answer.
const MOST: usize = 128;

/// The single writer and the transaction it has open.
pub(super) struct Group {
    connection: DatabaseConnection,
    shared: Arc<Mutex<Option<Shared>>>,
}

/// The outer transaction, and who waits for its commit.
struct Shared {
    outer: DatabaseTransaction,
    waiting: Vec<oneshot::Sender<Result<()>>>,
}

/// One command's hold on the writer.
pub(super) struct Turn(OwnedMutexGuard<Option<Shared>>);

impl Group {
    pub(super) fn new(connection: DatabaseConnection) -> Arc<Self> {
        Arc::new(Self { connection, shared: Arc::default() })
    }

    /// Waits for the writer and opens a savepoint.
    pub(super) async fn join(self: &Arc<Self>) -> Result<Open> {
        let group = self.clone();
        let (opened, answer) = oneshot::channel();
        tokio::spawn(async move {
            let slot = group.shared.clone().lock_owned().await;
            if !opened.is_closed() {
                // Dropped when the caller is gone: that rolls back.
                drop(opened.send(group.open(slot).await));
            }
        });
        answer.await.map_err(Error::internal)?
    }

    async fn open(&self, mut slot: OwnedMutexGuard<Option<Shared>>) -> Result<Open> {
        if slot.is_none() {
            let outer = self.begin().await?;
            *slot = Some(Shared { outer, waiting: Vec::new() });
            // The lock is fair: whoever waits for it now goes first, and then this commits for all of them.
            let shared = self.shared.clone();
            tokio::spawn(async move { flush(&mut *shared.lock_owned().await).await });
        }
        let outer = &slot.as_ref().expect("opened above, and the lock is held").outer;
        #[expect(clippy::disallowed_methods, reason = "in a task that nobody can cancel")]
        match outer.begin().await {
            Ok(savepoint) => Ok(Open::shared(savepoint, Turn(slot))),
            Err(error) => {
                let error = Error::from(error);
                abort(&mut slot, &error).await;
                Err(error)
            }
        }
    }

    async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        // A deferred transaction that reads first fails with SQLITE_BUSY when it comes to write.
        let immediate = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        #[expect(clippy::disallowed_methods, reason = "in a task that nobody can cancel")]
        self.connection.begin_with_options(immediate).await
    }
}

impl Turn {
    /// Releases the savepoint and waits until the outer transaction is on disk.
    pub(super) async fn commit(mut self, savepoint: DatabaseTransaction) -> Result<()> {
        let (committed, answer) = oneshot::channel();
        tokio::spawn(async move {
            if let Err(error) = savepoint.commit().await {
                let error = Error::from(error);
                abort(&mut self.0, &error).await;
                drop(committed.send(Err(error)));
            } else if let Some(shared) = self.0.as_mut() {
                shared.waiting.push(committed);
                if shared.waiting.len() >= MOST {
                    flush(&mut self.0).await;
                }
            }
        });
        answer.await.map_err(Error::internal)?
    }

    /// Undoes the savepoint, and nothing else. In a task that nobody can cancel.
    pub(super) async fn rollback(mut self, savepoint: DatabaseTransaction) {
        if let Err(error) = savepoint.rollback().await {
            abort(&mut self.0, &Error::from(error)).await;
        }
    }
}

/// Commits what is open, if anything is, and answers everyone in it.
async fn flush(slot: &mut Option<Shared>) {
    let Some(Shared { outer, waiting }) = slot.take() else { return };
    let done = outer.commit().await.map_err(Error::from);
    answer(waiting, &done);
}

/// Rolls back what is open: nobody knows any more what a commit of it would hold.
async fn abort(slot: &mut Option<Shared>, why: &Error) {
    let Some(Shared { outer, waiting }) = slot.take() else { return };
    tracing::error!(error = %why, commands = waiting.len(), "a savepoint failed; all that share its transaction are undone");
    if let Err(error) = outer.rollback().await {
        tracing::error!(%error, "rollback failed");
    }
    answer(waiting, &Err(why.clone()));
}

fn answer(waiting: Vec<oneshot::Sender<Result<()>>>, done: &Result<()>) {
    for command in waiting {
        // A command whose caller went away needs no answer.
        drop(command.send(done.clone()));
    }
}
