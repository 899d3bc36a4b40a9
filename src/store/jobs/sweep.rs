//! Repair by looking at the record: leases that ran out, tickets that were lost.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Value};

use super::{
    JobRow, MOST_CRASHES, Ticket,
    gate::{self, Gate},
    sql::{pause, timed},
    state::{CANCELLED, DEAD, READY},
};
use crate::{
    domain::{job::JobState, queue::Queue},
    error::{Error, Result},
    id::{JobId, TenantId},
    store::{SystemDb, TenantDb, Tx},
};

/// What a sweep found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Dispatched, and nobody started it in time.
    pub undelivered: u64,
    /// Running, and its worker fell silent.
    pub abandoned: u64,
    /// Abandoned once more after [`MOST_CRASHES`], when it was only to say that it is dead: now it is.
    pub quarantined: Vec<(TenantId, JobId)>,
    /// Whose queues have new ready jobs behind those that ended.
    pub opened: Vec<(TenantId, Queue)>,
}

impl Swept {
    pub fn total(&self) -> u64 {
        self.undelivered + self.abandoned + self.quarantined.len() as u64
    }
}

// The state is asked again in the update: whoever finished meanwhile keeps its result.
const SWEEP: &str = "update job set \
       state = case when cancel then 5 when (state + 0) = 2 and crashes + 1 >= $2 then 4 else 0 end, \
       crashes = crashes + case when (state + 0) = 2 then 1 else 0 end, \
       finished_at = case when cancel or ((state + 0) = 2 and crashes + 1 >= $2) then {now} end, \
       last_error = case when (state + 0) = 2 then 'its worker fell silent' else last_error end, \
       lease_until = null ";

const SWEEP_POSTGRES: &str = "from (select tenant_id as t, id as i, state as was from job \
         where state in (1, 2) and lease_until <= now() order by lease_until limit $1 for update skip locked) c \
     where job.tenant_id = c.t and job.id = c.i and (job.state + 0) in (1, 2) \
     returning job.tenant_id, job.id, job.order_key, job.queue, job.state, c.was";

const EXPIRED_SQLITE: &str = "select tenant_id, id, state as was from job \
     where state in (1, 2) and lease_until <= {now} order by lease_until limit $1";

const SWEEP_SQLITE: &str = "where tenant_id = $1 and id = $3 and (state + 0) in (1, 2) \
     returning tenant_id, id, order_key, queue, state";

impl SystemDb {
    /// Takes back up to `limit` jobs whose lease ran out.
    pub async fn sweep(&self, limit: u32) -> Result<Swept> {
        self.transaction(async |db| {
            let rows = db.sweep_rows(limit).await?;
            let mut swept = Swept::default();
            let mut gates: Vec<Gate> = Vec::new();
            for (was, row) in &rows {
                let state: i16 = row.try_get("", "state")?;
                match (was, state) {
                    (1, READY) => swept.undelivered += 1,
                    (_, READY) => swept.abandoned += 1,
                    (_, DEAD) => {
                        swept.quarantined.push((row.try_get("", "tenant_id")?, row.try_get("", "id")?));
                    }
                    _ => {}
                }
                if state != READY
                    && let Some(key) = row.try_get("", "order_key")?
                {
                    gates.push((row.try_get("", "tenant_id")?, key));
                }
            }
            swept.opened = gate::advance(db.conn(), db.env(), gates).await?;
            Ok(swept)
        })
        .await
    }

    /// Makes everything dispatched in `shards` ready again: a new leader does not know whether the tickets
    /// of its predecessor were published. Those that were are stale now.
    pub async fn readmit_shards(&self, shards: &[i16]) -> Result<u64> {
        let list = shards.iter().map(i16::to_string).collect::<Vec<_>>().join(", ");
        let sql =
            format!("update job set state = 0, lease_until = null where state = 1 and shard in ({list})");
        self.transaction(async |db| db.change(&sql, []).await).await
    }

    /// Makes everything dispatched in `queue` ready again: its tickets are gone.
    pub async fn readmit_queue(&self, queue: Queue) -> Result<u64> {
        let sql = "update job set state = 0, lease_until = null where state = 1 and queue = $1";
        self.transaction(async |db| db.change(sql, [queue.number().into()]).await).await
    }

