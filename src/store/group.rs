//! Group commit for SQLite. A durable commit costs a disk flush (about 300 a second); commands that
//! queue for the single writer at the same moment run one after another as savepoints of one outer
//! transaction and share its flush. Each is answered after that flush.

use std::sync::Arc;

use sea_orm::{
    DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use super::transaction::uncancelled;
use crate::error::{Error, Result};

/// Commands that may share one flush: bounds how much one power cut can undo before the answer.
const MOST: usize = 128;

/// The single writer and the transaction it has open.
pub(super) struct Group {
    connection: DatabaseConnection,
    open: Arc<Mutex<Option<Open>>>,
}

struct Open {
    outer: DatabaseTransaction,
    waiting: Vec<oneshot::Sender<Result<()>>>,
}

/// One command's hold on the writer.
pub(super) struct Turn(OwnedMutexGuard<Option<Open>>);

impl Group {
    pub(super) fn new(connection: DatabaseConnection) -> Arc<Self> {
        Arc::new(Self { connection, open: Arc::default() })
    }

    /// Waits for the writer and opens a savepoint.
    pub(super) async fn join(self: &Arc<Self>) -> Result<(DatabaseTransaction, Turn)> {
        let mut slot = self.open.clone().lock_owned().await;
        if slot.is_none() {
            let outer = self.begin().await?;
            *slot = Some(Open { outer, waiting: Vec::new() });
            // The lock is fair: whoever waits for it now goes first, and then this commits for all of them.
            let open = self.open.clone();
            tokio::spawn(async move { flush(&mut *open.lock_owned().await).await });
        }
        // In a task: a cancelled SAVEPOINT has the same fault as a cancelled BEGIN.
        let (savepoint, slot) = tokio::spawn(async move {
            let outer = &slot.as_ref().expect("opened above, and the lock is held").outer;
            #[expect(clippy::disallowed_methods, reason = "in a task that nobody can cancel")]
            let savepoint = outer.begin().await;
            (savepoint, slot)
        })
        .await
        .map_err(Error::internal)?;
        Ok((savepoint?, Turn(slot)))
    }

    async fn begin(&self) -> Result<DatabaseTransaction> {
        let connection = self.connection.clone();
        // A deferred transaction that reads first fails with SQLITE_BUSY when it comes to write.
        let immediate = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        #[expect(clippy::disallowed_methods, reason = "in a task that nobody can cancel")]
        uncancelled(async move { connection.begin_with_options(immediate).await }).await
    }
}

impl Turn {
    /// Releases the savepoint and waits until the outer transaction is on disk.
    pub(super) async fn commit(mut self, savepoint: DatabaseTransaction) -> Result<()> {
        uncancelled(savepoint.commit()).await?;
        let (committed, answer) = oneshot::channel();
        let open =
            self.0.as_mut().ok_or_else(|| Error::internal(anyhow::anyhow!("the group was closed early")))?;
        open.waiting.push(committed);
        if open.waiting.len() >= MOST {
            flush(&mut self.0).await;
        }
        drop(self);
        answer.await.map_err(Error::internal)?
    }
}

/// Commits what is open, if anything is, and answers everyone in it.
async fn flush(slot: &mut Option<Open>) {
    let Some(Open { outer, waiting }) = slot.take() else { return };
    let done = uncancelled(outer.commit()).await;
    for command in waiting {
        // A command whose caller went away needs no answer.
        drop(command.send(done.clone()));
    }
}
