//! Dead jobs that are to run again: the same job, as if it had not failed. What it did outside of the database
//! is in the ledger under its id, so it is not done twice.

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Value};
use uuid::Uuid;

use super::{
    look::{Ask, JobFilter},
    sql::timed,
    state::{BLOCKED, READY},
};
use crate::{
    auth::TenantScope,
    domain::{job::REDRIVEN_WITHIN, queue::Queue},
    error::{Error, Result},
    id::{JobId, TenantId},
    store::{SystemDb, TenantDb, Tx, sql::statement},
};

/// Jobs that one call redrives at most.
pub const MOST_REDRIVEN: u32 = 1_000;

/// What became of a wish to redrive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Ready again, or behind the others of their order.
    pub jobs: Vec<(TenantId, JobId)>,
    /// Not redriven, because a live job does the same.
    pub superseded: u64,
    /// There may be more that match.
    pub more: bool,
}

// A live job under the same key does the work of this one.
const REVIVE: &str = "update job set state = $3, order_seq = $4, tries = 0, crashes = 0, run_at = {now}, \
         lease_until = null, expires_at = null, finished_at = null, cancel = false \
     where tenant_id = $1 and id = $2 and (state + 0) = 4 \
     and (uniq_key is null or not exists (select 1 from job live where live.tenant_id = $1 \
         and live.uniq_key = job.uniq_key and live.uniq_key is not null and live.state in (0, 1, 2, 6)))";

const PROMISED_ANEW: Error = Error::Changed { reason: "JOB_PROMISED_ANEW", state: None };

impl SystemDb<Tx> {
    /// Makes up to `limit` dead jobs ready again, the oldest of each tenant first: failures, crashes and expiry
    /// are forgotten, effects are not. One whose order went on without it goes behind the others, so that the
    /// order of those that run is kept; one that halted its order goes on where it stood. `job` narrows it
    /// to one.
    ///
    /// # Errors
    /// `Changed` when another transaction promised the same unique job just now.
    pub async fn redrive(&self, filter: &JobFilter, job: Option<JobId>, limit: u32) -> Result<Redriven> {
        let limit = limit.min(MOST_REDRIVEN);
        let rows = self.dead(filter, job, limit).await?;
        let mut done =
            Redriven { more: rows.len() >= limit as usize && job.is_none(), ..Redriven::default() };
        for row in &rows {
            let (tenant, id): (TenantId, JobId) = (row.try_get("", "tenant_id")?, row.try_get("", "id")?);
            if self.of(TenantScope::of_platform(tenant)).revive(id, row).await? {
                done.jobs.push((tenant, id));
            } else {
                done.superseded += 1;
            }
        }
        Ok(done)
    }

    async fn dead(&self, filter: &JobFilter, job: Option<JobId>, limit: u32) -> Result<Vec<QueryResult>> {
        let mut ask = Ask::default();
        let since = ask.place((self.env().now() - REDRIVEN_WITHIN).into());
        let mut wanted = vec!["state = 4".to_owned(), format!("created_at > {since}")];
        if let Some(tenant) = filter.tenant {
            wanted.push(format!("tenant_id = {}", ask.place(tenant.into())));
        }
        if let Some(job) = job {
            wanted.push(format!("id = {}", ask.place(job.into())));
        }
        if let Some(queue) = filter.queue {
            wanted.push(format!("queue = {}", ask.place(queue.number().into())));
        }
        if let Some(kind) = &filter.kind {
            wanted.push(format!("kind = {}", ask.place(kind.clone().into())));
        }
        let lock = if self.backend() == DbBackend::Postgres { "for update skip locked" } else { "" };
        let sql = format!(
            "select tenant_id, id, queue, order_key, order_seq from job where {} \
             order by tenant_id, id limit {limit} {lock}",
            wanted.join(" and ")
        );
        Ok(self.conn().query_all_raw(statement(self.backend(), &sql, ask.values)).await?)
    }
}

impl TenantDb<Tx> {
    async fn revive(&self, id: JobId, row: &QueryResult) -> Result<bool> {
        let (key, seq): (Option<Uuid>, Option<i64>) =
            (row.try_get("", "order_key")?, row.try_get("", "order_seq")?);
        let (new_seq, state) = match key.zip(seq) {
            Some((key, seq)) => match self.head(key).await? {
                Some(head) if seq == head => (Some(seq), READY),
                Some(head) if seq > head => (Some(seq), BLOCKED),
                _ if self.superseded(id).await? => return Ok(false),
                _ => self.next_in_order(key).await?,
            },
            None => (None, READY),
        };
        let values: [Value; 4] = [self.tenant().into(), id.into(), state.into(), new_seq.into()];
        let revive = timed(self.backend(), self.env(), REVIVE, values);
        let revived = self.conn().execute_raw(revive).await.map_err(|error| match Error::from(error) {
            Error::Exists { .. } => PROMISED_ANEW,
            error => error,
        })?;
        if revived.rows_affected() == 0 {
            // A number that was taken and that nobody has would block the others for good.
            return if new_seq == seq { Ok(false) } else { Err(PROMISED_ANEW) };
        }
        if let Some(queue) = Queue::of(row.try_get("", "queue")?) {
            self.wake(queue.bit());
        }
        Ok(true)
    }

    /// Whose turn it is; nobody else moves it until this transaction ends.
    async fn head(&self, key: Uuid) -> Result<Option<i64>> {
        let lock = if self.backend() == DbBackend::Postgres { "for update" } else { "" };
        let sql = format!("select head_seq from job_gate where tenant_id = $1 and order_key = $2 {lock}");
        let values: [Value; 2] = [self.tenant().into(), key.into()];
        let row = self.conn().query_one_raw(statement(self.backend(), &sql, values)).await?;
        Ok(row.map(|row| row.try_get("", "head_seq")).transpose()?)
    }

    /// Whether a live job has the unique key of this one.
    async fn superseded(&self, id: JobId) -> Result<bool> {
        let sql = "select 1 as yes from job dead join job live on live.tenant_id = dead.tenant_id \
                 and live.uniq_key = dead.uniq_key and live.uniq_key is not null and live.state in (0, 1, 2, 6) \
             where dead.tenant_id = $1 and dead.id = $2";
        let values: [Value; 2] = [self.tenant().into(), id.into()];
        Ok(self.conn().query_one_raw(statement(self.backend(), sql, values)).await?.is_some())
    }
}
