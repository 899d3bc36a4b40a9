//! The job engine over {SQLite, PostgreSQL} × {in-process, Redis}.
mod bad_tickets;
mod engine;
mod fairness;
mod gate;
mod last_word;
mod processes;
mod promise;
mod record;
mod redis_loss;
mod redis_trouble;
mod statements;
mod stopping;
mod trouble;

use std::{
    collections::HashMap,
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement, Value};
use serde::{Deserialize, Serialize};
use switchboard::{
    ai::{Ai, Switches},
    auth::{TenantScope, seal::Keyring},
    channels::Http,
    env::Env,
    error::Error,
    id::{JobId, TenantId},
    jobs::{
        Backoff, Context, Engine, EngineHandle, EngineSettings, Failure, Job, Parts, Queue, Registry, Terms,
        enqueue,
    },
    store::Store,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{Cluster, Pair, both};

/// What a scripted job does in one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Act {
    Done,
    Fail,
    Die,
    Panic,
    /// Comes back after so many milliseconds.
    Snooze(u64),
    /// Takes so many milliseconds.
    Take(u64),
}

/// Does what its script says, one act a run; after the last act it is done.
#[derive(Serialize, Deserialize)]
pub struct Scripted {
    pub name: String,
    pub acts: Vec<Act>,
}

impl Scripted {
    #[expect(clippy::needless_pass_by_value, reason = "names are counted out in place")]
    pub fn new(name: impl ToString, acts: &[Act]) -> Self {
        Self { name: name.to_string(), acts: acts.to_vec() }
    }
}

/// Runs as they began: who, and the how-many-th time.
type Runs = HashMap<TenantId, Vec<(String, usize)>>;
static RUNS: LazyLock<Mutex<Runs>> = LazyLock::new(Mutex::default);

/// The runs of a tenant's jobs, in the order they began.
pub fn runs(tenant: TenantId) -> Vec<String> {
    let runs = RUNS.lock().unwrap();
    runs.get(&tenant).into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

impl Job for Scripted {
    const NAME: &'static str = "scripted";
    const QUEUE: Queue = Queue::Send;
    const TIMEOUT: Duration = Duration::from_secs(2);
    const MAX_TRIES: i16 = 3;
    const BACKOFF: Backoff = Backoff { base: Duration::from_millis(5), cap: Duration::from_millis(40) };

    async fn run(&self, cx: &Context) -> Result<(), Failure> {
        let run = {
            let mut runs = RUNS.lock().unwrap();
            let runs = runs.entry(cx.scope.tenant()).or_default();
            let run = runs.iter().filter(|(name, _)| *name == self.name).count();
            runs.push((self.name.clone(), run));
            run
        };
        match self.acts.get(run).unwrap_or(&Act::Done) {
            Act::Done => Ok(()),
            Act::Fail => Err(Failure::retry(anyhow::anyhow!("as the script says"))),
            Act::Die => Err(Failure::dead(anyhow::anyhow!("as the script says"))),
            Act::Panic => panic!("as the script says"),
            Act::Snooze(millis) => Err(Failure::Snooze(Duration::from_millis(*millis))),
            Act::Take(millis) => {
                tokio::time::sleep(Duration::from_millis(*millis)).await;
                Ok(())
            }
        }
    }
}

/// A database with a tenant, and perhaps a Redis.
pub struct Bench {
    pub store: Store,
    pub scope: TenantScope,
    pub redis: Option<redis::Client>,
    raw: DatabaseConnection,
    pair: Pair,
}

/// What a test asks about a job's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: JobId,
    pub state: i16,
    pub epoch: i32,
    pub tries: i16,
    pub crashes: i16,
    pub error: Option<String>,
}

pub const READY: i16 = 0;
pub const DISPATCHED: i16 = 1;
pub const RUNNING: i16 = 2;
pub const DONE: i16 = 3;
pub const DEAD: i16 = 4;
pub const CANCELLED: i16 = 5;
pub const BLOCKED: i16 = 6;

