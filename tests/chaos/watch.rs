//! What may never be seen, at no moment: looked for while everything breaks.
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use redis::{
    FromRedisValue,
    streams::{StreamId, StreamRangeReply},
};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, QueryResult, Statement, Value};
use uuid::Uuid;

/// The most tickets that may stand in one lane, and one more batch.
const LANE: usize = 2_000 + 500;
/// The least window of the relay, in which a queue's jobs are under way; a leader that was paused may have filled
/// it once more.
const WINDOW: i64 = 64 * 2;

/// No epoch goes back, nothing that is over comes back, nothing runs that was not dispatched. In the database
/// itself, so that not one change is missed.
const GUARD: &str = "
create table if not exists chaos_finding (what text not null);
create or replace function chaos_guard() returns trigger language plpgsql as $$
begin
  if new.epoch < old.epoch then insert into chaos_finding values ('an epoch went back'); end if;
  if old.state in (3, 4, 5) and new.state not in (3, 4, 5) then
    insert into chaos_finding values ('a job that was over came back');
  end if;
  if new.state = 2 and old.state not in (1, 2) then
    insert into chaos_finding values ('a job started that was not dispatched');
  end if;
  return new;
end $$;
create or replace trigger chaos_guard before update on job for each row execute function chaos_guard();
";

/// A ticket as it stands in Redis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub job: Uuid,
    pub epoch: i32,
}

/// The record and the tickets, seen from outside.
#[derive(Clone)]
pub struct Watch {
    pub database: DatabaseConnection,
    redis: redis::Client,
    found: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Watch {
    pub async fn begin(database: DatabaseConnection, redis: redis::Client) -> Self {
        database.execute_unprepared(GUARD).await.expect("the guard stands");
        let watch = Self { database, redis, found: Arc::default() };
        let eyes = watch.clone();
        tokio::spawn(async move {
            loop {
                // What is away now is looked at later.
                drop(eyes.look().await);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        watch
    }

    pub fn find(&self, what: impl Into<String>) {
        *self.found.lock().expect("no reader panicked").entry(what.into()).or_default() += 1;
    }

    /// Everything that should not have been, and how often it was seen.
    pub async fn findings(&self) -> Vec<String> {
        let guard = self.ask("select what, count(*) as n from chaos_finding group by what", []).await;
        let guard = guard.expect("the database is back").into_iter().map(|row| {
            (row.try_get::<String>("", "what").unwrap(), row.try_get::<i64>("", "n").unwrap().to_string())
        });
        let seen = self.found.lock().expect("no reader panicked").clone();
        let seen = seen.into_iter().map(|(what, count)| (what, count.to_string()));
        guard.chain(seen).map(|(what, count)| format!("{what} ({count} times)")).collect()
    }

    async fn look(&self) -> anyhow::Result<()> {
        self.compare().await?;
        let sql =
            "select queue, tenant_id, count(*) as n from job where state in (1, 2) group by queue, tenant_id";
        for row in self.ask(sql, []).await? {
            let (queue, count): (i16, i64) = (row.try_get("", "queue")?, row.try_get("", "n")?);
            if count > WINDOW {
                self.find(format!("{count} jobs of one tenant under way in queue {queue}"));
            }
        }
        Ok(())
    }

    /// A ticket whose dispatch is not on disk was published before its commit.
    pub async fn compare(&self) -> anyhow::Result<()> {
        let tickets = self.tickets().await?;
        let jobs: Vec<Uuid> = tickets.iter().map(|ticket| ticket.job).collect();
        let rows = self.ask("select id, epoch from job where id = any($1)", [jobs.into()]).await?;
        let epochs = rows
            .iter()
            .map(|row| Ok((row.try_get("", "id")?, row.try_get("", "epoch")?)))
            .collect::<Result<HashMap<Uuid, i32>, DbErr>>()?;
        for ticket in tickets {
            if epochs.get(&ticket.job).is_some_and(|epoch| *epoch < ticket.epoch) {
                self.find("a ticket was published before its dispatch was on disk");
            }
        }
        Ok(())
    }

    /// What stands in the streams.
    pub async fn tickets(&self) -> anyhow::Result<Vec<Ticket>> {
        let mut redis = self.redis().await?;
        let mut tickets = Vec::new();
        for stream in streams(&mut redis).await? {
            let mut range = redis::cmd("XRANGE");
            range.arg(&stream).arg("-").arg("+");
            let reply: StreamRangeReply = range.query_async(&mut redis).await?;
            if reply.ids.len() > LANE {
                self.find(format!("{} tickets in {stream}", reply.ids.len()));
            }
            tickets.extend(reply.ids.iter().filter_map(ticket));
        }
        Ok(tickets)
    }

    /// Tickets that wait or were not acknowledged, and the most consumers of one lane.
    pub async fn left(&self) -> anyhow::Result<(u64, usize)> {
        let mut redis = self.redis().await?;
        let (mut left, mut most) = (0, 0);
        for stream in streams(&mut redis).await? {
            let length: u64 = redis::cmd("XLEN").arg(&stream).query_async(&mut redis).await?;
            let mut pending = redis::cmd("XPENDING");
            let pending: redis::streams::StreamPendingReply =
                pending.arg(&stream).arg("w").query_async(&mut redis).await?;
            left += length + pending.count() as u64;
            let mut consumers = redis::cmd("XINFO");
            consumers.arg("CONSUMERS").arg(&stream).arg("w");
            let consumers: Vec<redis::Value> = consumers.query_async(&mut redis).await?;
            most = most.max(consumers.len());
        }
        Ok((left, most))
    }

    pub async fn redis(&self) -> anyhow::Result<redis::aio::MultiplexedConnection> {
        let connect = self.redis.get_multiplexed_async_connection();
        Ok(tokio::time::timeout(Duration::from_secs(2), connect).await??)
    }

    pub async fn ask<const N: usize>(
        &self,
        sql: &str,
        values: [Value; N],
    ) -> Result<Vec<QueryResult>, DbErr> {
        let ask = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        self.database.query_all_raw(ask).await
    }

    /// The one number that `sql` selects as `n`.
    pub async fn number(&self, sql: &str) -> i64 {
        let rows = self.ask(sql, []).await.expect("the database is back");
        rows[0].try_get("", "n").expect("a number")
    }
}

async fn streams(redis: &mut redis::aio::MultiplexedConnection) -> redis::RedisResult<Vec<String>> {
    redis::cmd("KEYS").arg("{jq:*}:s").query_async(redis).await
}

fn ticket(entry: &StreamId) -> Option<Ticket> {
    let bytes = |name: &str| Vec::<u8>::from_redis_value(entry.map.get(name)?.clone()).ok();
    if let Some(packed) = bytes("p") {
        let job = Uuid::from_slice(packed.get(..16)?).ok()?;
        return Some(Ticket { job, epoch: i32::from_be_bytes(packed.get(32..36)?.try_into().ok()?) });
    }
    let job = Uuid::from_slice(&bytes("j")?).ok()?;
    Some(Ticket { job, epoch: i32::from_redis_value(entry.map.get("e")?.clone()).ok()? })
}
