//! The start fence and the heartbeat: a job runs only in the hands of the epoch that the row names.

use std::{collections::HashMap, time::Duration};

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Value};

use super::{
    Ticket,
    sql::{columns, pause, timed},
};
use crate::{
    error::Result,
    fault::{self, Mechanism},
    id::{JobId, TenantId},
    store::{SystemDb, Tx},
};

/// A job that passed the fence.
#[derive(Clone, Debug)]
pub struct Started {
    pub ticket: Ticket,
    /// What the record says it is: a ticket is only a hint.
    pub kind: String,
    pub payload: Vec<u8>,
    pub tries: i16,
    pub max_tries: i16,
    /// Leases that were lost while it ran: from [`MOST_CRASHES`](super::MOST_CRASHES) on it must not run again.
    pub crashes: i16,
    /// Its time was up before it started.
    pub expired: bool,
}

/// What a heartbeat learned about a running job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    Ours,
    /// Ours, and somebody asked for its end.
    Cancelled,
    /// Somebody else's, or over.
    Lost,
}

const RETURNING: &str = "returning job.tenant_id, job.id, job.epoch, job.kind, job.payload, job.tries, job.max_tries, \
     job.crashes, \
     (job.expires_at is not null and job.expires_at <= {now}) as expired";

const START_POSTGRES: &str = "update job set state = 2, lease_until = {in $4} \
     from unnest($1::uuid[], $2::uuid[], $3::int[]) d (t, i, e) \
     where job.tenant_id = d.t and job.id = d.i ";
const FENCE_POSTGRES: &str = "and job.epoch = d.e and (job.state + 0) = 1 and not job.cancel ";

const START_SQLITE: &str = "update job set state = 2, lease_until = {in $4} \
     where tenant_id = $1 and id = $2 and epoch = $3 and (state + 0) = 1 and not cancel ";

const BEAT_POSTGRES: &str = "update job set lease_until = {in $4} \
     from unnest($1::uuid[], $2::uuid[], $3::int[]) d (t, i, e) \
     where job.tenant_id = d.t and job.id = d.i and job.epoch = d.e and (job.state + 0) = 2 \
     returning job.tenant_id, job.id, job.epoch, job.cancel";

const BEAT_SQLITE: &str = "update job set lease_until = {in $4} \
     where tenant_id = $1 and id = $2 and epoch = $3 and (state + 0) = 2 \
     returning tenant_id, id, epoch, cancel";

impl SystemDb {
    /// Starts the jobs of those tickets that are still good. Whoever is missing in the answer is stale:
    /// started before, dispatched anew, cancelled.
    pub async fn start(&self, tickets: &[Ticket], lease: Duration) -> Result<Vec<Started>> {
        let sql = match self.backend() {
            DbBackend::Postgres if fault::without(Mechanism::StartFence) => {
                [START_POSTGRES, RETURNING].concat()
            }
            DbBackend::Postgres => [START_POSTGRES, FENCE_POSTGRES, RETURNING].concat(),
            _ => [START_SQLITE, &RETURNING.replace("job.", "")].concat(),
        };
        let rows = self.transaction(async |db| db.by_epoch(&sql, tickets, lease).await).await?;
        // Two dispatches of one job may come in one batch: the row starts for one of them.
        let mut tickets: HashMap<_, _> = tickets.iter().map(|ticket| (dispatch(ticket), ticket)).collect();
        let mut started = Vec::with_capacity(rows.len());
        for row in &rows {
            let Some(ticket) = tickets.remove(&dispatched(row)?) else { continue };
            started.push(Started {
                ticket: ticket.clone(),
                kind: row.try_get("", "kind")?,
                payload: row.try_get("", "payload")?,
                tries: row.try_get("", "tries")?,
                max_tries: row.try_get("", "max_tries")?,
                crashes: row.try_get("", "crashes")?,
                expired: row.try_get("", "expired")?,
            });
        }
        started.sort_by_key(|started| started.ticket.job);
        Ok(started)
    }

    /// Prolongs the leases of running jobs; for each, in order, whether it is still ours.
    pub async fn heartbeat(&self, running: &[Ticket], lease: Duration) -> Result<Vec<Held>> {
        let sql = if self.backend() == DbBackend::Postgres { BEAT_POSTGRES } else { BEAT_SQLITE };
        let rows = self.transaction(async |db| db.by_epoch(sql, running, lease).await).await?;
        let mut held = HashMap::with_capacity(rows.len());
        for row in &rows {
            let cancel: bool = row.try_get("", "cancel")?;
            held.insert(dispatched(row)?, if cancel { Held::Cancelled } else { Held::Ours });
        }
        let of = |ticket: &Ticket| held.get(&dispatch(ticket)).copied().unwrap_or(Held::Lost);
        Ok(running.iter().map(of).collect())
    }
}

impl SystemDb<Tx> {
    async fn by_epoch(&self, sql: &str, tickets: &[Ticket], lease: Duration) -> Result<Vec<QueryResult>> {
        let lease = pause(self.backend(), self.env(), lease);
        if self.backend() == DbBackend::Postgres {
            let values = columns(tickets).into_iter().chain([lease]);
            return Ok(self.conn().query_all_raw(timed(self.backend(), self.env(), sql, values)).await?);
        }
        let mut rows = Vec::new();
        for ticket in tickets {
            let values: [Value; 4] =
                [ticket.tenant.into(), ticket.job.into(), ticket.epoch.into(), lease.clone()];
            rows.extend(self.conn().query_all_raw(timed(self.backend(), self.env(), sql, values)).await?);
        }
        Ok(rows)
    }
}

/// One dispatch of a job: the epoch tells it from the others.
type Dispatch = (TenantId, JobId, i32);

fn dispatch(ticket: &Ticket) -> Dispatch {
    (ticket.tenant, ticket.job, ticket.epoch)
}

fn dispatched(row: &QueryResult) -> Result<Dispatch> {
    Ok((row.try_get("", "tenant_id")?, row.try_get("", "id")?, row.try_get("", "epoch")?))
}
