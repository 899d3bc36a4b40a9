//! The engine of one process: relay, workers, completer, sweeper and cron, from start to drained.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::TimeDelta;
use futures::FutureExt;
use sea_orm::DbBackend;
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Parts, Queue, Registry,
    bus::Bus,
    bus_local::LocalBus,
    bus_redis::RedisBus,
    completer::{BACKLOG, Completer},
    cron,
    relay::Relay,
    running::{Running, Stop},
    sweeper::Sweeper,
    worker::Worker,
};
use crate::{
    error::{Error, Result},
    store::{Lead, Store, events::SHARDS, jobs::Ticket},
};

/// How long the last results may take to be recorded.
const FLUSH: Duration = Duration::from_secs(10);

/// What this process does, and how.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Admits jobs, repairs, and fires schedules (relay, sweeper and cron).
    pub relay: bool,
    /// Runs jobs.
    pub work: bool,
    /// Without it tickets stay in this process: then one process does everything.
    pub redis: Option<redis::Client>,
    /// Of all Redis keys, for installations that share a server.
    pub prefix: String,
    /// Streams per queue.
    pub lanes: usize,
    /// Jobs at once, by queue.
    pub slots: Slots,
    /// A worker that is silent for so long has lost its jobs.
    pub lease: Duration,
    /// A relay or sweeper that is silent for so long no longer leads.
    pub lead: Duration,
    /// The least time that a ticket is good for.
    pub dispatch_ttl: Duration,
    /// How long running jobs may go on after a shutdown began.
    pub drain: Duration,
    /// How long ended jobs stay in the log.
    pub log_kept: TimeDelta,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            relay: true,
            work: true,
            redis: None,
            prefix: String::new(),
            lanes: 4,
            slots: Slots::default(),
            lease: Duration::from_secs(20),
            lead: Duration::from_secs(3),
            dispatch_ttl: Duration::from_secs(60),
            drain: Duration::from_secs(25),
            log_kept: TimeDelta::days(30),
        }
    }
}

/// Jobs at once, by queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots([usize; Queue::ALL.len()]);

impl Default for Slots {
    fn default() -> Self {
        Self::around(16)
    }
}

impl Slots {
    /// So many for drafts and look-ups. A send mostly waits for a provider, so there are four times as many
    /// of them, and twice as many webhooks; mail, billing and housekeeping are in no hurry: half.
    pub fn around(slots: usize) -> Self {
        let few = (slots / 2).max(1);
        // In the order of `Queue::ALL`.
        Self([4 * slots, slots, slots, 2 * slots, few, few, few])
    }
    /// The same number for every queue.
    pub fn each(slots: usize) -> Self {
        Self([slots; Queue::ALL.len()])
    }
    #[must_use]
    pub fn with(mut self, queue: Queue, slots: usize) -> Self {
        self.0[usize::from(queue.number().unsigned_abs())] = slots;
        self
    }
    fn of(self, queue: Queue) -> usize {
        self.0[usize::from(queue.number().unsigned_abs())]
    }
}

/// Starts engines.
pub struct Engine;

/// A running engine.
pub struct EngineHandle {
    all: JoinHandle<()>,
}

impl EngineHandle {
    /// Resolves when the engine has drained: a while after its shutdown was asked for, or, if that was not,
    /// after a part of it broke.
    pub async fn drained(self) {
        if let Err(error) = self.all.await {
            tracing::error!(%error, "the job engine ended badly");
        }
    }
}

