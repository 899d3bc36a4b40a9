//! The relay: admits ready jobs, fairly among tenants, and publishes their tickets. It commits before it
//! publishes, so that a worker never sees a ticket whose row does not know it.

mod flow;
mod weights;

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, broadcast},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use self::{flow::Flow, weights::Weights};
use super::{
    bus::{Bus, Trouble},
    measures,
};
use crate::{
    domain::queue::Queue,
    error::{Error, Result},
    fault::{self, Mechanism, Point},
    id::TenantId,
    store::{
        Hint, Lead, Store,
        events::shard,
        jobs::{Ready, Ticket},
    },
};

/// The longest a ready job waits unseen when its wake-up was lost.
const LOOK: Duration = Duration::from_millis(250);
/// The longest until a pause of a queue is noticed.
const MIND: Duration = Duration::from_millis(250);
/// While there is more to do than room, the longest until the next try.
const SOON: Duration = Duration::from_millis(20);
/// Redis may be away for so long before tickets go through the memory of this process.
pub(super) const AWAY: Duration = Duration::from_secs(5);
/// Between questions whether Redis has room.
const SECOND: Duration = Duration::from_secs(1);
/// Tickets in one lane; the window is the limit that matters.
const LANE: usize = 2_000;
/// Jobs admitted in one transaction.
const BATCH: usize = 500;

pub(super) struct Relay {
    pub(super) store: Store,
    pub(super) bus: Arc<Bus>,
    /// Where tickets go while Redis is away; absent without workers in this process.
    pub(super) spare: Option<Arc<Bus>>,
    /// Absent in a process that relays only while Redis is away, for its own workers.
    pub(super) lead: Option<Lead>,
    /// Told when jobs ended: there is room.
    pub(super) progress: Arc<Notify>,
    pub(super) hints: broadcast::Receiver<Hint>,
    pub(super) slots: [usize; Queue::ALL.len()],
    pub(super) dispatch_ttl: Duration,
    pub(super) flows: [Flow; Queue::ALL.len()],
    pub(super) weights: Weights,
    pub(super) led: u16,
    pub(super) direct: bool,
    /// Since when Redis has taken no ticket.
    pub(super) refused_since: Option<Instant>,
    pub(super) asked_for_room: Option<Instant>,
    pub(super) looked: Option<Instant>,
    pub(super) next_due: Duration,
    /// Queues that hold their jobs back, by bit, and when that was asked last.
    pub(super) paused: (u16, Option<Instant>),
    /// When it last began to go through the queues.
    pub(super) turned: Option<Instant>,
}

