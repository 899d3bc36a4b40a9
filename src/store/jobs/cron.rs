//! Schedules: rows that make jobs at their times. Whoever looks first makes the job and names the next time,
//! in one transaction; nobody has to lead.

use std::borrow::Cow;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, ExprTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};

use super::{LONGEST_PAYLOAD, NewJob};
use crate::{
    auth::TenantScope,
    domain::{
        cron::{CatchUp, Schedule, Unusable},
        queue::Queue,
    },
    error::{Error, Result},
    id::{JobId, TenantId},
    store::{
        Hint, SystemDb, TenantDb, Tx,
        entity::cron::{Column, Entity},
        scope::TenantOwned,
        sql::statement,
    },
};

pub use crate::store::entity::cron::Model as Cron;

impl TenantOwned for Entity {
    const TENANT: Column = Column::TenantId;
}

/// The most characters of a name.
pub const LONGEST_NAME: usize = 64;
/// Fires of one schedule that is catching up, in one transaction.
const MOST_FIRES: usize = 10;
/// A schedule that this version cannot read is looked at again after this.
const UNREADABLE: TimeDelta = TimeDelta::hours(1);

/// A schedule to be.
#[derive(Clone, Debug)]
pub struct NewCron {
    /// Of the tenant's own: lower-case letters, digits, `-` and `_`, at most [`LONGEST_NAME`].
    pub name: Cow<'static, str>,
    /// See `domain::cron`.
    pub expression: Cow<'static, str>,
    /// The name of an IANA time zone.
    pub time_zone: Cow<'static, str>,
    pub catch_up: CatchUp,
    /// The queue, kind, payload and tries of the jobs that it makes; the rest is the schedule's.
    pub queue: Queue,
    pub kind: &'static str,
    pub payload: Vec<u8>,
    pub max_tries: i16,
}

/// What one look found due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fired {
    /// The jobs that were made.
    pub jobs: Vec<(TenantId, JobId)>,
    /// Schedules that cannot be read: another version wrote them.
    pub unreadable: Vec<(TenantId, String)>,
    /// Whether more may be due.
    pub more: bool,
}

// A known schedule keeps its times and its switch as long as the program says the same of it.
const PUT: &str = "insert into cron (tenant_id, name, expr, tz, queue, kind, payload, max_tries, catch_up, \
         enabled, next_at, version, create_time, update_time) \
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, true, $10, 1, $11, $11) \
     on conflict (tenant_id, name) do update set expr = excluded.expr, tz = excluded.tz, \
         queue = excluded.queue, kind = excluded.kind, payload = excluded.payload, \
         max_tries = excluded.max_tries, catch_up = excluded.catch_up, next_at = excluded.next_at, \
         version = cron.version + 1, update_time = excluded.update_time \
     where (cron.expr, cron.tz, cron.queue, cron.kind, cron.payload, cron.max_tries, cron.catch_up) <> \
         (excluded.expr, excluded.tz, excluded.queue, excluded.kind, excluded.payload, excluded.max_tries, \
         excluded.catch_up)";

// Locked rows are being fired by somebody else.
const DUE: &str = "select tenant_id, name, expr, tz, queue, kind, payload, max_tries, catch_up, enabled, \
         next_at, last_at, version, create_time, update_time \
     from cron where enabled and next_at <= $1 order by next_at limit $2";
const SKIP_LOCKED: &str = " for update skip locked";

const ADVANCE: &str = "update cron set next_at = $3, last_at = coalesce($4, last_at) \
     where tenant_id = $1 and name = $2";

/// The schedules of the scope's tenant, or with the nil tenant those of the platform.
pub struct Crons<'a, C>(&'a TenantDb<C>);

impl<C: ConnectionTrait> TenantDb<C> {
    pub fn crons(&self) -> Crons<'_, C> {
        Crons(self)
    }
}

impl<C: ConnectionTrait> Crons<'_, C> {
    pub async fn get(&self, name: &str) -> Result<Cron> {
        let found = self.0.find::<Entity>().filter(Column::Name.eq(name)).one(self.0.conn()).await?;
        found.ok_or_else(|| Error::not_found("schedule", name))
    }
}

