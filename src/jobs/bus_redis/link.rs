//! The connections to Redis: one for commands, one for each queue's blocking reads. They learn from every
//! answer whether Redis is there.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, FromRedisValue, Pipeline, RedisError, RedisResult, ScriptInvocation,
    aio::MultiplexedConnection,
};
use tokio::time::Instant;

use crate::{domain::queue::Queue, jobs::bus::Trouble};

/// An answer to anything but a blocking read takes no longer, or Redis is away.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Link {
    client: redis::Client,
    commands: Mutex<Option<MultiplexedConnection>>,
    /// A blocked connection serves nobody else.
    readers: [tokio::sync::Mutex<Option<MultiplexedConnection>>; Queue::ALL.len()],
    away_since: Mutex<Option<Instant>>,
}

impl Link {
    pub(super) fn new(client: redis::Client) -> Self {
        Self { client, commands: Mutex::default(), readers: Default::default(), away_since: Mutex::default() }
    }

    /// For how long Redis has not answered.
    pub(super) fn away(&self) -> Duration {
        let since = *self.away_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    pub(super) async fn call<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, Trouble> {
        let mut connection = self.connection().await?;
        self.noticed(call.invoke_async(&mut connection).await)
    }

    pub(super) async fn query<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, Trouble> {
        let mut connection = self.connection().await?;
        self.noticed(command.query_async(&mut connection).await)
    }

    pub(super) async fn pipe<T: FromRedisValue>(&self, pipe: &Pipeline) -> Result<T, Trouble> {
        let mut connection = self.connection().await?;
        self.noticed(pipe.query_async(&mut connection).await)
    }

    /// A read that blocks up to `wait`, on the connection of its queue.
    pub(super) async fn read<T: FromRedisValue>(
        &self,
        queue: Queue,
        read: &redis::Cmd,
        wait: Duration,
    ) -> Result<T, Trouble> {
        let mut reader = self.readers[usize::from(queue.number().unsigned_abs())].lock().await;
        let mut connection = match reader.take() {
            Some(connection) => connection,
            None => self.connect(wait + Duration::from_secs(3)).await?,
        };
        // One that broke is not put back.
        let answer = self.noticed(read.query_async(&mut connection).await)?;
        *reader = Some(connection);
        Ok(answer)
    }

    async fn connection(&self) -> Result<MultiplexedConnection, Trouble> {
        let open = self.commands.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(open) = open {
            return Ok(open);
        }
        let fresh = self.connect(PATIENCE).await?;
        *self.commands.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh.clone());
        Ok(fresh)
    }

    async fn connect(&self, answer: Duration) -> Result<MultiplexedConnection, Trouble> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(answer));
        self.noticed(self.client.get_multiplexed_async_connection_with_config(&config).await)
    }

    /// Learns from every answer whether Redis is there, and drops a connection that broke.
    fn noticed<T>(&self, answer: RedisResult<T>) -> Result<T, Trouble> {
        let mut since = self.away_since.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(answer) => {
                *since = None;
                Ok(answer)
            }
            Err(error) => {
                if broken(&error) {
                    since.get_or_insert_with(Instant::now);
                    *self.commands.lock().unwrap_or_else(PoisonError::into_inner) = None;
                } else {
                    *since = None;
                }
                let lost = matches!(error.code(), Some("NOGEN" | "NOGROUP"));
                Err(if lost { Trouble::NoGeneration } else { Trouble::Redis(error) })
            }
        }
    }
}

/// Whether this says something about the connection, or about a server that cannot serve yet.
fn broken(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || error.is_unrecoverable_error()
        || matches!(error.code(), Some("LOADING" | "READONLY" | "MASTERDOWN" | "CLUSTERDOWN"))
}
