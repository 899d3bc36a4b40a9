//! `switchboard jobs`: background work for whoever holds the database, through the same verbs of the store as
//! `JobService`. No server needs to run; those that do notice within a second.

mod arguments;
mod print;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, anyhow, bail};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::Instant;

pub use arguments::Command;

use self::arguments::{Queues, Which};
use crate::{
    auth::TenantScope,
    config::Config,
    domain::queue::Queue,
    env::Env,
    error::Error,
    id::{JobId, TenantId},
    store::{
        self, Store,
        jobs::{JobFilter, JobRow, QueueStats},
    },
    wire::admin::v1,
};

/// Exit code of a wait that ended before what it waited for (`EX_TEMPFAIL` of sysexits.h).
const NOT_YET: u8 = 75;
/// Who did it, where nobody signed in.
const ACTOR: &str = "command line";

/// Runs one command; failures are the caller's to print.
pub(super) async fn run(config: &Config, command: Command, json: bool) -> anyhow::Result<ExitCode> {
    let jobs = Jobs { store: open(config).await?, json };
    match command {
        Command::List { which, state, limit } => jobs.list(&which, state, limit).await,
        Command::Show { job, tenant } => jobs.show(job, tenant).await,
        Command::Queues => jobs.queues().await,
        Command::Redrive { job, which, limit, all: _ } => jobs.redrive(job, &which, limit).await,
        Command::Cancel { job, tenant } => jobs.cancel(job, tenant).await,
        Command::Pause { queues, reason } => jobs.hold(&queues, Some(&reason)).await,
        Command::Resume { queues } => jobs.hold(&queues, None).await,
        Command::Drain { timeout } => jobs.drain(Duration::from_secs(timeout)).await,
    }
}

/// Opens a database that is there and current. Changes nothing: a server may run on it.
async fn open(config: &Config) -> anyhow::Result<Store> {
    if let Some((file, _)) = config.database_file()
        && !file.exists()
    {
        bail!("there is no database at {}", file.display());
    }
    let settings = store::Settings { url: config.database_url.expose_secret().to_owned(), pool: 2 };
    let store =
        store::connect(&settings, Env::system()).await.map_err(plain).context("cannot open the database")?;
    if store.pending_migrations().await.map_err(plain).context("cannot open the database")? > 0 {
        bail!("the database's schema is not current: run `switchboard migrate` first");
    }
    Ok(store)
}

struct Jobs {
    store: Store,
    json: bool,
}

impl Jobs {
    async fn list(
        &self,
        which: &Which,
        state: Option<crate::domain::job::JobState>,
        limit: u64,
    ) -> anyhow::Result<ExitCode> {
        let filter = JobFilter { state, ..which.filter() };
        let (mut rows, mut after): (Vec<JobRow>, _) = (Vec::new(), None);
        loop {
            let (found, on) =
                self.store.system().jobs(&filter, after, limit - rows.len() as u64).await.map_err(plain)?;
            rows.extend(found);
            after = on;
            if after.is_none() {
                break;
            }
        }
        let jobs: Vec<v1::Job> = rows.iter().map(Into::into).collect();
        let all = jobs.iter().map(|job| print::json("Job", job)).collect::<anyhow::Result<Vec<_>>>();
        self.say(|| all.map(|jobs| json!({"jobs": jobs})), || print::jobs(&rows))
    }

    async fn show(&self, job: JobId, tenant: Option<TenantId>) -> anyhow::Result<ExitCode> {
        let db = self.store.of(self.scope(job, tenant).await?);
        if let Some(row) = db.job(job).await.map_err(plain)? {
            let job = print::json("Job", &v1::Job::from(&row));
            return self.say(|| job.map(|job| json!({"job": job})), || print::job(&row));
        }
        let logged = db.logged_job(job).await.map_err(plain)?;
        let logged = logged.ok_or_else(|| anyhow!("there is no job {job}"))?;
        let entry = print::json("JobLogEntry", &v1::JobLogEntry::from(&logged));
        self.say(|| entry.map(|entry| json!({"logEntry": entry})), || print::logged(&logged))
    }

    async fn queues(&self) -> anyhow::Result<ExitCode> {
        let stats = self.store.system().queue_stats().await.map_err(plain)?;
        let all = stats
            .iter()
            .map(|row| print::json("QueueStats", &v1::QueueStats::from(row)))
            .collect::<anyhow::Result<Vec<_>>>();
        self.say(|| all.map(|queues| json!({"queues": queues})), || print::queues(&stats))
    }

    async fn redrive(&self, job: Option<JobId>, which: &Which, limit: u32) -> anyhow::Result<ExitCode> {
        let mut filter = which.filter();
        if let Some(job) = job {
            filter.tenant = Some(self.scope(job, filter.tenant).await?.tenant());
        }
        let system = self.store.system();
        let done =
            system.transaction(async |db| db.redrive(&filter, job, limit).await).await.map_err(plain)?;
        if let Some(job) = job.filter(|_| done.jobs.is_empty() && done.superseded == 0) {
            bail!("{job} is not dead, or older than 14 days");
        }
        let ids: Vec<String> = done.jobs.iter().map(|(_, id)| id.to_string()).collect();
        let told = json!({"redriven": ids, "superseded": done.superseded, "more": done.more});
        self.say(
            || Ok(told),
            || {
                let more = if done.more { "; there may be more: run it again" } else { "" };
                let superseded = match done.superseded {
                    0 => String::new(),
                    count => format!(", {count} left because a live job does the same"),
                };
                vec![format!("{} redriven{superseded}{more}", done.jobs.len())]
            },
        )
    }