impl Engine {
    /// Starts what `settings` ask for; it runs until `shutdown`. Refuses a Redis that may forget tickets to
    /// save memory.
    pub async fn start(
        settings: EngineSettings,
        parts: Parts,
        registry: Registry,
        shutdown: CancellationToken,
    ) -> Result<EngineHandle> {
        let store = parts.store.clone();
        let shutdown = shutdown.child_token();
        let incarnation = store.env().uuid();
        let local = || Arc::new(Bus::Local(LocalBus::default()));
        let (bus, spare) = match &settings.redis {
            Some(client) => {
                let prefix = settings.prefix.clone();
                let redis = RedisBus::new(client.clone(), prefix, settings.lanes, incarnation);
                refuse_eviction(&redis).await?;
                (Arc::new(Bus::Redis(redis)), settings.work.then(local))
            }
            None => (local(), None),
        };
        if settings.relay && store.backend() == DbBackend::Sqlite {
            // The only process of its database: whoever held a lease is gone.
            store.system().expire_leases().await?;
        }
        let progress = Arc::new(Notify::new());
        let mut tasks = Vec::new();
        if settings.relay || spare.is_some() {
            let names = (0..SHARDS).map(|shard| format!("relay:{shard}")).collect();
            let relay = Relay {
                store: store.clone(),
                bus: bus.clone(),
                spare: spare.clone(),
                lead: settings.relay.then(|| Lead::new(store.clone(), names, incarnation, settings.lead)),
                progress: progress.clone(),
                hints: store.hints().listen(),
                slots: settings.slots.0,
                dispatch_ttl: settings.dispatch_ttl,
                flows: Default::default(),
                weights: Default::default(),
                led: 0,
                direct: false,
                refused_since: None,
                asked_for_room: None,
                looked: None,
                next_due: Duration::ZERO,
                paused: (0, None),
                turned: None,
            };
            tasks.push(tokio::spawn(relay.run(shutdown.clone())));
        }
        if settings.relay {
            let names = vec!["sweeper".to_owned()];
            let sweeper = Sweeper {
                store: store.clone(),
                bus: bus.clone(),
                lead: Lead::new(store.clone(), names, incarnation, settings.lead),
                lease: settings.lease,
                suspect: HashMap::new(),
                log_kept: settings.log_kept,
                measured: None,
            };
            tasks.push(tokio::spawn(sweeper.run(shutdown.clone())));
            tasks.push(tokio::spawn(cron::run(store.clone(), shutdown.clone())));
        }
        if settings.work {
            let crew = Crew { settings, parts, registry: Arc::new(registry), bus, spare, progress };
            tasks.push(tokio::spawn(crew.work(shutdown.clone())));
        }
        // Half an engine looks alive and moves nothing: when a part ends, all do, and `drained` resolves.
        let parts = tasks.into_iter().map(|task| {
            let shutdown = shutdown.clone();
            async move {
                if let Err(error) = task.await {
                    tracing::error!(%error, "a part of the job engine ended badly");
                }
                shutdown.cancel();
            }
        });
        let all = tokio::spawn(futures::future::join_all(parts).map(drop));
        Ok(EngineHandle { all })
    }
}

/// The workers of a process and their completer.
struct Crew {
    settings: EngineSettings,
    parts: Parts,
    registry: Arc<Registry>,
    bus: Arc<Bus>,
    spare: Option<Arc<Bus>>,
    progress: Arc<Notify>,
}

impl Crew {
    async fn work(self, shutdown: CancellationToken) {
        let store = self.parts.store.clone();
        let (reports, inbox) = mpsc::channel(BACKLOG);
        let completer =
            Completer { store: store.clone(), bus: self.bus.clone(), progress: self.progress.clone() };
        let completer = tokio::spawn(completer.run(inbox));

        let running = Running::default();
        let over = CancellationToken::new();
        let keep = running.clone().keep(store.clone(), self.bus.clone(), self.settings.lease, over.clone());
        let keeper = tokio::spawn(keep);

        let (readers, tasks) = (TaskTracker::new(), TaskTracker::new());
        for queue in Queue::ALL {
            let most = self.settings.slots.of(queue);
            if most == 0 {
                continue;
            }
            let worker = Worker {
                queue,
                parts: self.parts.clone(),
                registry: self.registry.clone(),
                slots: Arc::new(Semaphore::new(most)),
                most,
                running: running.clone(),
                reports: reports.clone(),
                tasks: tasks.clone(),
                lease: self.settings.lease,
            };
            for bus in [Some(&self.bus), self.spare.as_ref()].into_iter().flatten() {
                readers.spawn(worker.clone().read(bus.clone(), shutdown.clone()));
            }
        }
        shutdown.cancelled().await;
        readers.close();
        readers.wait().await;
        tasks.close();
        if tokio::time::timeout(self.settings.drain, tasks.wait()).await.is_err() {
            tracing::warn!("running jobs are broken off; they start again elsewhere");
            running.stop_all(Stop::Shutdown);
            tasks.wait().await;
        }
        self.return_unstarted(&store).await;
        drop(reports);
        over.cancel();
        // Results that a database cannot take now are lost to us: the leases end, and the jobs run again.
        match tokio::time::timeout(FLUSH, completer).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the completer ended badly"),
            Err(_) => tracing::error!("results of jobs could not be recorded before the end"),
        }
        keeper.abort();
    }

    /// Tickets that only this process has seen.
    async fn return_unstarted(&self, store: &Store) {
        for bus in [Some(&self.bus), self.spare.as_ref()].into_iter().flatten() {
            let Bus::Local(local) = bus.as_ref() else { continue };
            let tickets: Vec<Ticket> = Queue::ALL.into_iter().flat_map(|queue| local.empty(queue)).collect();
            if !tickets.is_empty()
                && let Err(error) = store.system().unadmit(&tickets).await
            {
                tracing::warn!(%error, "cannot give tickets back; they come again");
            }
        }
    }
}

/// A Redis that evicts keys may evict tickets. One that cannot be asked is used all the same: losing
/// tickets costs time, not jobs.
async fn refuse_eviction(redis: &RedisBus) -> Result<()> {
    match redis.memory_policy().await {
        Ok((most, policy)) if most > 0 && policy != "noeviction" => Err(Error::rejected(
            "REDIS_EVICTS",
            format!("Redis has maxmemory-policy {policy}: job tickets need noeviction"),
        )),
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::warn!(%error, "cannot read the maxmemory-policy of Redis; job tickets need noeviction");
            Ok(())
        }
    }
}