impl Crons<'_, Tx> {
    /// Adds a schedule, or makes the one of that name be like this; a switch that somebody turned stays.
    ///
    /// # Errors
    /// INVALID_ARGUMENT naming `name`, `expression` or `time_zone`.
    pub async fn put(&self, new: NewCron) -> Result<()> {
        if !is_name(&new.name) {
            return Err(Error::invalid("name", "expected lower-case letters, digits, - and _, at most 64"));
        }
        if new.payload.len() > LONGEST_PAYLOAD {
            return Err(Error::rejected("JOB_TOO_LARGE", "a job carries ids, at most 8 KiB"));
        }
        let now = self.0.env().now();
        let schedule = Schedule::parse(&new.expression, &new.time_zone).map_err(unusable)?;
        let next = schedule.next(now).ok_or_else(|| unusable(Unusable::Never))?;
        let values = [
            self.0.tenant().into(),
            new.name.into_owned().into(),
            new.expression.into_owned().into(),
            new.time_zone.into_owned().into(),
            new.queue.number().into(),
            new.kind.into(),
            new.payload.into(),
            new.max_tries.into(),
            (new.catch_up as i16).into(),
            next.into(),
            now.into(),
        ];
        let put = self.0.conn().execute_raw(statement(self.0.backend(), PUT, values)).await?;
        if put.rows_affected() > 0 {
            self.0.wake(Hint::SCHEDULES);
        }
        Ok(())
    }

    /// Ends a schedule; the jobs it made stay. False when there is none of that name.
    pub async fn remove(&self, name: &str) -> Result<bool> {
        let gone = self.0.delete::<Entity>().filter(Column::Name.eq(name)).exec(self.0.conn()).await?;
        Ok(gone.rows_affected > 0)
    }

    /// Reads a schedule and keeps others from changing or firing it until the transaction ends.
    pub async fn lock(&self, name: &str) -> Result<Cron> {
        let found = self.0.find::<Entity>().filter(Column::Name.eq(name)).lock_exclusive();
        found.one(self.0.conn()).await?.ok_or_else(|| Error::not_found("schedule", name))
    }

    /// Switches a schedule on or off. What it missed while it was off is not made up for.
    pub async fn set_enabled(&self, seen: Cron, enabled: bool) -> Result<Cron> {
        let now = self.0.env().now();
        // Another process, whose clock is a bit ahead, may have fired what is still to come here.
        let from = seen.last_at.map_or(now, |last| std::cmp::max(last, now));
        let next_at = if enabled { seen.schedule()?.next(from) } else { Some(seen.next_at) };
        let next_at = next_at.ok_or_else(|| unusable(Unusable::Never))?;
        let cron = Cron { enabled, next_at, version: seen.version + 1, update_time: now, ..seen };
        let changed = self.0.update::<Entity>();
        let changed = changed
            .col_expr(Column::Enabled, Expr::value(enabled))
            .col_expr(Column::NextAt, Expr::value(next_at))
            .col_expr(Column::Version, Expr::value(cron.version))
            .col_expr(Column::UpdateTime, Expr::value(now))
            .filter(Column::Name.eq(&cron.name))
            .filter(Column::Version.eq(cron.version - 1));
        if changed.exec(self.0.conn()).await?.rows_affected == 0 {
            return Err(Error::stale());
        }
        self.0.wake(Hint::SCHEDULES);
        Ok(cron)
    }

    /// Makes one job of the schedule at once, beside those of its times.
    pub async fn run(&self, cron: &Cron) -> Result<JobId> {
        let queue = Queue::of(cron.queue).ok_or_else(unreadable)?;
        let made = self.0.enqueue(cron.job(queue, None)).await?;
        made.ok_or_else(|| Error::internal(anyhow::anyhow!("a job without a key was taken for another")))
    }
}

impl Cron {
    fn schedule(&self) -> Result<Schedule> {
        Schedule::parse(&self.expr, &self.tz).map_err(|_| unreadable())
    }

