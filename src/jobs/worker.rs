//! Workers: fetch as many tickets as there are free slots, pass the start fence, run.

mod outcome;
mod run;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Parts, Registry,
    bus::{Bus, Delivery, Receipt},
    completer::Report,
    running::Running,
};
use crate::{
    domain::queue::Queue,
    error::{Error, Result},
    fault::{self, Point},
    store::jobs::{Outcome, Started, Ticket},
};

/// How long a blocking read waits.
const WAIT: Duration = Duration::from_secs(1);
/// A kind that this version does not know comes again, for a process that does (rolling deploys).
const UNKNOWN_KIND: Duration = Duration::from_secs(30);

/// The workers of one queue.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) queue: Queue,
    pub(super) parts: Parts,
    pub(super) registry: Arc<Registry>,
    pub(super) slots: Arc<Semaphore>,
    pub(super) most: usize,
    pub(super) running: Running,
    pub(super) reports: mpsc::Sender<Report>,
    pub(super) tasks: TaskTracker,
    pub(super) lease: Duration,
}

impl Worker {
    /// Reads from `bus` until `shutdown`; runs in progress stay in `tasks`.
    pub(super) async fn read(self, bus: Arc<Bus>, shutdown: CancellationToken) {
        loop {
            // Who waits in an empty line must not hold slots: two readers share them.
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = bus.arrival(self.queue) => {}
            }
            let Some(slots) = self.free_slots(&shutdown).await else { break };
            let most = slots.num_permits();
            let fetched = tokio::select! {
                () = shutdown.cancelled(), if matches!(*bus, Bus::Local(_)) => break,
                fetched = bus.fetch(self.queue, most, WAIT) => fetched,
            };
            match fetched {
                Ok(deliveries) if deliveries.is_empty() => {}
                Ok(deliveries) if shutdown.is_cancelled() => self.give_back(deliveries).await,
                Ok(deliveries) => self.start(&bus, deliveries, slots).await,
                Err(error) => {
                    tracing::debug!(%error, queue = self.queue.name(), "cannot fetch tickets");
                    drop(slots);
                    tokio::select! {
                        () = shutdown.cancelled() => break,
                        () = tokio::time::sleep(Duration::from_millis(200)) => {}
                    }
                }
            }
        }
    }

    /// Takes all free slots, at least one.
    async fn free_slots(&self, shutdown: &CancellationToken) -> Option<OwnedSemaphorePermit> {
        let mut slots = tokio::select! {
            () = shutdown.cancelled() => return None,
            slot = self.slots.clone().acquire_owned() => slot.ok()?,
        };
        let more = self.slots.available_permits().min(self.most);
        if let Ok(more) = self.slots.clone().try_acquire_many_owned(u32::try_from(more).unwrap_or(0)) {
            slots.merge(more);
        }
        Some(slots)
    }

    async fn start(&self, bus: &Bus, deliveries: Vec<Delivery>, mut slots: OwnedSemaphorePermit) {
        let (known, unknown): (Vec<_>, Vec<_>) =
            deliveries.into_iter().partition(|delivery| self.registry.get(&delivery.ticket.kind).is_some());
        for delivery in unknown {
            self.snooze(bus, delivery).await;
        }
        if known.is_empty() {
            return;
        }
        let tickets: Vec<Ticket> = known.iter().map(|delivery| delivery.ticket.clone()).collect();
        let Some(started) = self.pass_fence(&tickets).await else { return };
        let mut started =
            started.into_iter().map(|s| (s.ticket.clone(), s)).collect::<std::collections::HashMap<_, _>>();
        for delivery in known {
            let Some(started) = started.remove(&delivery.ticket) else {
                metrics::counter!("switchboard_jobs_stale_dropped_total").increment(1);
                self.report(None, delivery.receipt).await;
                continue;
            };
            // More deliveries than slots cannot be: COUNT is what was free.
            let slot = slots.split(1);
            let run = self.running.enter(&started.ticket, delivery.receipt.clone());
            self.tasks.spawn(self.clone().run(started, delivery.receipt, run, slot));
        }
    }

    /// Waits for a database that is away for a moment; the slots could not be used otherwise.
    async fn pass_fence(&self, tickets: &[Ticket]) -> Option<Vec<Started>> {
        let begin = Instant::now();
        loop {
            match self.fence(tickets).await {
                Ok(started) => return Some(started),
                Err(error) => tracing::warn!(%error, tickets = tickets.len(), "cannot start jobs"),
            }
            // The sweeper makes their rows ready again.
            if begin.elapsed() > self.lease {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn fence(&self, tickets: &[Ticket]) -> Result<Vec<Started>> {
        fault::point(Point::WorkerBeforeFence).await.map_err(Error::unavailable)?;
        let started = self.parts.store.system().start(tickets, self.lease).await?;
        fault::point(Point::WorkerAfterFence).await.map_err(Error::unavailable)?;
        Ok(started)
    }

    async fn snooze(&self, bus: &Bus, delivery: Delivery) {
        metrics::counter!("switchboard_jobs_snoozed_total", "why" => "unknown_kind").increment(1);
        tracing::warn!(kind = delivery.ticket.kind, "a kind of job that this process does not know");
        if let Err(error) = bus.snooze(self.queue, delivery, UNKNOWN_KIND).await {
            tracing::debug!(%error, "cannot snooze a ticket; it comes again when its lease ends");
        }
    }

    async fn give_back(&self, deliveries: Vec<Delivery>) {
        let (tickets, receipts): (Vec<_>, Vec<_>) =
            deliveries.into_iter().map(|delivery| (delivery.ticket, delivery.receipt)).unzip();
        match self.parts.store.system().unadmit(&tickets).await {
            Ok(_) => {
                for receipt in receipts {
                    self.report(None, receipt).await;
                }
            }
            Err(error) => tracing::warn!(%error, "cannot give tickets back; they come again"),
        }
    }

    async fn report(&self, outcome: Option<Outcome>, receipt: Option<Receipt>) {
        // The completer outlives all workers.
        drop(self.reports.send(Report { outcome, receipt }).await);
    }
}
