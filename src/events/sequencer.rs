//! The sequencer: gives committed events their place in the tenant's log and tells the hub. Readers
//! never see an uncommitted gap, and commands never queue on a counter.

use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::Hub;
use crate::store::{Store, events};

/// Events numbered in one transaction.
const BATCH: u64 = 500;
/// How long an event of another process can wait unseen.
const POLL: Duration = Duration::from_millis(100);

/// Numbers events until `shutdown`. Any number of processes may run it.
pub async fn sequence(store: Store, hub: Hub, shutdown: CancellationToken) {
    let mut hints = store.hints().listen();
    let mut poll = tokio::time::interval(POLL);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let mut shards: u16 = 0;
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = poll.tick() => shards = u16::MAX,
            hint = hints.recv() => match hint {
                Ok(hint) if hint.events => shards |= bit(hint.tenant),
                Ok(_) => continue,
                Err(RecvError::Lagged(_)) => shards = u16::MAX,
                Err(RecvError::Closed) => return,
            },
        }
        while let Ok(hint) = hints.try_recv() {
            if hint.events {
                shards |= bit(hint.tenant);
            }
        }
        for shard in (0..events::SHARDS).filter(|shard| shards & (1 << shard) != 0) {
            drain(&store, &hub, shard).await;
        }
    }
}

fn bit(tenant: crate::id::TenantId) -> u16 {
    1 << events::shard(tenant)
}

async fn drain(store: &Store, hub: &Hub, shard: i16) {
    loop {
        match store.system().number_events(shard, BATCH).await {
            Ok(numbered) => {
                let full = numbered.len() >= usize::try_from(BATCH).unwrap_or(usize::MAX);
                metrics::counter!("switchboard_events_numbered_total").increment(numbered.len() as u64);
                hub.publish(numbered).await;
                if !full {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, shard, "cannot number events; trying again");
                return;
            }
        }
    }
}
