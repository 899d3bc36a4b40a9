//! Fan-out inside one process: a bounded channel per tenant in use, and one look at the table a second for
//! all who listen to it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Told, redis_feed::RedisFeed};
use crate::{
    auth::TenantScope,
    id::TenantId,
    store::{Store, events::LoggedEvent},
};

/// How far a listener may fall behind before it reads from the table instead.
const DEPTH: usize = 1_024;
/// How long an event can stay unseen when its hint was lost.
const RECHECK: Duration = Duration::from_secs(1);

/// What a listener hears.
#[derive(Clone, Debug)]
pub(super) enum Live {
    Event(Arc<Told>),
    /// The newest number in the table, seen a moment ago.
    Head(i64),
}

/// Numbered events, to everyone in this process who listens to their tenant.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    topics: Mutex<HashMap<TenantId, Topic>>,
    /// With Redis, events of other processes come and ours go through a stream per tenant.
    redis: Option<RedisFeed>,
}

/// One tenant's listeners.
struct Topic {
    live: Sender<Live>,
    /// Ends what feeds them.
    _over: DropGuard,
}

impl Hub {
    /// For one process on its own.
    pub fn local() -> Self {
        Self(Arc::new(Inner { topics: Mutex::default(), redis: None }))
    }

    /// For many processes: `prefix` names the installation.
    pub fn redis(client: redis::Client, prefix: String) -> Self {
        Self(Arc::new(Inner { topics: Mutex::default(), redis: Some(RedisFeed::new(client, prefix)) }))
    }

    /// Listens to a tenant from now on.
    pub(super) fn listen(&self, store: &Store, scope: &TenantScope) -> Receiver<Live> {
        let tenant = scope.tenant();
        let mut topics = self.topics();
        if let Some(topic) = topics.get(&tenant) {
            return topic.live.subscribe();
        }
        let (live, receiver) = broadcast::channel(DEPTH);
        let over = CancellationToken::new();
        if let Some(redis) = &self.0.redis {
            redis.follow(tenant, live.clone(), over.clone());
        }
        tokio::spawn(self.clone().watch(store.clone(), scope.clone(), live.clone()));
        topics.insert(tenant, Topic { live, _over: over.drop_guard() });
        receiver
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
            if let Some(topic) = topics.get(&event.tenant_id) {
                // The last listener may have left just now.
                drop(topic.live.send(Live::Event(Arc::new(event.into()))));
            }
        }
    }

    /// The entries right behind `seq`, at most `limit`, if they are at hand without the table.
    pub(super) async fn recent(&self, tenant: TenantId, seq: i64, limit: u64) -> Option<Vec<LoggedEvent>> {
        self.0.redis.as_ref()?.recent(tenant, seq, limit).await
    }

    /// Looks at the table for all listeners of a tenant, until there are none; then their topic goes.
    async fn watch(self, store: Store, scope: TenantScope, live: Sender<Live>) {
        let mut tick = tokio::time::interval(RECHECK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            {
                // Under the lock, so that nobody joins a topic that is going.
                let mut topics = self.topics();
                if live.receiver_count() == 0 {
                    topics.remove(&scope.tenant());
                    return;
                }
            }
            match store.of(scope.clone()).events().head().await {
                Ok(head) => drop(live.send(Live::Head(head.newest))),
                Err(error) => tracing::debug!(%error, "cannot look for events; trying again"),
            }
        }
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<TenantId, Topic>> {
        self.0.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
