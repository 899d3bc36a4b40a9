//! The end of runs, in batches: one statement per kind of outcome, then the gates of those that ended.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Value};

use super::{
    MOST_CRASHES, Ticket,
    gate::{self, Gate},
    sql::{columns, millis, pause, short, timed},
    state::{CANCELLED, DEAD, DONE, READY},
};
use crate::{
    domain::queue::Queue,
    error::Result,
    id::{JobId, TenantId},
    store::{SystemDb, Tx},
};

/// How one run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub ticket: Ticket,
    pub ending: Ending,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    Done,
    /// It failed and gets another try.
    Retry {
        after: Duration,
        error: String,
    },
    /// It panicked: the third time it is taken for a job that kills its process.
    Crashed {
        after: Duration,
        error: String,
    },
    /// Not now; no failure.
    Later {
        after: Duration,
    },
    /// It will never succeed.
    Dead {
        error: String,
    },
    Cancelled,
}

/// What a batch changed.
#[derive(Clone, Debug, Default)]
pub struct Finished {
    /// Whose ending was recorded.
    pub recorded: Vec<(TenantId, JobId)>,
    /// Whose queues have new ready jobs.
    pub opened: Vec<(TenantId, Queue)>,
}

const BY_EPOCH_POSTGRES: &str = "where job.tenant_id = d.t and job.id = d.i and job.epoch = d.e \
     and (job.state + 0) in (1, 2) returning job.tenant_id, job.id, job.order_key, job.state";
const BY_EPOCH_SQLITE: &str = "where tenant_id = $1 and id = $2 and epoch = $3 \
     and (state + 0) in (1, 2) returning tenant_id, id, order_key, state";

const END: &str = "update job set state = $4, lease_until = null, finished_at = {now} ";
const FAIL: &str =
    "update job set state = $4, lease_until = null, finished_at = {now}, last_error = d.error ";
// Somebody may have asked for its end while it ran: then it does not come back.
const RETRY: &str = "update job set state = case when cancel then 5 else 0 end, lease_until = null, \
     tries = tries + $4, finished_at = case when cancel then {now} end, run_at = {in d.pause}, last_error = coalesce(nullif(d.error, ''), last_error) ";
const CRASH: &str = "update job set lease_until = null, \
     state = case when crashes + 1 >= $4 then 4 when cancel then 5 else 0 end, \
     finished_at = case when crashes + 1 >= $4 or cancel then {now} end, crashes = crashes + 1, \
     run_at = {in d.pause}, last_error = d.error ";

impl SystemDb {
    /// Records endings. A job that another epoch holds by now is not touched: it is missing in the answer.
    pub async fn finish(&self, outcomes: &[Outcome]) -> Result<Finished> {
        self.transaction(async |db| {
            let mut rows = Vec::with_capacity(outcomes.len());
            if db.backend() == DbBackend::Postgres {
                db.finish_in_sets(outcomes, &mut rows).await?;
            } else {
                for outcome in outcomes {
                    rows.extend(db.finish_one(outcome).await?);
                }
            }
            let mut finished = Finished::default();
            let mut gates: Vec<Gate> = Vec::new();
            for row in &rows {
                let (tenant, job) = (row.try_get("", "tenant_id")?, row.try_get("", "id")?);
                finished.recorded.push((tenant, job));
                if row.try_get::<i16>("", "state")? != READY
                    && let Some(key) = row.try_get("", "order_key")?
                {
                    gates.push((tenant, key));
                }
            }
            finished.opened = gate::advance(db.conn(), db.env(), gates).await?;
            Ok(finished)
        })
        .await
    }
}

