//! What became of jobs that are over and archived.
//! Unscoped because: staff read the log of all tenants; who asks was checked before.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Value};

use super::look::{Ask, LOOKED_THROUGH};
use crate::{
    domain::{job::JobState, queue::Queue},
    error::Result,
    id::{JobId, TenantId},
    store::{SystemDb, TenantDb, sql::statement},
};

/// An entry of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    pub tenant: TenantId,
    pub id: JobId,
    /// `None`: a queue of a newer version.
    pub queue: Option<Queue>,
    pub kind: String,
    /// What became of it; `None`: a word of a newer version.
    pub outcome: Option<JobState>,
    pub epoch: i32,
    pub tries: i16,
    pub crashes: i16,
    pub last_error: Option<String>,
    /// Somebody asked for its end; when it is done all the same, that came too late.
    pub cancel: bool,
    pub created_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
}

/// Which entries; what is `None` is any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogFilter {
    pub tenant: Option<TenantId>,
    pub queue: Option<Queue>,
    pub kind: Option<String>,
    pub outcome: Option<JobState>,
    /// Ended at this moment or later.
    pub from: Option<DateTime<Utc>>,
    /// Ended before this moment.
    pub until: Option<DateTime<Utc>>,
}

/// Where a list stands.
pub type LogPlace = (DateTime<Utc>, TenantId, JobId);

const COLUMNS: &str =
    "tenant_id, id, queue, kind, state, epoch, tries, crashes, last_error, cancel, created_at, finished_at";

impl SystemDb {
    /// Up to `limit` entries after a place, and where to go on when the look ended before it found that many:
    /// of one tenant by their jobs, of all by their ends, the newest first.
    pub async fn job_log(
        &self,
        filter: &LogFilter,
        after: Option<LogPlace>,
        limit: u64,
    ) -> Result<(Vec<Logged>, Option<LogPlace>)> {
        if self.backend() != DbBackend::Postgres {
            return self.look_up(filter, after, limit).await;
        }
        self.transaction(async |db| {
            db.along_indexes().await?;
            db.look_up(filter, after, limit).await
        })
        .await
    }
}

impl<C: ConnectionTrait> SystemDb<C> {
    async fn look_up(
        &self,
        filter: &LogFilter,
        after: Option<LogPlace>,
        limit: u64,
    ) -> Result<(Vec<Logged>, Option<LogPlace>)> {
        // A tenant's entries are found by its key, all others by their time.
        let order = match filter.tenant {
            Some(_) => "tenant_id desc, id desc, finished_at desc",
            None => "finished_at desc, tenant_id desc, id desc",
        };
        let mut ask = Ask::default();
        let narrow = narrow(&mut ask, filter, after);
        let looked = format!("select * from job_log where {narrow} order by {order} limit {LOOKED_THROUGH}");
        let scan_values = ask.values.len();
        let wanted = wanted(&mut ask, filter);
        let limit_at = ask.place(i64::try_from(limit).unwrap_or(i64::MAX).into());
        let sql =
            format!("select {COLUMNS} from ({looked}) l where {wanted} order by {order} limit {limit_at}");
        let rows = self.conn().query_all_raw(statement(self.backend(), &sql, ask.values.clone())).await?;
        let rows = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        if rows.len() as u64 >= limit {
            return Ok((rows, None));
        }
        ask.values.truncate(scan_values);
        let last = format!(
            "select {COLUMNS} from ({looked}) l order by {order} limit 1 offset {}",
            LOOKED_THROUGH - 1
        );
        let last = self.conn().query_one_raw(statement(self.backend(), &last, ask.values)).await?;
        Ok((rows, last.as_ref().map(read).transpose()?.map(|last| last.place())))
    }
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// The entry of a job that was archived.
    pub async fn logged_job(&self, id: JobId) -> Result<Option<Logged>> {
        let sql = format!("select {COLUMNS} from job_log where tenant_id = $1 and id = $2 limit 1");
        let values: [Value; 2] = [self.tenant().into(), id.into()];
        let row = self.conn().query_one_raw(statement(self.backend(), &sql, values)).await?;
        row.as_ref().map(read).transpose()
    }
}

impl Logged {
    /// Where it stands in a list.
    pub fn place(&self) -> LogPlace {
        (self.finished_at, self.tenant, self.id)
    }
}

fn narrow(ask: &mut Ask, filter: &LogFilter, after: Option<LogPlace>) -> String {
    let mut narrow = vec!["true".to_owned()];
    if let Some(tenant) = filter.tenant {
        narrow.push(format!("tenant_id = {}", ask.place(tenant.into())));
    }
    if let Some(from) = filter.from {
        narrow.push(format!("finished_at >= {}", ask.place(from.into())));
    }
    if let Some(until) = filter.until {
        narrow.push(format!("finished_at < {}", ask.place(until.into())));
    }
    if let Some((at, tenant, id)) = after {
        let (at, tenant, id) = (ask.place(at.into()), ask.place(tenant.into()), ask.place(id.into()));
        narrow.push(match filter.tenant {
            Some(_) => format!("(tenant_id, id, finished_at) < ({tenant}, {id}, {at})"),
            None => format!("(finished_at, tenant_id, id) < ({at}, {tenant}, {id})"),
        });
    }
    narrow.join(" and ")
}

fn wanted(ask: &mut Ask, filter: &LogFilter) -> String {
    let mut wanted = vec!["true".to_owned()];
    if let Some(queue) = filter.queue {
        wanted.push(format!("queue = {}", ask.place(queue.number().into())));
    }
    if let Some(kind) = &filter.kind {
        wanted.push(format!("kind = {}", ask.place(kind.clone().into())));
    }
    if let Some(outcome) = filter.outcome {
        wanted.push(format!("state = {}", ask.place(outcome.number().into())));
    }
    wanted.join(" and ")
}

fn read(row: &QueryResult) -> Result<Logged> {
    let created_at = row.try_get("", "created_at")?;
    Ok(Logged {
        tenant: row.try_get("", "tenant_id")?,
        id: row.try_get("", "id")?,
        queue: Queue::of(row.try_get("", "queue")?),
        kind: row.try_get("", "kind")?,
        outcome: JobState::of(row.try_get("", "state")?, created_at, created_at),
        epoch: row.try_get("", "epoch")?,
        tries: row.try_get("", "tries")?,
        crashes: row.try_get("", "crashes")?,
        last_error: row.try_get("", "last_error")?,
        cancel: row.try_get("", "cancel")?,
        created_at,
        finished_at: row.try_get("", "finished_at")?,
    })
}
