//! Events between processes: a capped Redis stream per tenant, the event's number as entry id, and one
//! reader per process and tenant in use. Losing Redis costs latency: followers poll the table.

use std::{convert::Infallible, sync::Arc, time::Duration};

use redis::{
    AsyncCommands, AsyncConnectionConfig, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig},
    streams::{StreamId, StreamMaxlen, StreamRangeReply, StreamReadOptions, StreamReadReply},
};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::hub::Topic;
use crate::{id::TenantId, store::events::LoggedEvent};

/// Entries kept per tenant: enough for a client that reconnects at once.
const KEPT: usize = 2_000;

pub(super) struct RedisFeed {
    client: redis::Client,
    prefix: String,
    commands: OnceCell<ConnectionManager>,
}

impl RedisFeed {
    pub(super) fn new(client: redis::Client, prefix: String) -> Self {
        Self { client, prefix, commands: OnceCell::new() }
    }

    fn key(&self, tenant: TenantId) -> String {
        format!("{}{{ev:{tenant}}}:s", self.prefix)
    }

    pub(super) async fn publish(&self, events: &[LoggedEvent]) {
        if let Err(error) = self.try_publish(events).await {
            tracing::warn!(%error, count = events.len(), "live events wait for the next look at the table");
        }
    }

    async fn try_publish(&self, events: &[LoggedEvent]) -> anyhow::Result<()> {
        let mut connection = self.commands().await?;
        let mut pipe = redis::pipe();
        for event in events {
            let Some(seq) = event.seq else { continue };
            let body = serde_json::to_vec(event)?;
            let id = format!("{seq}-0");
            pipe.xadd_maxlen(self.key(event.tenant_id), StreamMaxlen::Approx(KEPT), id, &[("e", body)])
                .ignore();
        }
        let added: RedisResult<()> = pipe.query_async(&mut connection).await;
        match added {
            // An entry that another sequencer added already is refused by its id: nothing to repair.
            Err(error) if error.kind() != redis::ErrorKind::Server(redis::ServerErrorKind::ResponseError) => {
                Err(error.into())
            }
            _ => Ok(()),
        }
    }

    /// The entries right behind `seq`, at most `limit`, if the stream has them without a gap.
    pub(super) async fn recent(&self, tenant: TenantId, seq: i64, limit: u64) -> Option<Vec<LoggedEvent>> {
        let first = seq.checked_add(1)?;
        let mut connection = self.commands().await.ok()?;
        let found: RedisResult<StreamRangeReply> =
            connection.xrange_count(self.key(tenant), format!("{first}-0"), "+", limit).await;
        let found: Vec<LoggedEvent> = found.ok()?.ids.iter().map_while(body).collect();
        let whole = found.iter().zip(first..).all(|(event, next)| event.seq == Some(next));
        (whole && !found.is_empty()).then_some(found)
    }

    /// The connection for commands; readers that block have their own.
    async fn commands(&self) -> RedisResult<ConnectionManager> {
        // Everybody who asks can do without: the table has it all.
        let config = ConnectionManagerConfig::new().set_number_of_retries(0);
        let connect = async || self.client.get_connection_manager_lazy(config);
        self.commands.get_or_try_init(connect).await.cloned()
    }

    /// Feeds `topic` until it is `over`.
    pub(super) fn follow(&self, tenant: TenantId, topic: Arc<Topic>, over: CancellationToken) {
        let (client, key) = (self.client.clone(), self.key(tenant));
        let feed = async move {
            let mut last = "$".to_owned();
            loop {
                let Err(error) = read(&client, &key, &mut last, &topic).await;
                tracing::warn!(%error, "live events are interrupted");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::spawn(over.run_until_cancelled_owned(feed));
    }
}

async fn read(
    client: &redis::Client,
    key: &str,
    last: &mut String,
    topic: &Topic,
) -> anyhow::Result<Infallible> {
    // A blocking read must not run into the default answer timeout of 500 ms.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let options = StreamReadOptions::default().block(1_000).count(500);
    loop {
        let reply: Option<StreamReadReply> =
            connection.xread_options(&[key], &[last.as_str()], &options).await?;
        for entry in reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
            if let Some(event) = body(&entry) {
                topic.tell(event);
            }
            *last = entry.id;
        }
    }
}

fn body(entry: &StreamId) -> Option<LoggedEvent> {
    serde_json::from_slice(&entry.get::<Vec<u8>>("e")?).ok()
}