impl SystemDb<Tx> {
    async fn finish_in_sets(&self, outcomes: &[Outcome], rows: &mut Vec<QueryResult>) -> Result<()> {
        let of = |wanted: fn(&Ending) -> bool| {
            outcomes.iter().filter(move |outcome| wanted(&outcome.ending)).collect::<Vec<_>>()
        };
        for (set, state) in [(of(|e| *e == Ending::Done), DONE), (of(|e| *e == Ending::Cancelled), CANCELLED)]
        {
            let from = "from unnest($1::uuid[], $2::uuid[], $3::int[]) d (t, i, e) ";
            rows.extend(self.update_set(&[END, from, BY_EPOCH_POSTGRES], &set, [state.into()]).await?);
        }
        let dead = of(|e| matches!(e, Ending::Dead { .. }));
        let errors: Vec<String> = dead.iter().map(|o| o.ending.error().unwrap_or_default()).collect();
        let from = "from unnest($1::uuid[], $2::uuid[], $3::int[], $5::text[]) d (t, i, e, error) ";
        rows.extend(
            self.update_set(&[FAIL, from, BY_EPOCH_POSTGRES], &dead, [DEAD.into(), errors.into()]).await?,
        );

        let from = "from unnest($1::uuid[], $2::uuid[], $3::int[], $5::bigint[], $6::text[]) \
             d (t, i, e, pause, error) ";
        for (sql, set, number) in [
            (RETRY, of(|e| matches!(e, Ending::Retry { .. })), 1_i16),
            (RETRY, of(|e| matches!(e, Ending::Later { .. })), 0),
            (CRASH, of(|e| matches!(e, Ending::Crashed { .. })), MOST_CRASHES),
        ] {
            let pauses: Vec<i64> = set.iter().map(|o| o.ending.millis()).collect();
            let errors: Vec<String> = set.iter().map(|o| o.ending.error().unwrap_or_default()).collect();
            let values = [number.into(), pauses.into(), errors.into()];
            rows.extend(self.update_set(&[sql, from, BY_EPOCH_POSTGRES], &set, values).await?);
        }
        Ok(())
    }

    async fn update_set<const N: usize>(
        &self,
        sql: &[&str],
        set: &[&Outcome],
        more: [Value; N],
    ) -> Result<Vec<QueryResult>> {
        if set.is_empty() {
            return Ok(Vec::new());
        }
        let values = columns(set.iter().map(|outcome| &outcome.ticket)).into_iter().chain(more);
        Ok(self.conn().query_all_raw(timed(self.backend(), self.env(), &sql.concat(), values)).await?)
    }

    async fn finish_one(&self, Outcome { ticket, ending }: &Outcome) -> Result<Option<QueryResult>> {
        let at = |after: Duration| pause(self.backend(), self.env(), after);
        let (sql, more): (_, Vec<Value>) = match ending {
            Ending::Done => (END, vec![DONE.into()]),
            Ending::Cancelled => (END, vec![CANCELLED.into()]),
            Ending::Dead { .. } => (FAIL, vec![DEAD.into(), ending.error().into()]),
            Ending::Retry { after, .. } => (RETRY, vec![1_i16.into(), at(*after), ending.error().into()]),
            Ending::Crashed { after, .. } => {
                (CRASH, vec![MOST_CRASHES.into(), at(*after), ending.error().into()])
            }
            Ending::Later { after } => (RETRY, vec![0_i16.into(), at(*after), None::<String>.into()]),
        };
        let place = if sql == FAIL { "$5" } else { "$6" };
        let sql = sql.replace("d.error", place).replace("d.pause", "$5");
        let mut values: Vec<Value> = vec![ticket.tenant.into(), ticket.job.into(), ticket.epoch.into()];
        values.extend(more);
        let sql = [sql.as_str(), BY_EPOCH_SQLITE].concat();
        Ok(self.conn().query_one_raw(timed(self.backend(), self.env(), &sql, values)).await?)
    }
}

impl Ending {
    fn error(&self) -> Option<String> {
        match self {
            Self::Retry { error, .. } | Self::Crashed { error, .. } | Self::Dead { error } => {
                Some(short(error))
            }
            _ => None,
        }
    }

    fn millis(&self) -> i64 {
        match self {
            Self::Retry { after, .. } | Self::Crashed { after, .. } | Self::Later { after } => millis(*after),
            _ => 0,
        }
    }
}