impl Bench {
    async fn over(pair: Pair, redis: bool) -> Self {
        // Logical databases that no pair uses: they count up from 1.
        static NEXT: AtomicUsize = AtomicUsize::new(2_000);
        let redis = redis.then(|| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            redis::Client::open(Cluster::shared().redis_url(number)).unwrap()
        });
        let (store, scope) = crate::transaction::store(&pair).await;
        let raw = Database::connect(&pair.database_url).await.unwrap();
        Self { store, scope, redis, raw, pair }
    }

    pub fn tenant(&self) -> TenantId {
        self.scope.tenant()
    }

    /// Another tenant of the same database.
    pub async fn newcomer(&self) -> TenantScope {
        TenantScope::of_platform(crate::transaction::tenant(&self.pair, &Env::system()).await)
    }

    /// Promises jobs in one transaction.
    pub async fn promise(&self, jobs: &[Scripted], terms: Terms) -> Vec<JobId> {
        promise(&self.store, &self.scope, jobs, terms).await
    }

    pub async fn start(&self, tune: impl FnOnce(&mut EngineSettings)) -> Running {
        self.start_with(Registry::default().with::<Scripted>(), tune).await
    }

    /// Starts an engine with short leases.
    pub async fn start_with(&self, registry: Registry, tune: impl FnOnce(&mut EngineSettings)) -> Running {
        self.try_start(registry, tune).await.unwrap()
    }

    /// As [`start_with`](Self::start_with), where it may be refused.
    pub async fn try_start(
        &self,
        registry: Registry,
        tune: impl FnOnce(&mut EngineSettings),
    ) -> Result<Running, Error> {
        let mut settings = EngineSettings {
            redis: self.redis.clone(),
            prefix: "test:".to_owned(),
            lease: Duration::from_millis(1_500),
            lead: Duration::from_millis(900),
            ..EngineSettings::default()
        };
        tune(&mut settings);
        let shutdown = CancellationToken::new();
        let parts = Parts {
            store: self.store.clone(),
            keys: Keyring::new(&[]),
            http: Http::new(true, Duration::from_secs(1)),
            ai: Ai::Offline,
            switches: Switches::default(),
            public_url: "https://chat.example".into(),
        };
        let handle = Engine::start(settings, parts, registry, shutdown.clone()).await?;
        Ok(Running { handle, shutdown })
    }

    /// All jobs, oldest first.
    pub async fn rows(&self) -> Vec<Row> {
        let sql = "select id, state, epoch, tries, crashes, last_error from job order by id";
        let rows = self.ask(sql, []).await;
        let rows = rows.iter().map(|row| Row {
            id: row.try_get("", "id").unwrap(),
            state: row.try_get("", "state").unwrap(),
            epoch: row.try_get("", "epoch").unwrap(),
            tries: row.try_get("", "tries").unwrap(),
            crashes: row.try_get("", "crashes").unwrap(),
            error: row.try_get("", "last_error").unwrap(),
        });
        rows.collect()
    }

    pub async fn row(&self, id: JobId) -> Row {
        self.rows().await.into_iter().find(|row| row.id == id).unwrap()
    }

    pub async fn states(&self) -> Vec<i16> {
        self.rows().await.into_iter().map(|row| row.state).collect()
    }

    /// How many jobs are in `state`.
    pub async fn count(&self, state: i16) -> usize {
        let rows = self.ask("select count(*) as n from job where state = $1", [state.into()]).await;
        usize::try_from(rows[0].try_get::<i64>("", "n").unwrap()).unwrap()
    }

    pub async fn ask<const N: usize>(&self, sql: &str, values: [Value; N]) -> Vec<sea_orm::QueryResult> {
        let backend = self.raw.get_database_backend();
        let sql = if backend == DbBackend::Sqlite { sql.replace('$', "?") } else { sql.to_owned() };
        self.raw.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await.unwrap()
    }

    /// Waits until all jobs ended; fails after `patience`.
    pub async fn settled(&self, patience: Duration) {
        let begin = Instant::now();
        loop {
            let rows = self
                .ask("select state, count(*) as n from job where state not in (3, 4, 5) group by state", [])
                .await;
            if rows.is_empty() {
                return;
            }
            if begin.elapsed() > patience {
                let left: Vec<(i16, i64)> = rows
                    .iter()
                    .map(|r| (r.try_get("", "state").unwrap(), r.try_get("", "n").unwrap()))
                    .collect();
                panic!("jobs are left (state, count): {left:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until `done` holds; fails after `patience`.
    pub async fn until(&self, patience: Duration, what: &str, done: impl AsyncFn() -> bool) {
        let begin = Instant::now();
        while !done().await {
            assert!(begin.elapsed() < patience, "waited in vain for: {what}; rows: {:?}", self.rows().await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A running engine of a test.
pub struct Running {
    handle: EngineHandle,
    shutdown: CancellationToken,
}

impl Running {
    /// Drains it.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.handle.drained().await;
    }
}

pub async fn promise(store: &Store, scope: &TenantScope, jobs: &[Scripted], terms: Terms) -> Vec<JobId> {
    store
        .of(scope.clone())
        .transaction(async |db| {
            let mut ids = Vec::new();
            for job in jobs {
                ids.extend(enqueue(db, job, terms.clone()).await?);
            }
            Ok(ids)
        })
        .await
        .unwrap()
}

pub fn key() -> Uuid {
    Env::system().uuid()
}

/// Runs `test` on both databases, without a Redis.
pub async fn on_databases(test: impl AsyncFn(Bench)) {
    both(async |pair| test(Bench::over(pair, false).await).await).await;
}

/// Runs `test` on the four pairs of database and bus.
pub async fn on_all(test: impl AsyncFn(Bench)) {
    for redis in [false, true] {
        println!("with redis: {redis}");
        both(async |pair| test(Bench::over(pair, redis).await).await).await;
    }
}

/// Runs `test` on both databases with Redis.
pub async fn on_redis(test: impl AsyncFn(Bench)) {
    both(async |pair| test(Bench::over(pair, true).await).await).await;
}