    async fn cancel(&self, job: JobId, tenant: Option<TenantId>) -> anyhow::Result<ExitCode> {
        let scope = self.scope(job, tenant).await?.audited(Some("job.cancel".into()));
        let (seen, already) =
            self.store.of(scope).transaction(async |db| db.stop_job(job).await).await.map_err(plain)?;
        let was = seen.state.map_or("unknown", crate::domain::job::JobState::name);
        let told = json!({"job": job.to_string(), "was": was, "alreadyInState": already});
        self.say(
            || Ok(told),
            || {
                vec![match (was, already) {
                    (_, true) => format!("{job} was cancelled before"),
                    ("running", _) => format!("{job} is told to end"),
                    _ => format!("{job} is cancelled"),
                }]
            },
        )
    }

    async fn hold(&self, queues: &Queues, pause: Option<&str>) -> anyhow::Result<ExitCode> {
        let changed = self.set(&queues.named(), pause).await?;
        let state = if pause.is_some() { "paused" } else { "resumed" };
        let told: Vec<Value> = changed
            .iter()
            .map(|(queue, changed)| json!({"queue": queue.name(), "changed": changed}))
            .collect();
        self.say(
            || Ok(json!({state: told})),
            || {
                let line = |(queue, changed): &(Queue, bool)| {
                    let before = if *changed { "" } else { " before" };
                    format!("{} was {state}{before}", queue.name())
                };
                changed.iter().map(line).collect()
            },
        )
    }

    /// Pauses queues for a reason, or lets them go on; tells which of them that changed.
    async fn set(&self, queues: &[Queue], pause: Option<&str>) -> anyhow::Result<Vec<(Queue, bool)>> {
        let set = async |db: &store::SystemDb<store::Tx>| {
            let mut changed = Vec::with_capacity(queues.len());
            for queue in queues {
                let done = match pause {
                    Some(reason) => db.pause_queue(*queue, reason, ACTOR).await?,
                    None => db.resume_queue(*queue).await?,
                };
                changed.push((*queue, done));
            }
            Ok(changed)
        };
        self.store.system().transaction(set).await.map_err(plain)
    }

    /// Pauses everything and waits until nothing is in a worker's hands. The queues stay paused.
    async fn drain(&self, patience: Duration) -> anyhow::Result<ExitCode> {
        self.set(&Queue::ALL, Some("drain")).await?;
        let until = Instant::now() + patience;
        let mut quiet = 0;
        loop {
            let stats = self.store.system().queue_stats().await.map_err(plain)?;
            let busy: i64 = stats.iter().map(|queue| queue.dispatched + queue.running).sum();
            quiet = if busy == 0 { quiet + 1 } else { 0 };
            // A relay that asked just before the pause may dispatch once more.
            let drained = quiet > QUIET;
            if drained || Instant::now() >= until {
                return self.drained(&stats, drained);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn drained(&self, stats: &[QueueStats], drained: bool) -> anyhow::Result<ExitCode> {
        let sum = |of: fn(&QueueStats) -> i64| stats.iter().map(of).sum::<i64>();
        let (dispatched, running) = (sum(|queue| queue.dispatched), sum(|queue| queue.running));
        self.say(
            || Ok(json!({"drained": drained, "dispatched": dispatched, "running": running})),
            || {
                let state = match drained {
                    true => "drained: nothing is dispatched or running".to_owned(),
                    false => format!("not drained yet: {dispatched} dispatched, {running} running"),
                };
                vec![
                    state,
                    "all queues are paused; `switchboard jobs resume --all` lets them go on".to_owned(),
                ]
            },
        )?;
        Ok(if drained { ExitCode::SUCCESS } else { ExitCode::from(NOT_YET) })
    }

    /// The right to work on the tenant of a job that is there.
    async fn scope(&self, job: JobId, tenant: Option<TenantId>) -> anyhow::Result<TenantScope> {
        let tenant = match tenant {
            Some(tenant) => Some(tenant),
            None => self.store.system().tenant_of_job(job).await.map_err(plain)?,
        };
        tenant.map(TenantScope::of_platform).ok_or_else(|| anyhow!("there is no job {job}"))
    }

    fn say(
        &self,
        json: impl FnOnce() -> anyhow::Result<Value>,
        text: impl FnOnce() -> Vec<String>,
    ) -> anyhow::Result<ExitCode> {
        if self.json {
            println!("{}", json()?);
        } else {
            text().iter().for_each(|line| println!("{line}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// How often a drain looks.
const LOOK: Duration = Duration::from_millis(250);
/// Looks in a row that find nothing: more than a second, in which every relay hears of the pause.
const QUIET: u32 = 4;

/// What clients are not told, whoever runs the command may know.
fn plain(error: Error) -> anyhow::Error {
    match error {
        Error::Unavailable(cause) | Error::Internal(cause) => anyhow!("{cause:#}"),
        Error::NotFound { kind, id } => anyhow!("there is no {kind} {id}"),
        other => anyhow!(other),
    }
}
