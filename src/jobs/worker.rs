//! Workers: fetch as many tickets as there are free slots, pass the start fence, run.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Context, Failure, Parts, Registry,
    bus::{Bus, Delivery, Receipt},
    completer::Report,
    registry::Kind,
    running::{Running, Slot, Stop},
};
use crate::{
    auth::TenantScope,
    domain::queue::Queue,
    store::jobs::{Ending, Outcome, Started, Ticket},
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
            match self.parts.store.system().start(tickets, self.lease).await {
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

    async fn run(
        self,
        started: Started,
        receipt: Option<Receipt>,
        mut slot: Slot,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        let Some(kind) = self.registry.get(&started.ticket.kind) else { return };
        let begin = Instant::now();
        let ending = if started.expired {
            Some(Ending::Dead { error: "expired before it could start".to_owned() })
        } else {
            self.execute(kind, &started, &mut slot).await
        };
        let result = ending.as_ref().map_or("lost", name);
        let labels = [("kind", kind.name), ("result", result)];
        metrics::counter!("switchboard_jobs_total", &labels).increment(1);
        metrics::histogram!("switchboard_job_seconds", &labels).record(begin.elapsed().as_secs_f64());
        tell(&started, kind, ending.as_ref(), begin.elapsed());
        let outcome = ending.map(|ending| Outcome { ticket: started.ticket.clone(), ending });
        self.report(outcome, receipt).await;
        drop((slot, permit));
    }

    /// `None` when the job is another worker's by now.
    async fn execute(&self, kind: &Kind, started: &Started, slot: &mut Slot) -> Option<Ending> {
        let Ticket { tenant, job, .. } = started.ticket;
        let store = &self.parts.store;
        let cx = Context {
            scope: TenantScope::of_job(tenant, job),
            job,
            kind: kind.name,
            tries: started.tries,
            max_tries: started.max_tries,
            store: store.clone(),
            keys: self.parts.keys.clone(),
            http: self.parts.http.clone(),
            ai: self.parts.ai.clone(),
            switches: self.parts.switches,
            public_url: self.parts.public_url.clone(),
            env: store.env().clone(),
            cancelled: slot.cancelled.clone(),
        };
        let work = AssertUnwindSafe(timeout(kind.timeout, (kind.run)(&cx, &started.payload))).catch_unwind();
        let done = tokio::select! {
            done = work => done,
            why = slot.broken_off() => return match why {
                Stop::Lost => None,
                Stop::Cancelled => Some(Ending::Cancelled),
                Stop::Shutdown => Some(Ending::Later { after: Duration::ZERO }),
            },
        };
        let backoff = |tries| kind.backoff.after(tries, store.env().chance());
        let failure = match done {
            Ok(Ok(Ok(()))) => return Some(Ending::Done),
            Ok(Ok(Err(failure))) => failure,
            Ok(Err(_)) => {
                Failure::retry(anyhow::anyhow!("took longer than {} s", kind.timeout.as_secs_f32()))
            }
            Err(panic) => {
                let error = format!("panicked: {}", words(panic.as_ref()));
                return Some(Ending::Crashed { after: backoff(started.tries), error });
            }
        };
        Some(match (slot.told(), failure) {
            (Some(Stop::Lost), _) => return None,
            (Some(Stop::Cancelled), _) => Ending::Cancelled,
            (_, Failure::Snooze(after)) => Ending::Later { after },
            (Some(Stop::Shutdown), Failure::Retry { .. }) => Ending::Later { after: Duration::ZERO },
            (_, Failure::Dead(cause)) => Ending::Dead { error: format!("{cause:#}") },
            (_, Failure::Retry { cause, .. }) if cx.last_try() => {
                Ending::Dead { error: format!("{cause:#}") }
            }
            (_, Failure::Retry { after, cause }) => Ending::Retry {
                after: after.unwrap_or_else(|| backoff(started.tries)),
                error: format!("{cause:#}"),
            },
        })
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}

fn name(ending: &Ending) -> &'static str {
    match ending {
        Ending::Done => "done",
        Ending::Retry { .. } => "retry",
        Ending::Crashed { .. } => "crashed",
        Ending::Later { .. } => "later",
        Ending::Dead { .. } => "dead",
        Ending::Cancelled => "cancelled",
    }
}

fn tell(started: &Started, kind: &Kind, ending: Option<&Ending>, took: Duration) {
    let (tenant, job, kind) = (started.ticket.tenant, started.ticket.job, kind.name);
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match ending {
        Some(Ending::Dead { error }) => tracing::error!(%tenant, %job, kind, millis, error, "job dead"),
        Some(Ending::Retry { error, .. } | Ending::Crashed { error, .. }) => {
            tracing::warn!(%tenant, %job, kind, millis, tries = started.tries, error, "job failed");
        }
        Some(ending) => tracing::debug!(%tenant, %job, kind, millis, result = name(ending), "job ended"),
        None => tracing::warn!(%tenant, %job, kind, millis, "job lost to another worker"),
    }
}
