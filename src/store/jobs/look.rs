//! Jobs as staff look at them. However many there are, a look costs what it shows: it goes through a bounded
//! number of rows and says where the next one goes on.
//! Unscoped because: staff see the jobs of all tenants; who asks was checked before.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Value};
use uuid::Uuid;

use crate::{
    domain::{job::JobState, queue::Queue},
    error::{Error, Result},
    id::{JobId, TenantId},
    store::{SystemDb, TenantDb, sql::statement},
};

/// Rows that one look goes through at most.
pub const LOOKED_THROUGH: u32 = 10_000;

/// A job, without what only its handler reads.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRow {
    pub tenant: TenantId,
    pub id: JobId,
    /// `None`: a queue of a newer version.
    pub queue: Option<Queue>,
    pub kind: String,
    /// `None`: a state of a newer version.
    pub state: Option<JobState>,
    pub epoch: i32,
    pub tries: i16,
    pub crashes: i16,
    pub max_tries: i16,
    pub run_at: DateTime<Utc>,
    pub lease_until: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub order_key: Option<Uuid>,
    pub order_seq: Option<i64>,
    /// Somebody asked for its end.
    pub cancel: bool,
    pub payload: Vec<u8>,
    pub last_error: Option<String>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// Which jobs; what is `None` is any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobFilter {
    pub tenant: Option<TenantId>,
    pub queue: Option<Queue>,
    pub kind: Option<String>,
    pub state: Option<JobState>,
}

/// Where a list stands: it goes by tenant and job, the newest first.
pub type Place = (TenantId, JobId);

const COLUMNS: &str = "tenant_id, id, queue, kind, state, epoch, tries, crashes, max_tries, run_at, \
     lease_until, expires_at, order_key, order_seq, cancel, payload, last_error, created_at, finished_at";

impl SystemDb {
    /// Up to `limit` jobs after a place, and where to go on when the look ended before it found that many.
    pub async fn jobs(
        &self,
        filter: &JobFilter,
        after: Option<Place>,
        limit: u64,
    ) -> Result<(Vec<JobRow>, Option<Place>)> {
        if self.backend() != DbBackend::Postgres {
            return self.look(filter, after, limit).await;
        }
        self.transaction(async |db| {
            db.along_indexes().await?;
            db.look(filter, after, limit).await
        })
        .await
    }
}

impl<C: ConnectionTrait> SystemDb<C> {
    async fn look(
        &self,
        filter: &JobFilter,
        after: Option<Place>,
        limit: u64,
    ) -> Result<(Vec<JobRow>, Option<Place>)> {
        let mut ask = Ask::default();
        let looked = ask.looked_through(filter, after);
        let scan_values = ask.values.len();
        let wanted = ask.wanted(filter, self.env().now());
        let limit_at = ask.place(i64::try_from(limit).unwrap_or(i64::MAX).into());
        let sql = format!(
            "select {COLUMNS} from ({looked}) j where {wanted} order by tenant_id desc, id desc limit {limit_at}"
        );
        let rows = self.conn().query_all_raw(statement(self.backend(), &sql, ask.values.clone())).await?;
        let now = self.env().now();
        let rows = rows.iter().map(|row| read(row, now)).collect::<Result<Vec<_>>>()?;
        if rows.len() as u64 >= limit {
            return Ok((rows, None));
        }
        ask.values.truncate(scan_values);
        let last = format!(
            "select tenant_id, id from ({looked}) j order by tenant_id desc, id desc \
             limit 1 offset {}",
            LOOKED_THROUGH - 1
        );
        let last = self.conn().query_one_raw(statement(self.backend(), &last, ask.values)).await?;
        let place =
            |row: QueryResult| Ok::<_, Error>((row.try_get("", "tenant_id")?, row.try_get("", "id")?));
        Ok((rows, last.map(place).transpose()?))
    }