    /// How many jobs of `queue` wait as tickets.
    pub async fn dispatched(&self, queue: Queue) -> Result<u64> {
        let sql = "select count(*) as n from job where state = 1 and queue = $1";
        let count = timed(self.backend(), self.env(), sql, [queue.number().into()]);
        let row = self.conn().query_one_raw(count).await?;
        let count: i64 = row.map(|row| row.try_get("", "n")).transpose()?.unwrap_or(0);
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Ends all leases at once: for the start of a database's only process, whose predecessor is gone.
    pub async fn expire_leases(&self) -> Result<u64> {
        let sql = "update job set lease_until = {in $1} where state in (1, 2)";
        self.transaction(async |db| {
            let past = pause(db.backend(), db.env(), Duration::ZERO);
            db.change(sql, [past]).await
        })
        .await
    }
}

impl SystemDb<Tx> {
    pub(super) async fn change<const N: usize>(&self, sql: &str, values: [Value; N]) -> Result<u64> {
        let update = timed(self.backend(), self.env(), sql, values);
        Ok(self.conn().execute_raw(update).await?.rows_affected())
    }

    /// The rows taken back, each with the state it had.
    async fn sweep_rows(&self, limit: u32) -> Result<Vec<(i16, QueryResult)>> {
        if self.backend() == DbBackend::Postgres {
            let values: [Value; 2] = [i64::from(limit).into(), (MOST_CRASHES + 1).into()];
            let sql = [SWEEP, SWEEP_POSTGRES].concat();
            let rows = self.conn().query_all_raw(timed(self.backend(), self.env(), &sql, values)).await?;
            return rows.into_iter().map(|row| Ok((row.try_get("", "was")?, row))).collect();
        }
        let expired = timed(self.backend(), self.env(), EXPIRED_SQLITE, [i64::from(limit).into()]);
        let sql = [SWEEP, SWEEP_SQLITE].concat();
        let mut rows = Vec::new();
        for row in self.conn().query_all_raw(expired).await? {
            let (tenant, job): (TenantId, JobId) = (row.try_get("", "tenant_id")?, row.try_get("", "id")?);
            let values: [Value; 3] = [tenant.into(), (MOST_CRASHES + 1).into(), job.into()];
            let swept = self.conn().query_one_raw(timed(self.backend(), self.env(), &sql, values)).await?;
            if let Some(swept) = swept {
                rows.push((row.try_get("", "was")?, swept));
            }
        }
        Ok(rows)
    }
}

impl SystemDb {
    /// Takes back that somebody asked for the end of a running job: it came too late.
    pub async fn forget_cancel(&self, ticket: &Ticket) -> Result<()> {
        let forget = "update job set cancel = false \
             where tenant_id = $1 and id = $2 and epoch = $3 and (state + 0) = 2";
        let values: [Value; 3] = [ticket.tenant.into(), ticket.job.into(), ticket.epoch.into()];
        self.transaction(async |db| db.change(forget, values.clone()).await).await?;
        Ok(())
    }
}

fn ended() -> Error {
    Error::rejected("JOB_ENDED", "the job is over")
}

// A blocked or waiting job ends at once; its ticket, if there is one, fails the fence.
const CANCEL: &str = "update job set state = case when (state + 0) = 2 then 2 else 5 end, cancel = true, \
       lease_until = case when (state + 0) = 2 then lease_until end, \
       finished_at = case when (state + 0) = 2 then finished_at else {now} end \
     where tenant_id = $1 and id = $2 and (state + 0) in (0, 1, 2, 6) returning order_key, state";

impl TenantDb<Tx> {
    /// As [`cancel_job`](Self::cancel_job), for whoever wants to know. Answers the job as it was, and whether
    /// somebody asked for its end before.
    ///
    /// # Errors
    /// No such job; one that is done or dead (`JOB_ENDED`).
    pub async fn stop_job(&self, id: JobId) -> Result<(JobRow, bool)> {
        let seen = self.job(id).await?;
        let seen = match seen {
            Some(seen) => seen,
            None if self.logged_job(id).await?.is_some() => return Err(ended()),
            None => return Err(Error::not_found("job", id)),
        };
        if seen.state == Some(JobState::Cancelled) || seen.cancel && seen.state == Some(JobState::Running) {
            return Ok((seen, true));
        }
        // What ended since it was seen is not found by the update.
        if self.cancel_job(id).await? { Ok((seen, false)) } else { Err(ended()) }
    }

    /// Asks for the end of a job: one that waits is cancelled with this transaction, one that runs is told
    /// at its next heartbeat. False when it is over, or not the tenant's.
    pub async fn cancel_job(&self, id: JobId) -> Result<bool> {
        let values: [Value; 2] = [self.tenant().into(), id.into()];
        let cancelled = self.conn().query_one_raw(timed(self.backend(), self.env(), CANCEL, values)).await?;
        let Some(row) = cancelled else { return Ok(false) };
        let (key, state): (Option<uuid::Uuid>, i16) =
            (row.try_get("", "order_key")?, row.try_get("", "state")?);
        if let Some(key) = key.filter(|_| state == CANCELLED) {
            for (_, queue) in gate::advance(self.conn(), self.env(), vec![(self.tenant(), key)]).await? {
                self.wake(queue.bit());
            }
        }
        Ok(true)
    }
}
