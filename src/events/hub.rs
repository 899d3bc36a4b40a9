//! Fan-out inside one process: a bounded channel per tenant in use, and one look at the table a second for
//! all who listen to it. What a hint lost is read once for all of them: thousands who would each ask the table
//! for the same event would keep everybody else from it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{
    Notify, Semaphore, SemaphorePermit,
    broadcast::{self, Receiver, Sender},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Told, redis_feed::RedisFeed};
use crate::{
    auth::TenantScope,
    error::Result,
    id::TenantId,
    store::{
        Store,
        events::{EventFilter, LoggedEvent},
    },
};

/// How far a listener may fall behind before it reads from the table instead.
const DEPTH: usize = 1_024;
/// How long an event can stay unseen when its hint was lost.
const RECHECK: Duration = Duration::from_secs(1);
/// Entries read from the table at once.
const PAGE: u64 = 500;
/// Listeners that read from the table at the same moment: a storm of those who come back must leave
/// connections for everybody else.
const LOOKS: usize = 4;

/// What a listener hears.
#[derive(Clone, Debug)]
pub(super) enum Live {
    /// Each one is the next after the one before it.
    Event(Arc<Told>),
    /// What follows comes behind this number: what is up to it and unknown is in the table.
    Head(i64),
}

/// Numbered events, to everyone in this process who listens to their tenant.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    topics: Mutex<HashMap<TenantId, Entry>>,
    /// With Redis, events of other processes come and ours go through a stream per tenant.
    redis: Option<RedisFeed>,
    looks: Semaphore,
}

struct Entry {
    topic: Arc<Topic>,
    /// Ends what feeds the topic.
    _over: DropGuard,
}

/// One tenant's listeners.
pub(super) struct Topic {
    live: Sender<Live>,
    /// The number that they were told last; `None` before the first look at the table.
    told: Mutex<Option<i64>>,
    gap: Notify,
}

impl Topic {
    /// Tells everybody, if it is the next one. One that they know is passed over; before one that is further on,
    /// the table is asked for those between.
    pub(super) fn tell(&self, event: LoggedEvent) {
        let mut told = self.told();
        match (*told, event.seq) {
            (Some(last), Some(seq)) if seq == last + 1 => {
                *told = Some(seq);
                // The last listener may have left just now.
                drop(self.live.send(Live::Event(Arc::new(event.into()))));
            }
            (Some(last), Some(seq)) if seq <= last => {}
            _ => self.gap.notify_one(),
        }
    }

    /// Sends everybody to the table for what is up to `newest`.
    fn skip_to(&self, newest: i64) {
        *self.told() = Some(newest);
        drop(self.live.send(Live::Head(newest)));
    }

    fn told(&self) -> MutexGuard<'_, Option<i64>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what is in the table and was not told yet.
    async fn look(&self, store: &Store, scope: &TenantScope) -> Result<()> {
        let db = store.of(scope.clone());
        let newest = db.events().head().await?.newest;
        loop {
            let told = *self.told();
            let Some(last) = told else {
                self.skip_to(newest);
                return Ok(());
            };
            if last >= newest {
                return Ok(());
            }
            for event in db.events().after(last, &EventFilter::default(), PAGE).await? {
                self.tell(event);
            }
            if *self.told() == Some(last) {
                // The next one is gone: whoever wants it has to hear that.
                self.skip_to(newest);
            }
        }
    }
}

impl Hub {
    /// For one process on its own.
    pub fn local() -> Self {
        Self(Arc::new(Inner { topics: Mutex::default(), redis: None, looks: Semaphore::new(LOOKS) }))
    }

    /// For many processes: `prefix` names the installation.
    pub fn redis(client: redis::Client, prefix: String) -> Self {
        let redis = Some(RedisFeed::new(client, prefix));
        Self(Arc::new(Inner { topics: Mutex::default(), redis, looks: Semaphore::new(LOOKS) }))
    }

    /// Listens to a tenant from now on.
    pub(super) fn listen(&self, store: &Store, scope: &TenantScope) -> Receiver<Live> {
        let tenant = scope.tenant();
        let mut topics = self.topics();
        if let Some(entry) = topics.get(&tenant) {
            return entry.topic.live.subscribe();
        }
        let (live, receiver) = broadcast::channel(DEPTH);
        let topic = Arc::new(Topic { live, told: Mutex::new(None), gap: Notify::new() });
        let over = CancellationToken::new();
        if let Some(redis) = &self.0.redis {
            redis.follow(tenant, topic.clone(), over.clone());
        }
        tokio::spawn(self.clone().watch(store.clone(), scope.clone(), topic.clone()));
        topics.insert(tenant, Entry { topic, _over: over.drop_guard() });
        receiver
    }

    /// A turn to read from the table, for one listener.
    pub(super) async fn turn(&self) -> SemaphorePermit<'_> {
        self.0.looks.acquire().await.expect("never closed")
    }

    /// Tells everyone about events that were just numbered.
    pub(super) async fn publish(&self, events: Vec<LoggedEvent>) {
        if events.is_empty() {
            return;
        }
        if let Some(redis) = &self.0.redis {
            redis.publish(&events).await;
            return;
        }
        let topics = self.topics();
        for event in events {
            if let Some(entry) = topics.get(&event.tenant_id) {
                entry.topic.tell(event);
            }
        }
    }

    /// The entries right behind `seq`, at most `limit`, if they are at hand without the table.
    pub(super) async fn recent(&self, tenant: TenantId, seq: i64, limit: u64) -> Option<Vec<LoggedEvent>> {
        self.0.redis.as_ref()?.recent(tenant, seq, limit).await
    }

    /// Looks at the table for all listeners of a tenant, until there are none; then their topic goes.
    async fn watch(self, store: Store, scope: TenantScope, topic: Arc<Topic>) {
        let mut tick = tokio::time::interval(RECHECK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = topic.gap.notified() => {}
            }
            {
                // Under the lock, so that nobody joins a topic that is going.
                let mut topics = self.topics();
                if topic.live.receiver_count() == 0 {
                    topics.remove(&scope.tenant());
                    return;
                }
            }
            if let Err(error) = topic.look(&store, &scope).await {
                tracing::debug!(%error, "cannot look for events; trying again");
            }
        }
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<TenantId, Entry>> {
        self.0.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
