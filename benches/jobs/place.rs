//! One engine on one database: with tickets in Redis, or in the memory of the process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use switchboard::{
    ai::{Ai, Switches},
    auth::{TenantScope, seal::Keyring},
    channels::Http,
    env::Env,
    id::TenantId,
    jobs::{Engine, EngineHandle, EngineSettings, Parts, Queue, Registry, Slots, Terms, enqueue},
    store::{Settings, Store, connect},
};
use tokio_util::sync::CancellationToken;

use super::board::{self, Noop};

/// Connections of the process; half of them read.
pub const POOL: u32 = 32;
/// Who the jobs of a backlog belong to.
pub const TENANTS: usize = 8;
/// Longer, and nothing moves any more.
const PATIENCE: Duration = Duration::from_secs(120);

/// A migrated database with tenants, and perhaps a Redis.
pub struct Place {
    pub name: &'static str,
    pub database: &'static str,
    pub store: Store,
    redis: Option<redis::Client>,
    pub tenants: Vec<TenantScope>,
    raw: DatabaseConnection,
}

impl Place {
    pub async fn open(
        name: &'static str,
        database: &'static str,
        url: &str,
        redis_url: Option<&str>,
    ) -> Self {
        let env = Env::system();
        let settings = Settings { url: url.to_owned(), pool: POOL };
        let store = connect(&settings, env.clone()).await.expect("the database answers");
        store.migrate().await.expect("migrations apply");
        let raw = Database::connect(url).await.expect("the database answers");
        let redis = redis_url.map(|url| redis::Client::open(url).expect("a URL of Redis"));
        let mut tenants = Vec::new();
        for _ in 0..TENANTS {
            tenants.push(tenant(&raw, &env).await);
        }
        Self { name, database, store, redis, tenants, raw }
    }

    /// Another tenant.
    pub async fn newcomer(&self) -> TenantScope {
        tenant(&self.raw, self.store.env()).await
    }

    /// Starts relay, workers, completer and sweeper; `slots` jobs run at once.
    pub async fn start(&self, slots: usize) -> Running {
        let settings = EngineSettings {
            redis: self.redis.clone(),
            prefix: format!("{}:", self.name),
            slots: Slots::default().with(Queue::Send, slots),
            ..EngineSettings::default()
        };
        let parts = Parts {
            store: self.store.clone(),
            keys: Keyring::new(&[]),
            http: Http::new(true, Duration::from_secs(1)),
            ai: Ai::Offline,
            switches: Switches::default(),
            public_url: "https://chat.example".into(),
        };
        let (registry, shutdown) = (Registry::default().with::<Noop>(), CancellationToken::new());
        let handle =
            Engine::start(settings, parts, registry, shutdown.clone()).await.expect("the engine starts");
        Running { handle, shutdown }
    }

    /// Enqueues the jobs of `numbers` in one transaction. True when it committed.
    pub async fn promise(&self, of: &TenantScope, numbers: std::ops::Range<usize>, hold: u64) -> bool {
        promise(&self.store, of, numbers, hold).await
    }

    /// Jobs enqueued a second by so many callers at once, `each` in a transaction; and transactions that failed.
    pub async fn enqueue(&self, callers: usize, each: usize, period: Duration) -> (f64, u64) {
        let (begin, count) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        let callers: Vec<_> = (0..callers)
            .map(|caller| {
                let (store, count) = (self.store.clone(), count.clone());
                let scope = self.tenants[caller % TENANTS].clone();
                tokio::spawn(async move {
                    let mut failed = 0;
                    while begin.elapsed() < period {
                        if promise(&store, &scope, 0..each, 0).await {
                            count.fetch_add(each, Ordering::Relaxed);
                        } else {
                            failed += 1;
                        }
                    }
                    failed
                })
            })
            .collect();
        let mut failed = 0;
        for caller in callers {
            failed += caller.await.expect("a caller does not panic");
        }
        (per_second(count.load(Ordering::Relaxed), begin.elapsed()), failed)
    }

    /// Enqueues a backlog, numbered from 0.
    pub async fn fill(&self, of: &[TenantScope], count: usize, hold: u64) {
        for (nth, begin) in (0..count).step_by(250).enumerate() {
            let numbers = begin..(begin + 250).min(count);
            assert!(self.promise(&of[nth % of.len()], numbers, hold).await, "a backlog is enqueued");
        }
    }

    /// Jobs of a backlog a second: from the first start until the last ending is recorded.
    pub async fn process(&self, count: usize, slots: usize) -> f64 {
        board::wipe();
        let running = self.start(slots).await;
        let begin = Instant::now();
        while board::started() < count || !self.is_done().await {
            assert!(
                begin.elapsed() < PATIENCE,
                "{}: {} of {count} jobs started",
                self.name,
                board::started()
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let rate = per_second(count, board::since_first());
        running.stop().await;
        rate
    }

    async fn is_done(&self) -> bool {
        let backend = self.raw.get_database_backend();
        let sql = "select 1 from job where state in (0, 1, 2) limit 1";
        let left = self.raw.query_one_raw(Statement::from_string(backend, sql)).await;
        left.expect("the database answers").is_none()
    }

    /// Removes all jobs.
    pub async fn clear(&self) {
        let sql = match self.raw.get_database_backend() {
            DbBackend::Postgres => "truncate job",
            _ => "delete from job",
        };
        self.raw.execute_unprepared(sql).await.expect("the table is emptied");
    }
}

/// A running engine.
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

/// As [`Place::promise`], for tasks of their own.
pub async fn promise(store: &Store, of: &TenantScope, numbers: std::ops::Range<usize>, hold: u64) -> bool {
    let db = store.of(of.clone());
    let done = db.transaction(async |db| {
        for n in numbers.clone() {
            enqueue(db, &Noop { n, hold }, Terms::now()).await?;
        }
        Ok(())
    });
    done.await.is_ok()
}

/// A tenant's row, written past the store.
async fn tenant(raw: &DatabaseConnection, env: &Env) -> TenantScope {
    let tenant: TenantId = env.id();
    let backend = raw.get_database_backend();
    let sql = "insert into tenant (id, name, language, currency, time_zone, restricted, version, create_time, \
         update_time) values ($1, 'a', 'en', 'EUR', 'UTC', $2, 1, $3, $3)";
    let sql = if backend == DbBackend::Sqlite { sql.replace('$', "?") } else { sql.to_owned() };
    let values = [tenant.into(), false.into(), env.now().into()];
    raw.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await.expect("a tenant");
    TenantScope::of_platform(tenant)
}

fn per_second(count: usize, took: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / took.as_secs_f64()
}
