//! The sequencer: gives committed events their place in the tenant's log and tells the hub. Readers
//! never see an uncommitted gap, and commands never queue on a counter.

use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::Hub;
use crate::{
    fault::{self, Point},
    store::{Lead, Store, events},
};

/// Events numbered in one transaction.
const BATCH: u64 = 500;
/// How long an event can wait unseen when its wake-up was lost.
const POLL: Duration = Duration::from_millis(100);
/// How long a process that died still counts as the one that leads.
const LEASE: Duration = Duration::from_secs(2);
/// How long the events of a shard can wait when the process that numbered them dies: until its lease ends,
/// and another one looks, which it does three times a lease.
pub const TAKEOVER: Duration = LEASE.saturating_add(LEASE.checked_div(3).expect("not by zero"));

/// Numbers events until `shutdown`. Any number of processes may run it: each shard has one that leads, which
/// saves the others the work. Two at once are correct too, the locks of the rows see to that.
pub async fn sequence(store: Store, hub: Hub, shutdown: CancellationToken) {
    let names = (0..events::SHARDS).map(|shard| format!("sequencer:{shard}")).collect();
    let mut lead = Lead::new(store.clone(), names, store.env().uuid(), LEASE);
    let mut hints = store.hints().listen();
    let mut poll = tokio::time::interval(POLL);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let mut shards: u16 = 0;
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = poll.tick() => shards = u16::MAX,
            hint = hints.recv() => match hint {
                Ok(hint) if hint.events => shards |= bit(hint.tenant),
                Ok(_) => continue,
                Err(RecvError::Lagged(_)) => shards = u16::MAX,
                Err(RecvError::Closed) => break,
            },
        }
        while let Ok(hint) = hints.try_recv() {
            if hint.events {
                shards |= bit(hint.tenant);
            }
        }
        let (led, _) = lead.renew().await;
        let led = led.into_iter().filter_map(|shard| i16::try_from(shard).ok());
        for shard in led.filter(|shard| shards & (1 << shard) != 0) {
            drain(&store, &hub, shard).await;
        }
    }
    lead.step_down().await;
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
                if !numbered.is_empty() && fault::point(Point::SequencerAfterCommit).await.is_err() {
                    return;
                }
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
