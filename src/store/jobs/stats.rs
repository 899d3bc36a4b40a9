//! How full the queues are, at a cost that does not grow with them: each number is counted up to a limit,
//! through an index that holds nothing else.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult};

use super::sql::timed;
use crate::{
    domain::{job::JobState, queue::Queue},
    error::Result,
    store::{SystemDb, Tx, sql::statement},
};

/// The highest number that is counted exactly; one that is reached may stand for any number above it.
pub const COUNTED: i64 = 10_000;

/// One queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueStats {
    pub queue: Queue,
    pub ready: i64,
    pub scheduled: i64,
    pub blocked: i64,
    pub dispatched: i64,
    pub running: i64,
    /// Dead, and not archived yet: these can be redriven.
    pub dead: i64,
    /// Some number is as high as is counted.
    pub capped: bool,
    /// For how long the oldest job that may start has been waiting.
    pub oldest_ready: Duration,
    pub pause: Option<Pause>,
}

/// Why a queue holds its jobs back.
#[derive(Clone, Debug, PartialEq)]
pub struct Pause {
    pub reason: String,
    /// Who paused it, as `Actor::label` says it.
    pub actor: String,
    pub since: DateTime<Utc>,
}

// All shards by name: then the index of ready jobs begins with the queue.
const WAITING: &str = "select count(*) as n, sum(case when run_at <= {now} then 1 else 0 end) as due \
     from (select run_at from job where state = 0 and shard in (0, 1, 2, 3, 4, 5, 6, 7) and queue = $1 limit $2) r";
const IN_FLIGHT: &str =
    "select queue, state, count(*) as n from job where state in (1, 2) group by queue, state";

impl SystemDb {
    /// All queues. Goes through [`COUNTED`] ready jobs of each queue, [`COUNTED`] blocked and dead ones of all of
    /// them, what is in flight, and one ready job of each tenant that has any.
    pub async fn queue_stats(&self) -> Result<Vec<QueueStats>> {
        let mut oldest: HashMap<Queue, Duration> = HashMap::new();
        for ready in self.ready_tenants().await? {
            let oldest = oldest.entry(ready.queue).or_default();
            *oldest = ready.late.max(*oldest);
        }
        let mut all = match self.backend() {
            DbBackend::Postgres => {
                self.transaction(async |db| {
                    db.along_indexes().await?;
                    db.counts().await
                })
                .await?
            }
            _ => self.counts().await?,
        };
        for stats in &mut all {
            stats.oldest_ready = oldest.get(&stats.queue).copied().unwrap_or_default();
        }
        Ok(all)
    }
}

impl SystemDb<Tx> {
    /// Has this transaction read along indexes alone, for statements that stop early: a bitmap or a sort goes
    /// through everything first, however little is asked for, and the planner often takes that for cheaper.
    pub(super) async fn along_indexes(&self) -> Result<()> {
        for way in ["bitmapscan", "seqscan", "sort"] {
            self.conn().execute_unprepared(&format!("set local enable_{way} = off")).await?;
        }
        Ok(())
    }
}

impl<C: ConnectionTrait> SystemDb<C> {
    async fn counts(&self) -> Result<Vec<QueueStats>> {
        let (blocked, dead) = (self.count_of(JobState::Blocked).await?, self.count_of(JobState::Dead).await?);
        let in_flight = self.conn().query_all_raw(statement(self.backend(), IN_FLIGHT, [])).await?;
        let mut flying: HashMap<(i16, i16), i64> = HashMap::new();
        for row in &in_flight {
            flying.insert((row.try_get("", "queue")?, row.try_get("", "state")?), row.try_get("", "n")?);
        }
        let mut pauses = self.pauses().await?;
        let mut all = Vec::with_capacity(Queue::ALL.len());
        for queue in Queue::ALL {
            let (ready, scheduled) = self.waiting(queue).await?;
            let of = |counts: &HashMap<i16, i64>| counts.get(&queue.number()).copied().unwrap_or(0);
            let flying = |state: i16| flying.get(&(queue.number(), state)).copied().unwrap_or(0);
            all.push(QueueStats {
                queue,
                ready,
                scheduled,
                blocked: of(&blocked),
                dispatched: flying(1),
                running: flying(2),
                dead: of(&dead),
                capped: ready + scheduled >= COUNTED || sum(&blocked) >= COUNTED || sum(&dead) >= COUNTED,
                oldest_ready: Duration::ZERO,
                pause: pauses.remove(&queue),
            });
        }
        Ok(all)
    }

    /// Queues that hold their jobs back.
    pub async fn pauses(&self) -> Result<HashMap<Queue, Pause>> {
        let sql = "select queue, reason, actor, create_time from queue_pause order by queue";
        let rows = self.conn().query_all_raw(statement(self.backend(), sql, [])).await?;
        let rows = rows.iter().map(|row| {
            let Some(queue) = Queue::of(row.try_get("", "queue")?) else { return Ok(None) };
            let reason = row.try_get("", "reason")?;
            let pause =
                Pause { reason, actor: row.try_get("", "actor")?, since: row.try_get("", "create_time")? };
            Ok(Some((queue, pause)))
        });
        rows.filter_map(Result::transpose).collect()
    }

    /// Those of `queue` that may start, and those whose time has not come.
    async fn waiting(&self, queue: Queue) -> Result<(i64, i64)> {
        let values = [queue.number().into(), COUNTED.into()];
        let row = self.conn().query_one_raw(timed(self.backend(), self.env(), WAITING, values)).await?;
        let Some(row) = row else { return Ok((0, 0)) };
        let due = row.try_get::<Option<i64>>("", "due")?.unwrap_or(0);
        Ok((due, row.try_get::<i64>("", "n")? - due))
    }

    /// By queue, of a state with an index of its own.
    async fn count_of(&self, state: JobState) -> Result<HashMap<i16, i64>> {
        let state = state.number();
        let sql = format!(
            "select queue, count(*) as n from (select queue from job where state = {state} \
                 order by tenant_id, id limit {COUNTED}) j group by queue"
        );
        let rows = self.conn().query_all_raw(statement(self.backend(), &sql, [])).await?;
        let read = |row: &QueryResult| Ok((row.try_get("", "queue")?, row.try_get("", "n")?));
        rows.iter().map(read).collect()
    }
}

impl SystemDb<Tx> {
    /// Has `queue` hold its jobs back: whatever is not dispatched yet waits. False when it did already.
    pub async fn pause_queue(&self, queue: Queue, reason: &str, actor: &str) -> Result<bool> {
        let sql = "insert into queue_pause (queue, reason, actor, create_time) values ($1, $2, $3, $4) \
             on conflict (queue) do nothing";
        let values = [queue.number().into(), reason.into(), actor.into(), self.env().now().into()];
        Ok(self.conn().execute_raw(statement(self.backend(), sql, values)).await?.rows_affected() > 0)
    }

    /// Lets it go on. False when it was not paused.
    pub async fn resume_queue(&self, queue: Queue) -> Result<bool> {
        let sql = "delete from queue_pause where queue = $1";
        let done = self.conn().execute_raw(statement(self.backend(), sql, [queue.number().into()])).await?;
        Ok(done.rows_affected() > 0)
    }
}

fn sum(counts: &HashMap<i16, i64>) -> i64 {
    counts.values().sum()
}