    /// The tenant of a job, also of one in the log. Asks for each tenant: for people, not for programs.
    pub async fn tenant_of_job(&self, id: JobId) -> Result<Option<TenantId>> {
        for table in ["job", "job_log"] {
            let sql = match self.backend() {
                DbBackend::Postgres => format!(
                    "select t.id from tenant t cross join lateral \
                         (select 1 from {table} j where j.tenant_id = t.id and j.id = $1 limit 1) j limit 1"
                ),
                // SQLite keeps the order of a cross join.
                _ => format!(
                    "select t.id from tenant t cross join {table} j on j.tenant_id = t.id and j.id = $1 limit 1"
                ),
            };
            let found = self.conn().query_one_raw(statement(self.backend(), &sql, [id.into()])).await?;
            if let Some(row) = found {
                return Ok(Some(row.try_get("", "id")?));
            }
        }
        Ok(None)
    }
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// A job that was not archived.
    pub async fn job(&self, id: JobId) -> Result<Option<JobRow>> {
        let sql = format!("select {COLUMNS} from job where tenant_id = $1 and id = $2");
        let values: [Value; 2] = [self.tenant().into(), id.into()];
        let row = self.conn().query_one_raw(statement(self.backend(), &sql, values)).await?;
        row.map(|row| read(&row, self.env().now())).transpose()
    }
}

/// A statement in the making.
#[derive(Default)]
pub(super) struct Ask {
    pub(super) values: Vec<Value>,
}

impl Ask {
    pub(super) fn place(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    /// The rows to go through: by an index that has them in the order of the list, or few enough to be sorted.
    fn looked_through(&mut self, filter: &JobFilter, after: Option<Place>) -> String {
        let mut narrow = vec!["true".to_owned()];
        if let Some(tenant) = filter.tenant {
            narrow.push(format!("tenant_id = {}", self.place(tenant.into())));
        }
        if let Some((tenant, id)) = after {
            narrow.push(format!(
                "(tenant_id, id) < ({}, {})",
                self.place(tenant.into()),
                self.place(id.into())
            ));
        }
        // In words, not as a parameter: that is how partial indexes are found.
        match filter.state {
            Some(JobState::Dead) => narrow.push("state = 4".to_owned()),
            Some(JobState::Blocked) => narrow.push("state = 6".to_owned()),
            _ => {}
        }
        let narrow = narrow.join(" and ");
        let from = match filter.state {
            // What is in flight is bounded by the window.
            Some(JobState::Dispatched | JobState::Running) => format!(
                "with few as materialized (select * from job where state in (1, 2)) select * from few where {narrow}"
            ),
            _ => format!("select * from job where {narrow}"),
        };
        format!("{from} order by tenant_id desc, id desc limit {LOOKED_THROUGH}")
    }

    /// Those of them that are wanted.
    fn wanted(&mut self, filter: &JobFilter, now: DateTime<Utc>) -> String {
        let mut wanted = vec!["true".to_owned()];
        if let Some(queue) = filter.queue {
            wanted.push(format!("queue = {}", self.place(queue.number().into())));
        }
        if let Some(kind) = &filter.kind {
            wanted.push(format!("kind = {}", self.place(kind.clone().into())));
        }
        if let Some(state) = filter.state {
            wanted.push(format!("state = {}", self.place(state.number().into())));
            match state {
                JobState::Ready => wanted.push(format!("run_at <= {}", self.place(now.into()))),
                JobState::Scheduled => wanted.push(format!("run_at > {}", self.place(now.into()))),
                _ => {}
            }
        }
        wanted.join(" and ")
    }
}

fn read(row: &QueryResult, now: DateTime<Utc>) -> Result<JobRow> {
    let run_at = row.try_get("", "run_at")?;
    Ok(JobRow {
        tenant: row.try_get("", "tenant_id")?,
        id: row.try_get("", "id")?,
        queue: Queue::of(row.try_get("", "queue")?),
        kind: row.try_get("", "kind")?,
        state: JobState::of(row.try_get("", "state")?, run_at, now),
        epoch: row.try_get("", "epoch")?,
        tries: row.try_get("", "tries")?,
        crashes: row.try_get("", "crashes")?,
        max_tries: row.try_get("", "max_tries")?,
        run_at,
        lease_until: row.try_get("", "lease_until")?,
        expires_at: row.try_get("", "expires_at")?,
        order_key: row.try_get("", "order_key")?,
        order_seq: row.try_get("", "order_seq")?,
        cancel: row.try_get("", "cancel")?,
        payload: row.try_get("", "payload")?,
        last_error: row.try_get("", "last_error")?,
        created_at: row.try_get("", "created_at")?,
        finished_at: row.try_get("", "finished_at")?,
    })
}