    /// The job of one fire, or of none.
    fn job(&self, queue: Queue, fire: Option<DateTime<Utc>>) -> NewJob {
        NewJob {
            queue,
            kind: self.kind.clone().into(),
            payload: self.payload.clone(),
            run_at: None,
            order: None,
            halt: false,
            unique: fire.map(|at| format!("cron:{}:{}", self.name, at.timestamp()).into_bytes()),
            max_tries: self.max_tries,
            expires_at: None,
        }
    }
}

impl SystemDb {
    /// Makes the jobs of up to `limit` schedules that are due, and names their next times. Any number of
    /// processes may do this at once: each schedule is one's.
    pub async fn fire_due(&self, limit: u32) -> Result<Fired> {
        self.transaction(async |db| {
            let mut fired = Fired::default();
            let due = db.due_crons(limit).await?;
            fired.more = due.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
            for cron in due {
                db.fire(cron, &mut fired).await?;
            }
            Ok(fired)
        })
        .await
    }

    /// When the next schedule is due.
    pub async fn next_fire(&self) -> Result<Option<DateTime<Utc>>> {
        let next = "select next_at from cron where enabled order by next_at limit 1";
        let next = self.conn().query_one_raw(statement(self.backend(), next, [])).await?;
        Ok(next.map(|row| row.try_get("", "next_at")).transpose()?)
    }
}

impl<C: ConnectionTrait> SystemDb<C> {
    /// Schedules by tenant and name, the platform's own first; those of one tenant when one is given.
    pub async fn crons(
        &self,
        tenant: Option<TenantId>,
        after: Option<&(TenantId, String)>,
        limit: u64,
    ) -> Result<Vec<Cron>> {
        let mut rows = self.find::<Entity>();
        if let Some(tenant) = tenant {
            rows = rows.filter(Column::TenantId.eq(tenant));
        }
        if let Some((tenant, name)) = after {
            let place = Expr::tuple([Expr::col(Column::TenantId), Expr::col(Column::Name)]);
            rows = rows.filter(place.gt(Expr::tuple([Expr::value(*tenant), Expr::value(name.clone())])));
        }
        let rows = rows.order_by_asc(Column::TenantId).order_by_asc(Column::Name).limit(limit);
        Ok(rows.all(self.conn()).await?)
    }
}

impl SystemDb<Tx> {
    async fn due_crons(&self, limit: u32) -> Result<Vec<Cron>> {
        let locked = if self.backend() == DbBackend::Postgres { SKIP_LOCKED } else { "" };
        let values = [self.env().now().into(), i64::from(limit).into()];
        let due = statement(self.backend(), &[DUE, locked].concat(), values);
        Ok(self.find::<Entity>().from_raw_sql(due).all(self.conn()).await?)
    }

    async fn fire(&self, cron: Cron, fired: &mut Fired) -> Result<()> {
        let now = self.env().now();
        let readable = Queue::of(cron.queue).zip(cron.schedule().ok());
        let due = readable
            .map(|(queue, schedule)| (queue, schedule.due(cron.next_at, now, cron.catch_up, MOST_FIRES)));
        let (mut next, mut last) = (None, None);
        if let Some((queue, due)) = due {
            let db = self.of(TenantScope::of_platform(cron.tenant_id));
            for fire in due.fires {
                let made = db.enqueue(cron.job(queue, Some(fire))).await?;
                fired.jobs.extend(made.map(|job| (cron.tenant_id, job)));
                last = Some(fire);
            }
            next = due.next;
        }
        if next.is_none() {
            fired.unreadable.push((cron.tenant_id, cron.name.clone()));
        }
        let next = next.unwrap_or(now + UNREADABLE);
        fired.more |= next <= now;
        let values = [cron.tenant_id.into(), cron.name.into(), next.into(), last.into()];
        self.conn().execute_raw(statement(self.backend(), ADVANCE, values)).await?;
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(fits)
}

fn unusable(why: Unusable) -> Error {
    Error::invalid(why.field(), why)
}

fn unreadable() -> Error {
    Error::rejected("SCHEDULE_UNREADABLE", "another version of the program wrote this schedule")
}
