//! Promising a job: the row commits with its cause, or not at all.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, QueryResult, Value};
use uuid::Uuid;

use super::{
    sql::timed,
    state::{BLOCKED, READY},
};
use crate::{
    domain::queue::Queue,
    error::{Error, Result},
    fault::{self, Mechanism},
    id::JobId,
    store::{TenantDb, Tx, events::shard},
};

/// Bytes of a payload: ids, not documents.
pub const LONGEST_PAYLOAD: usize = 8 * 1024;

/// A job to be.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub queue: Queue,
    /// The name of the kind, see `jobs::Job::NAME`.
    pub kind: Cow<'static, str>,
    /// At most [`LONGEST_PAYLOAD`] bytes.
    pub payload: Vec<u8>,
    /// The earliest start; `None` is at once.
    pub run_at: Option<DateTime<Utc>>,
    /// Jobs of one key run one after another, in the order of their commits.
    pub order: Option<Uuid>,
    /// Whether a job of the same `order` waits for good when this one dies; otherwise the next one follows.
    pub halt: bool,
    /// At most one live job of the tenant has this key.
    pub unique: Option<Vec<u8>>,
    /// Failures after which it is dead.
    pub max_tries: i16,
    /// Not worth starting after this.
    pub expires_at: Option<DateTime<Utc>>,
}

const INSERT: &str = "insert into job (tenant_id, id, shard, queue, kind, payload, run_at, order_key, \
     order_seq, halt, uniq_key, max_tries, expires_at, state, created_at) \
     values ($1, $2, $3, $4, $5, $6, coalesce($7, {now}), $8, $9, $10, $11, $12, $13, $14, {now}) \
     on conflict (tenant_id, uniq_key) where uniq_key is not null and state in (0, 1, 2, 6) do nothing \
     returning id";

/// The lock on the gate's row makes the numbers: two transactions cannot both be the head.
const GATE: &str = "insert into job_gate (tenant_id, order_key, next_seq, head_seq) values ($1, $2, 1, 0) \
     on conflict (tenant_id, order_key) do update set next_seq = job_gate.next_seq + 1 \
     returning next_seq - 1 as seq, head_seq";

/// What the gate would be without its lock: numbers that are nobody's, and a head of a moment ago.
const OPEN_GATE: &str = "with gate as (insert into job_gate (tenant_id, order_key, next_seq, head_seq) \
         values ($1, $2, 1, 0) on conflict do nothing) \
     select coalesce(max(job.order_seq), -1) + 1 as seq, \
         coalesce((select g.head_seq from job_gate g where g.tenant_id = $1 and g.order_key = $2), 0) as head_seq \
     from job where job.tenant_id = $1 and job.order_key = $2";

const PLACE: &str = "update job set order_seq = $3, state = $4 where tenant_id = $1 and id = $2";

impl TenantDb<Tx> {
    /// Promises `job`: it exists once this transaction commits. `None` when a live job has the same
    /// unique key.
    pub async fn enqueue(&self, job: NewJob) -> Result<Option<JobId>> {
        if job.payload.len() > LONGEST_PAYLOAD {
            return Err(Error::rejected("JOB_TOO_LARGE", "a job carries ids, at most 8 KiB"));
        }
        let id = self.env().id::<JobId>();
        // A number that is taken and not used would block the key for good. So what may turn out to exist
        // is inserted first, without one.
        let late = job.order.filter(|_| job.unique.is_some());
        let (seq, state) = match job.order {
            Some(_) if late.is_some() => (None, BLOCKED),
            Some(key) => self.next_in_order(key).await?,
            None => (None, READY),
        };
        let queue = job.queue;
        if self.insert_job(id, job, seq, state).await?.is_none() {
            return Ok(None);
        }
        if let Some(key) = late {
            let (seq, state) = self.next_in_order(key).await?;
            let values = [self.tenant().into(), id.into(), seq.into(), state.into()];
            self.conn().execute_raw(timed(self.backend(), self.env(), PLACE, values)).await?;
        }
        self.wake(queue.bit());
        Ok(Some(id))
    }

    /// Takes the next number of `key`, and the state that a job with it starts in.
    pub(super) async fn next_in_order(&self, key: Uuid) -> Result<(Option<i64>, i16)> {
        let values: [Value; 2] = [self.tenant().into(), key.into()];
        let gate = if fault::without(Mechanism::GateLock) { OPEN_GATE } else { GATE };
        let gate = self.conn().query_one_raw(timed(self.backend(), self.env(), gate, values)).await?;
        let gate = gate.ok_or_else(|| Error::internal(anyhow::anyhow!("the gate returned no row")))?;
        let (seq, head): (i64, i64) = (gate.try_get("", "seq")?, gate.try_get("", "head_seq")?);
        Ok((Some(seq), if seq == head { READY } else { BLOCKED }))
    }

    async fn insert_job(
        &self,
        id: JobId,
        job: NewJob,
        seq: Option<i64>,
        state: i16,
    ) -> Result<Option<QueryResult>> {
        let values: [Value; 14] = [
            self.tenant().into(),
            id.into(),
            shard(self.tenant()).into(),
            job.queue.number().into(),
            job.kind.into_owned().into(),
            job.payload.into(),
            job.run_at.into(),
            job.order.into(),
            seq.into(),
            job.halt.into(),
            job.unique.into(),
            job.max_tries.into(),
            job.expires_at.into(),
            state.into(),
        ];
        Ok(self.conn().query_one_raw(timed(self.backend(), self.env(), INSERT, values)).await?)
    }
}
