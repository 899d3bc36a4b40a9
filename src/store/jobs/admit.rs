//! From ready to dispatched: what waits, what is in flight, and the claim.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Value};
use uuid::Uuid;

use super::{
    Ticket,
    sql::{columns, pause, timed},
};
use crate::{
    domain::queue::Queue,
    error::{Error, Result},
    fault::{self, Point},
    id::{JobId, TenantId},
    store::{SystemDb, Tx, events::shard},
};

/// A tenant with ready jobs in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    pub shard: i16,
    pub queue: Queue,
    pub tenant: TenantId,
    /// Until the first of them may start.
    pub wait: Duration,
    /// Since the first of them might have started.
    pub late: Duration,
}

// A loose scan of the index: its cost is the number of tenants, not of jobs (27 ms against 170 ms for
// `distinct` over a million rows).
const WAITING_POSTGRES: &str = "with recursive t (shard, queue, tenant_id, run_at) as ( \
       select * from (select shard, queue, tenant_id, run_at from job where state = 0 \
           order by shard, queue, tenant_id, prio, run_at limit 1) f \
       union all \
       select n.* from t, lateral (select j.shard, j.queue, j.tenant_id, j.run_at from job j \
           where j.state = 0 and (j.shard, j.queue, j.tenant_id) > (t.shard, t.queue, t.tenant_id) \
           order by j.shard, j.queue, j.tenant_id, j.prio, j.run_at limit 1) n \
     ) select shard, queue, tenant_id, (extract(epoch from run_at - now()) * 1000)::bigint as wait from t";

const WAITING_SQLITE: &str = "select shard, queue, tenant_id, min(run_at) as run_at from job \
     where state = 0 group by shard, queue, tenant_id";

const IN_FLIGHT: &str =
    "select queue, tenant_id, count(*) as n from job where state in (1, 2) group by queue, tenant_id";

const ADMIT_POSTGRES: &str = "with c as (select j.tenant_id, j.id \
         from unnest($2::uuid[], $3::smallint[], $4::int[]) t (tenant_id, shard, quota) \
         cross join lateral (select tenant_id, id from job \
             where job.shard = t.shard and job.queue = $1 and job.tenant_id = t.tenant_id \
                 and job.state = 0 and job.run_at <= now() \
             order by job.prio, job.run_at, job.id limit t.quota for update skip locked) j) \
     update job set state = 1, epoch = epoch + 1, lease_until = {in $5} from c \
     where job.tenant_id = c.tenant_id and job.id = c.id \
     returning job.tenant_id, job.id, job.epoch, job.kind";

const ADMIT_SQLITE: &str = "update job set state = 1, epoch = epoch + 1, lease_until = {in $5} \
     where rowid in (select rowid from job where shard = $3 and queue = $1 and tenant_id = $2 \
         and state = 0 and run_at <= {now} order by prio, run_at, id limit $4) \
     returning tenant_id, id, epoch, kind";

const UNADMIT_POSTGRES: &str = "update job set state = 0, lease_until = null \
     from unnest($1::uuid[], $2::uuid[], $3::int[]) d (t, i, e) \
     where job.tenant_id = d.t and job.id = d.i and job.epoch = d.e and (job.state + 0) = 1";

const UNADMIT_SQLITE: &str = "update job set state = 0, lease_until = null \
     where tenant_id = $1 and id = $2 and epoch = $3 and (state + 0) = 1";

impl SystemDb {
    /// Who has ready jobs, where, and from when.
    pub async fn ready_tenants(&self) -> Result<Vec<Ready>> {
        let postgres = self.backend() == DbBackend::Postgres;
        let sql = if postgres { WAITING_POSTGRES } else { WAITING_SQLITE };
        let rows = self.conn().query_all_raw(timed(self.backend(), self.env(), sql, [])).await?;
        let rows = rows.iter().map(|row| {
            // A queue of a newer version is the newer version's to serve.
            let Some(queue) = Queue::of(row.try_get("", "queue")?) else { return Ok(None) };
            let (shard, tenant) = (row.try_get("", "shard")?, row.try_get("", "tenant_id")?);
            let wait: i64 = if postgres {
                row.try_get("", "wait")?
            } else {
                let due: DateTime<Utc> = row.try_get("", "run_at")?;
                (due - self.env().now()).num_milliseconds()
            };
            let millis = |millis: i64| Duration::from_millis(u64::try_from(millis).unwrap_or(0));
            Ok(Some(Ready { shard, queue, tenant, wait: millis(wait), late: millis(-wait) }))
        });
        rows.filter_map(Result::transpose).collect()
    }

