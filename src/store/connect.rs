//! Opening the database: PostgreSQL with server-side time limits, or SQLite made durable.

use std::{str::FromStr as _, sync::Arc, time::Duration};

use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr};
use sqlx::postgres::PgConnectOptions;
use switchboard_migrations::{Migrator, MigratorTrait};

use super::{
    Hints, Store,
    reader::{IDLE, PATIENCE, Reader},
    transaction::Writer,
};
use crate::{env::Env, error::Result};

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `postgres://…` or `sqlite:path?mode=rwc`.
    pub url: String,
    /// Connections of this process: half of them read. SQLite reads with as many and writes with one.
    pub pool: u32,
}

/// Connects; changes nothing. SQLite files are created when the URL says `mode=rwc`.
pub async fn connect(settings: &Settings, env: Env) -> Result<Store> {
    let (reader, writer) = if settings.url.starts_with("sqlite:") {
        let writer = open(settings, 1).await?;
        let reader = open(settings, settings.pool.max(1)).await?;
        (Reader::Sqlite(reader), Writer::sqlite(writer))
    } else {
        let options = PgConnectOptions::from_str(&settings.url);
        let options = options.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))?;
        let readers = (settings.pool / 2).max(1);
        let writers = settings.pool.saturating_sub(readers).max(1);
        (Reader::postgres(bounded(options), readers), Writer::postgres(open(settings, writers).await?))
    };
    Ok(Store { reader, writer, hints: Hints::default(), env })
}

async fn open(settings: &Settings, pool: u32) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(settings.url.clone());
    options
        .max_connections(pool)
        .min_connections(1)
        .acquire_timeout(PATIENCE)
        .sqlx_logging(false)
        // A ping before each use costs a fifth of the throughput (measured); only idle ones are asked.
        .test_before_acquire_if_idle_for(IDLE);
    options.map_sqlx_postgres_opts(bounded);
    options.map_sqlx_sqlite_opts(|sqlite| {
        use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
        sqlite
            .journal_mode(SqliteJournalMode::Wal)
            // NORMAL may lose the last commits when the power fails.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            .foreign_keys(true)
    });
    Ok(Database::connect(options).await?)
}

/// A future that is dropped must not leave a lock behind: the server ends what we forgot.
fn bounded(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("switchboard").options([
        ("idle_in_transaction_session_timeout", "10s"),
        ("statement_timeout", "30s"),
        ("lock_timeout", "10s"),
    ])
}

impl Store {
    /// Applies the migrations that are missing; returns how many.
    pub async fn migrate(&self) -> Result<usize> {
        let missing = self.pending_migrations().await?;
        Migrator::up(self.writer.connection(), None).await?;
        Ok(missing)
    }

    /// How many migrations are missing.
    pub async fn pending_migrations(&self) -> Result<usize> {
        Ok(Migrator::get_pending_migrations_read_only(self.writer.connection()).await?.len())
    }

    /// Asks the database for a sign of life.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.reader.ping().await?)
    }
}
