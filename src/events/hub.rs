//! Fan-out inside one process: a bounded channel per tenant in use.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::broadcast;

use super::redis_feed::RedisFeed;
use crate::{id::TenantId, store::events::LoggedEvent};

/// How far a listener may fall behind before it reads from the table instead.
const DEPTH: usize = 256;

/// Numbered events, to everyone in this process who listens to their tenant.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    topics: Mutex<HashMap<TenantId, broadcast::Sender<Arc<LoggedEvent>>>>,
    /// With Redis, events of other processes come and ours go through a stream per tenant.
    redis: Option<RedisFeed>,
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
    pub(super) fn listen(&self, tenant: TenantId) -> broadcast::Receiver<Arc<LoggedEvent>> {
        let mut topics = self.topics();
        topics.retain(|_, topic| topic.receiver_count() > 0);
        if let Some(topic) = topics.get(&tenant) {
            return topic.subscribe();
        }
        let (topic, receiver) = broadcast::channel(DEPTH);
        if let Some(redis) = &self.0.redis {
            redis.follow(tenant, topic.clone());
        }
        topics.insert(tenant, topic);
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
                drop(topic.send(Arc::new(event)));
            }
        }
    }

    fn topics(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, broadcast::Sender<Arc<LoggedEvent>>>> {
        self.0.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