impl Relay {
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let busy = match self.turn().await {
                Ok(busy) => busy,
                Err(error) => {
                    tracing::warn!(%error, "cannot admit jobs");
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        () = tokio::time::sleep(Duration::from_millis(500)) => {}
                    }
                    false
                }
            };
            let wait = if busy { SOON } else { self.next_due.clamp(Duration::from_millis(1), LOOK) };
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.progress.notified() => {}
                () = tokio::time::sleep(wait) => {}
                hint = self.hints.recv() => self.take(&hint),
            }
            while let Ok(hint) = self.hints.try_recv() {
                self.take(&Ok(hint));
            }
        }
        if let Some(lead) = self.lead {
            lead.step_down().await;
        }
    }

    fn take(&mut self, hint: &Result<Hint, broadcast::error::RecvError>) {
        match hint {
            Ok(hint) => {
                let led = self.led & (1 << shard(hint.tenant)) != 0;
                for (queue, flow) in Queue::ALL.iter().zip(&mut self.flows) {
                    if led && hint.queues & queue.bit() != 0 {
                        flow.ring.add(hint.tenant, self.weights.of(hint.tenant));
                    }
                }
            }
            // Too many to follow: look for all at once.
            Err(_) => self.looked = None,
        }
    }

    /// One round over all queues. True when there is more to do than there was room for.
    async fn turn(&mut self) -> Result<bool> {
        self.settle_mode().await?;
        if self.led == 0 {
            self.turned = None;
            return Ok(false);
        }
        let before = self.turned.replace(Instant::now());
        measures::relay_lag(before.map(|before| before.elapsed()).unwrap_or_default());
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK.min(self.next_due)) {
            self.look().await?;
        }
        let mut busy = false;
        let mut again = true;
        while again {
            again = false;
            if self.flows.iter().all(|flow| flow.ring.is_empty()) {
                break;
            }
            let mut in_flight: HashMap<Queue, HashMap<TenantId, usize>> = HashMap::new();
            for (queue, tenant, count) in self.store.system().in_flight().await? {
                in_flight.entry(queue).or_default().insert(tenant, count);
            }
            busy = false;
            self.mind_pauses().await?;
            let paused = self.paused.0;
            for queue in Queue::ALL.into_iter().filter(|queue| paused & queue.bit() == 0) {
                let here = in_flight.remove(&queue).unwrap_or_default();
                match self.admit(queue, &here).await? {
                    Admitted::Full => busy = true,
                    Admitted::Some => again = true,
                    Admitted::Nothing => {}
                    Admitted::Unpublished => return Ok(true),
                }
            }
        }
        Ok(busy)
    }

    /// Which queues hold their jobs back. What was dispatched before runs to its end.
    async fn mind_pauses(&mut self) -> Result<()> {
        if self.paused.1.is_none_or(|asked| asked.elapsed() >= MIND) {
            let asked = Instant::now();
            let paused = self.store.system().pauses().await?;
            self.paused = (paused.keys().fold(0, |all, queue| all | queue.bit()), Some(asked));
        }
        Ok(())
    }

    /// Who leads, and through which bus.
    async fn settle_mode(&mut self) -> Result<()> {
        self.ask_for_room().await;
        let refused = self.refused_since.is_some_and(|since| since.elapsed() >= AWAY);
        let direct = self.spare.is_some() && (refused || self.bus.away() >= AWAY);
        let changed = direct != self.direct;
        let fresh = if let Some(lead) = &mut self.lead {
            let (led, fresh) = lead.renew().await;
            let before = self.led;
            self.led = led.iter().fold(0, |all, shard| all | 1 << shard);
            if self.led != before {
                self.looked = None;
                measures::oldest_ready(before & !self.led, &[]);
            }
            if direct && changed { led } else { fresh }
        } else {
            self.led = if direct { u16::MAX } else { 0 };
            Vec::new()
        };
        if changed {
            self.looked = None;
            let direct = if direct { "without Redis" } else { "through Redis" };
            tracing::warn!("jobs are dispatched {direct}");
        }
        // What the predecessor dispatched, or what Redis took along, is dispatched anew.
        if !fresh.is_empty() {
            let shards: Vec<i16> = fresh.iter().filter_map(|shard| i16::try_from(*shard).ok()).collect();
            let readmitted = self.store.system().readmit_shards(&shards).await?;
            metrics::counter!("switchboard_jobs_takeover_total").increment(shards.len() as u64);
            if readmitted > 0 {
                tracing::info!(readmitted, "jobs of a former leader are dispatched anew");
            }
        }
        self.direct = direct;
        Ok(())
    }

    /// A Redis that answers and takes nothing, as one that is full does: whoever does not publish learns of it by
    /// asking, and so does whoever waits for its end.
    async fn ask_for_room(&mut self) {
        let asks =
            self.spare.is_some() && (self.lead.is_none() || self.direct && self.refused_since.is_some());
        if asks && self.asked_for_room.is_none_or(|asked| asked.elapsed() >= SECOND) {
            self.asked_for_room = Some(Instant::now());
            if self.bus.takes_more().await {
                self.refused_since = None;
            } else {
                self.refused_since.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Who has ready jobs.
    async fn look(&mut self) -> Result<()> {
        let asked = Instant::now();
        let ready = self.store.system().ready_tenants().await?;
        let led: Vec<Ready> = ready.into_iter().filter(|ready| self.led & (1 << ready.shard) != 0).collect();
        self.weights.learn(&self.store, led.iter().map(|ready| ready.tenant)).await?;
        self.next_due = led.iter().filter(|r| !r.wait.is_zero()).map(|r| r.wait).min().unwrap_or(LOOK);
        for (queue, flow) in Queue::ALL.into_iter().zip(&mut self.flows) {
            let due = || led.iter().filter(|ready| ready.queue == queue && ready.wait.is_zero());
            flow.ring.refresh(due().map(|ready| (ready.tenant, self.weights.of(ready.tenant))));
        }
        measures::oldest_ready(self.led, &led);
        if let (true, Some(before)) = (self.direct, self.looked) {
            let since = asked.saturating_duration_since(before).as_secs_f64();
            metrics::gauge!("switchboard_jobs_pg_only_seconds").increment(since);
        }
        self.looked = Some(asked);
        Ok(())
    }

    async fn admit(&mut self, queue: Queue, busy: &HashMap<TenantId, usize>) -> Result<Admitted> {
        let at = usize::from(queue.number().unsigned_abs());
        let flow = &mut self.flows[at];
        flow.measure();
        if flow.ring.is_empty() {
            return Ok(Admitted::Nothing);
        }
        let window = flow.window(self.slots[at]);
        let room = window.saturating_sub(busy.values().sum()).min(BATCH);
        let shares = flow.ring.share(room, window, |tenant| busy.get(&tenant).copied().unwrap_or(0));
        if room == 0 || shares.is_empty() {
            return Ok(Admitted::Full);
        }
        let ttl = flow.ttl(window, self.dispatch_ttl);
        if fault::without(Mechanism::PublishAfterCommit) {
            return self.publish_uncommitted(queue, &shares, ttl).await;
        }
        let tickets = self.store.system().admit(queue, &shares, ttl).await?;
        let flow = &mut self.flows[at];
        flow.admitted += tickets.len();
        let mut got: HashMap<TenantId, usize> = HashMap::new();
        for ticket in &tickets {
            *got.entry(ticket.tenant).or_default() += 1;
        }
        for (tenant, share) in shares {
            // Nothing more that is due; a hint or the next look brings it back.
            if got.get(&tenant).copied().unwrap_or(0) < usize::try_from(share).unwrap_or(0) {
                flow.ring.remove(tenant);
            }
        }
        metrics::counter!("switchboard_jobs_admitted_total", "queue" => queue.name())
            .increment(tickets.len() as u64);
        if tickets.is_empty() {
            return Ok(Admitted::Nothing);
        }
        self.publish(queue, tickets).await
    }

    /// What rule it would break to publish in the transaction that dispatches.
    async fn publish_uncommitted(
        &self,
        queue: Queue,
        shares: &[(TenantId, i32)],
        ttl: Duration,
    ) -> Result<Admitted> {
        let system = self.store.system();
        let published = system.transaction(async |db| {
            let tickets = db.claim(queue, shares, ttl).await?;
            if !tickets.is_empty() {
                drop(self.bus.publish(queue, tickets, LANE).await);
                fault::point(Point::RelayInClaim).await.map_err(Error::unavailable)?;
            }
            Ok(())
        });
        published.await.map(|()| Admitted::Nothing)
    }

    async fn publish(&mut self, queue: Queue, tickets: Vec<Ticket>) -> Result<Admitted> {
        let bus = self.spare.as_ref().filter(|_| self.direct).unwrap_or(&self.bus);
        let (rest, trouble) = bus.publish(queue, tickets, LANE).await;
        if !self.direct {
            match &trouble {
                Some(Trouble::Redis(_)) => _ = self.refused_since.get_or_insert_with(Instant::now),
                Some(Trouble::NoGeneration) | None => self.refused_since = None,
            }
        }
        if let Some(trouble) = &trouble {
            match trouble {
                Trouble::NoGeneration => tracing::info!(queue = queue.name(), "Redis is not prepared yet"),
                Trouble::Redis(error) => {
                    tracing::warn!(%error, queue = queue.name(), "cannot publish tickets");
                }
            }
        }
        if rest.is_empty() {
            return Ok(Admitted::Some);
        }
        metrics::counter!("switchboard_jobs_unadmitted_total").increment(rest.len() as u64);
        self.store.system().unadmit(&rest).await?;
        for ticket in &rest {
            let weight = self.weights.of(ticket.tenant);
            self.flows[usize::from(queue.number().unsigned_abs())].ring.add(ticket.tenant, weight);
        }
        if matches!(trouble, Some(Trouble::Redis(_))) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(Admitted::Unpublished)
    }
}

enum Admitted {
    Nothing,
    Some,
    /// The window or everybody's cap is full.
    Full,
    /// The bus took not all of it.
    Unpublished,
}
