//! Ended jobs leave the table that is worked on: into the log, and in the end out of it. A job is in one of the
//! two at any moment, because each move is one transaction.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DbBackend, Value};

use crate::{
    domain::job::REDRIVEN_WITHIN,
    error::{Error, Result},
    store::{SystemDb, sql::statement},
};

/// Jobs moved in one transaction: on SQLite, nobody else writes meanwhile.
const MOST_ARCHIVED: i64 = 1_000;
/// Partitions of days to come: so long may the program be away and still find one.
const AHEAD: u64 = 3;

const COLUMNS: &str =
    "tenant_id, id, queue, kind, state, epoch, tries, crashes, last_error, cancel, created_at, finished_at";

/// A job of an order stays until the gate is past it: the gate looks at it.
const PASSED: &str = "(order_key is null or (state <> 4 or not halt) and order_seq < (select head_seq \
     from job_gate g where g.tenant_id = job.tenant_id and g.order_key = job.order_key))";

impl SystemDb {
    /// Moves jobs that ended more than `age` ago into the log, at most a thousand; returns how many. One that
    /// died stays for as long as it may be redriven.
    pub async fn archive_jobs(&self, age: Duration) -> Result<u64> {
        let (old, value): (_, Value) = match self.backend() {
            DbBackend::Postgres => {
                let past = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                ("now() - $1::bigint * interval '1 millisecond'", past.into())
            }
            _ => ("$1", (self.env().now() - age).into()),
        };
        let ended = format!("state in (3, 5) and finished_at < {old} and {PASSED} order by finished_at");
        self.archive(&ended, value).await
    }

    /// Moves dead jobs that are too old to be redriven into the log, at most a thousand; returns how many.
    pub async fn archive_dead(&self) -> Result<u64> {
        let dead = format!("state = 4 and created_at < $1 and {PASSED} order by created_at");
        self.archive(&dead, (self.env().now() - REDRIVEN_WITHIN).into()).await
    }

    async fn archive(&self, which: &str, value: Value) -> Result<u64> {
        let select = format!("select tenant_id, id from job where {which} limit {MOST_ARCHIVED}");
        self.transaction(async |db| {
            if db.backend() == DbBackend::Postgres {
                let moved = format!(
                    "with old as materialized ({select} for update skip locked), \
                     gone as (delete from job where (tenant_id, id) in (select tenant_id, id from old) \
                         returning {COLUMNS}) \
                     insert into job_log ({COLUMNS}) select {COLUMNS} from gone"
                );
                return db.change(&moved, [value.clone()]).await;
            }
            // SQLite cannot insert what a deletion returns: what was copied is what came last into the log.
            let last = "select coalesce(max(rowid), 0) as last from job_log";
            let last = db.conn().query_one_raw(statement(db.backend(), last, [])).await?;
            let last: i64 = last.map(|row| row.try_get("", "last")).transpose()?.unwrap_or(0);
            let copy = format!(
                "insert into job_log ({COLUMNS}) select {COLUMNS} from job where (tenant_id, id) in ({select})"
            );
            if db.change(&copy, [value.clone()]).await? == 0 {
                return Ok(0);
            }
            let delete = "delete from job where (tenant_id, id) in \
                 (select tenant_id, id from job_log where rowid > $1)";
            db.change(delete, [last.into()]).await
        })
        .await
    }

    /// Makes the log's partitions of today and the next days where they are missing; returns how many. A day
    /// that began without one stays in the rest. Nothing to do on SQLite.
    pub async fn make_log_partitions(&self) -> Result<u64> {
        if self.backend() != DbBackend::Postgres {
            return Ok(0);
        }
        let (today, known) = (self.env().now().date_naive(), self.log_partitions().await?);
        let mut made = 0;
        for day in (0..=AHEAD).filter_map(|ahead| today.checked_add_days(Days::new(ahead))) {
            if known.contains(&day) {
                continue;
            }
            let Some(next) = day.succ_opt() else { continue };
            let create = format!(
                "create table if not exists {} partition of job_log for values from ('{day} 00:00:00+00') to ('{next} 00:00:00+00')",
                name(day)
            );
            match self.transaction(async |db| db.change(&create, []).await).await {
                Ok(_) => made += 1,
                // The rest holds entries of that day already, or another process was a moment earlier.
                Err(error @ Error::Internal(_)) => tracing::debug!(%error, %day, "no partition for a day"),
                Err(error) => return Err(error),
            }
        }
        Ok(made)
    }

    /// Drops entries of jobs that ended more than `kept` ago: whole days, and up to `limit` that are in no day
    /// of their own. Says whether there are more.
    pub async fn trim_job_log(&self, kept: TimeDelta, limit: u32) -> Result<bool> {
        let before: DateTime<Utc> = self.env().now() - kept;
        let mut table = "job_log";
        if self.backend() == DbBackend::Postgres {
            table = "job_log_rest";
            for day in self.log_partitions().await?.into_iter().filter(|day| *day < before.date_naive()) {
                let drop = format!("drop table if exists {}", name(day));
                self.transaction(async |db| db.change(&drop, []).await).await?;
                tracing::info!(%day, "a day of the job log was dropped");
            }
        }
        let key = "tenant_id, id, finished_at";
        let sql = format!(
            "delete from {table} where ({key}) in (select {key} from {table} where finished_at < $1 \
                 order by finished_at limit $2)"
        );
        let dropped =
            self.transaction(async |db| db.change(&sql, [before.into(), limit.into()]).await).await?;
        Ok(dropped >= u64::from(limit))
    }

    /// The days that have a partition.
    async fn log_partitions(&self) -> Result<Vec<NaiveDate>> {
        let sql = "select c.relname::text as name from pg_inherits i join pg_class c on c.oid = i.inhrelid \
             where i.inhparent = 'job_log'::regclass";
        let rows = self.conn().query_all_raw(statement(self.backend(), sql, [])).await?;
        let names =
            rows.iter().map(|row| row.try_get::<String>("", "name")).collect::<Result<Vec<_>, _>>()?;
        Ok(names.iter().filter_map(|name| day(name)).collect())
    }
}

fn name(day: NaiveDate) -> String {
    day.format("job_log_%Y%m%d").to_string()
}

fn day(name: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(name, "job_log_%Y%m%d").ok()
}