    /// How many jobs of each tenant are dispatched or running, by queue.
    pub async fn in_flight(&self) -> Result<Vec<(Queue, TenantId, usize)>> {
        let rows = self.conn().query_all_raw(timed(self.backend(), self.env(), IN_FLIGHT, [])).await?;
        let rows = rows.iter().map(|row| {
            let Some(queue) = Queue::of(row.try_get("", "queue")?) else { return Ok(None) };
            let count: i64 = row.try_get("", "n")?;
            Ok(Some((queue, row.try_get("", "tenant_id")?, usize::try_from(count).unwrap_or(0))))
        });
        rows.filter_map(Result::transpose).collect()
    }

    /// Dispatches up to so many due jobs of each tenant, oldest first. A ticket that nobody started after
    /// `ttl` is void.
    pub async fn admit(
        &self,
        queue: Queue,
        quotas: &[(TenantId, i32)],
        ttl: Duration,
    ) -> Result<Vec<Ticket>> {
        let claimed = self.transaction(async |db| {
            let tickets = db.claim(queue, quotas, ttl).await?;
            fault::point(Point::RelayInClaim).await.map_err(Error::unavailable)?;
            Ok(tickets)
        });
        let mut tickets = claimed.await?;
        // The ids grow with time; `returning` keeps no order.
        tickets.sort_by_key(|ticket| ticket.job);
        Ok(tickets)
    }

    /// Takes dispatches back whose tickets found no room. Returns how many were still theirs.
    pub async fn unadmit(&self, tickets: &[Ticket]) -> Result<u64> {
        self.transaction(async |db| {
            if db.backend() == DbBackend::Postgres {
                let update = timed(db.backend(), db.env(), UNADMIT_POSTGRES, columns(tickets));
                return Ok(db.conn().execute_raw(update).await?.rows_affected());
            }
            let mut count = 0;
            for ticket in tickets {
                let values: [Value; 3] = [ticket.tenant.into(), ticket.job.into(), ticket.epoch.into()];
                let update = timed(db.backend(), db.env(), UNADMIT_SQLITE, values);
                count += db.conn().execute_raw(update).await?.rows_affected();
            }
            Ok(count)
        })
        .await
    }
}

impl SystemDb<Tx> {
    /// As [`SystemDb::admit`], inside this transaction.
    pub async fn claim(
        &self,
        queue: Queue,
        quotas: &[(TenantId, i32)],
        ttl: Duration,
    ) -> Result<Vec<Ticket>> {
        let ttl = pause(self.backend(), self.env(), ttl);
        if self.backend() == DbBackend::Postgres {
            let tenants: Vec<Uuid> = quotas.iter().map(|(tenant, _)| tenant.0).collect();
            let shards: Vec<i16> = quotas.iter().map(|(tenant, _)| shard(*tenant)).collect();
            let limits: Vec<i32> = quotas.iter().map(|(_, quota)| *quota).collect();
            let values = [queue.number().into(), tenants.into(), shards.into(), limits.into(), ttl];
            let claim = timed(self.backend(), self.env(), ADMIT_POSTGRES, values);
            return self.conn().query_all_raw(claim).await?.iter().map(ticket).collect();
        }
        let mut tickets = Vec::new();
        for (tenant, quota) in quotas {
            let values: [Value; 5] = [
                queue.number().into(),
                (*tenant).into(),
                shard(*tenant).into(),
                (*quota).into(),
                ttl.clone(),
            ];
            let claim = timed(self.backend(), self.env(), ADMIT_SQLITE, values);
            for row in &self.conn().query_all_raw(claim).await? {
                tickets.push(ticket(row)?);
            }
        }
        Ok(tickets)
    }
}

fn ticket(row: &QueryResult) -> Result<Ticket> {
    Ok(Ticket {
        tenant: row.try_get("", "tenant_id")?,
        job: JobId(row.try_get("", "id")?),
        epoch: row.try_get("", "epoch")?,
        kind: row.try_get("", "kind")?,
    })
}
