//! Connections for reading. Those to PostgreSQL are kept here and not in a pool of sqlx, which asks the server for
//! a sign of life each time a connection comes back (sqlx-core 0.9.0, `Floating::return_to_pool`): a second
//! round trip for a read of one statement. Here one comes back as it is after a query that ran to its end, and
//! is asked only after one that did not.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult,
    RuntimeErr, Statement, sea_query::Values,
};
use sea_query_sqlx::SqlxValues;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _,
    postgres::{PgConnectOptions, PgConnection, PgRow},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// How long a read waits for a connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that lay idle for longer is asked whether it still lives.
pub(super) const IDLE: Duration = Duration::from_secs(30);

/// What the server keeps for a connection grows with its age.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// How long a query that nobody waits for any more may hold up its connection.
const RECOVERY: Duration = Duration::from_secs(1);

/// Where reads go: it refuses to write. Cheap to clone.
#[derive(Clone)]
pub enum Reader {
    Postgres(Arc<Readers>),
    Sqlite(DatabaseConnection),
}

impl Reader {
    pub(super) fn postgres(options: PgConnectOptions, connections: u32) -> Self {
        let most = usize::try_from(connections).unwrap_or(Semaphore::MAX_PERMITS);
        let permits = Arc::new(Semaphore::new(most));
        // Belt and braces: a statement that writes has no business here.
        let options = options.options([("default_transaction_read_only", "on")]);
        Self::Postgres(Arc::new(Readers { options, permits, idle: Mutex::default() }))
    }

    /// Asks the database for a sign of life.
    pub(super) async fn ping(&self) -> Result<(), DbErr> {
        match self {
            Self::Postgres(readers) => readers.lend().await?.ping().await,
            Self::Sqlite(connection) => connection.ping().await,
        }
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DbBackend {
        match self {
            Self::Postgres(_) => DbBackend::Postgres,
            Self::Sqlite(_) => DbBackend::Sqlite,
        }
    }
    async fn execute_raw(&self, _: Statement) -> Result<ExecResult, DbErr> {
        Err(writes())
    }
    async fn execute_unprepared(&self, _: &str) -> Result<ExecResult, DbErr> {
        Err(writes())
    }
    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match self {
            Self::Postgres(readers) => Ok(readers.query(statement).await?.into_iter().next().map(Into::into)),
            Self::Sqlite(connection) => connection.query_one_raw(statement).await,
        }
    }
    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match self {
            Self::Postgres(readers) => {
                Ok(readers.query(statement).await?.into_iter().map(Into::into).collect())
            }
            Self::Sqlite(connection) => connection.query_all_raw(statement).await,
        }
    }
}

fn writes() -> DbErr {
    DbErr::Custom("only a transaction writes".to_owned())
}

/// Connections to PostgreSQL, as many as are in use at once, up to a limit.
pub struct Readers {
    options: PgConnectOptions,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Kept>>,
}

struct Kept {
    connection: PgConnection,
    opened: Instant,
    used: Instant,
}

impl Readers {
    async fn query(self: &Arc<Self>, statement: Statement) -> Result<Vec<PgRow>, DbErr> {
        let Statement { sql, values, .. } = statement;
        let (sql, values) = (Arc::new(sql), values.unwrap_or(Values(Vec::new())));
        let mut loan = self.lend().await?;
        let asked = match loan.run(sql.clone(), values.clone()).await {
            // The server went away since the connection was last used. Reading twice does no harm.
            Err(error) if loan.reused && died(&error) => {
                loan.renew().await?;
                loan.run(sql, values).await
            }
            asked => asked,
        };
        asked.map_err(|error| DbErr::Query(RuntimeErr::SqlxError(Arc::new(error))))
    }

    async fn lend(self: &Arc<Self>) -> Result<Loan, DbErr> {
        let waited = timeout(PATIENCE, self.permits.clone().acquire_owned()).await;
        let permit = waited.map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))?;
        let permit = permit.map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))?;
        let kept = self.kept().await;
        let reused = kept.is_some();
        let kept = match kept {
            Some(kept) => kept,
            None => self.open().await?,
        };
        Ok(Loan { readers: self.clone(), kept: Some(kept), reused, clean: false, permit: Some(permit) })
    }

    /// One that lies idle and seems to live: the one used last, so that the others may be forgotten.
    async fn kept(&self) -> Option<Kept> {
        loop {
            let mut kept = self.idle().pop()?;
            if kept.opened.elapsed() < LIFETIME && (kept.used.elapsed() < IDLE || kept.answers().await) {
                return Some(kept);
            }
        }
    }

    async fn open(&self) -> Result<Kept, DbErr> {
        let opened = timeout(PATIENCE, self.options.connect()).await;
        let opened = opened.map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))?;
        let connection = opened.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))?;
        let now = Instant::now();
        Ok(Kept { connection, opened: now, used: now })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Kept>> {
        // Pushing and popping cannot leave it half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Reads what is left of an earlier query, and asks for a sign of life.
    async fn answers(&mut self) -> bool {
        matches!(timeout(RECOVERY, self.connection.ping()).await, Ok(Ok(())))
    }
}

/// A connection on loan: it goes back when it is let go of.
struct Loan {
    readers: Arc<Readers>,
    kept: Option<Kept>,
    /// Lay idle before, so that it may have died unnoticed.
    reused: bool,
    /// Nothing of a query is left on it.
    clean: bool,
    permit: Option<OwnedSemaphorePermit>,
}

impl Loan {
    async fn run(&mut self, sql: Arc<String>, values: Values) -> Result<Vec<PgRow>, sqlx::Error> {
        let kept = self.kept.as_mut().expect("taken only when the loan ends");
        self.clean = false;
        let rows =
            kept.connection.fetch_all(sqlx::query_with(AssertSqlSafe(sql), SqlxValues(values))).await?;
        self.clean = true;
        Ok(rows)
    }

    async fn ping(&mut self) -> Result<(), DbErr> {
        let kept = self.kept.as_mut().expect("taken only when the loan ends");
        self.clean = kept.answers().await;
        if self.clean { Ok(()) } else { Err(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)) }
    }

    /// Takes a connection of now in its place; the others that lie idle died with it.
    async fn renew(&mut self) -> Result<(), DbErr> {
        self.readers.idle().clear();
        self.kept = None;
        self.kept = Some(self.readers.open().await?);
        Ok(())
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let Some(mut kept) = self.kept.take() else { return };
        kept.used = Instant::now();
        if self.clean {
            return self.readers.idle().push(kept);
        }
        // A read that failed, or whose caller went away. Without a runtime the process is ending.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (readers, permit) = (self.readers.clone(), self.permit.take());
            runtime.spawn(async move {
                if kept.answers().await {
                    readers.idle().push(kept);
                }
                drop(permit);
            });
        }
    }
}

/// Whether the connection is no more, whatever it was asked.
fn died(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) => true,
        // 57P01 to 57P03: the server is shut down, crashed, or starting.
        sqlx::Error::Database(cause) => cause.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}
