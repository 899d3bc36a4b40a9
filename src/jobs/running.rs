//! The runs of this process: who they are, how to keep their leases, how to end them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::bus::{Bus, Receipt};
use crate::store::{
    Store,
    jobs::{Held, Ticket},
};

/// Why a run should end before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Somebody asked for it.
    Cancelled,
    /// Another worker has the job, or may have it.
    Lost,
    /// The process ends.
    Shutdown,
}

/// How long a run that was told to end may take to do so.
const GRACE: Duration = Duration::from_secs(2);

/// All runs of this process.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<Mutex<HashMap<Ticket, Run>>>);

struct Run {
    receipt: Option<Receipt>,
    stop: watch::Sender<Option<Stop>>,
    cancelled: CancellationToken,
}

/// One run's own end of it; leaves the list when dropped.
pub(super) struct Slot {
    runs: Running,
    ticket: Ticket,
    stop: watch::Receiver<Option<Stop>>,
    pub(super) cancelled: CancellationToken,
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, HashMap<Ticket, Run>> {
        // Each change is one insert or remove.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(&self, ticket: &Ticket, receipt: Option<Receipt>) -> Slot {
        let (stop, told) = watch::channel(None);
        let cancelled = CancellationToken::new();
        self.lock().insert(ticket.clone(), Run { receipt, stop, cancelled: cancelled.clone() });
        Slot { runs: self.clone(), ticket: ticket.clone(), stop: told, cancelled }
    }

    /// Tells all runs to end.
    pub(super) fn stop_all(&self, why: Stop) {
        self.lock().values().for_each(|run| run.tell(why));
    }

    fn stop(&self, ticket: &Ticket, why: Stop) {
        if let Some(run) = self.lock().get(ticket) {
            run.tell(why);
        }
    }

    /// Keeps the leases of all runs until `shutdown`.
    pub(super) async fn keep(
        self,
        store: Store,
        bus: Arc<Bus>,
        lease: Duration,
        shutdown: CancellationToken,
    ) {
        let mut alive = Instant::now();
        let mut pause = lease / 3;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let (tickets, receipts): (Vec<_>, Vec<_>) =
                self.lock().iter().map(|(ticket, run)| (ticket.clone(), run.receipt.clone())).unzip();
            let asked = Instant::now();
            pause = lease / 3;
            if tickets.is_empty() {
                alive = asked;
                continue;
            }
            match store.system().heartbeat(&tickets, lease).await {
                Ok(held) => {
                    alive = asked;
                    for (ticket, held) in tickets.iter().zip(held) {
                        match held {
                            Held::Ours => {}
                            Held::Cancelled => self.stop(ticket, Stop::Cancelled),
                            Held::Lost => self.stop(ticket, Stop::Lost),
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot keep the leases of running jobs");
                    pause = lease / 20;
                }
            }
            // Others may have taken over by now.
            if alive.elapsed() > lease {
                self.stop_all(Stop::Lost);
            }
            let receipts: Vec<Receipt> = receipts.into_iter().flatten().collect();
            if let Err(error) = bus.touch(&receipts).await {
                tracing::debug!(%error, "cannot touch tickets; their rows have the leases that count");
            }
        }
    }
}

impl Run {
    fn tell(&self, why: Stop) {
        // The first reason counts, except that a lost lease overrides.
        self.stop.send_if_modified(|told| {
            let change = told.is_none() || why == Stop::Lost && *told != Some(why);
            if change {
                *told = Some(why);
            }
            change
        });
        self.cancelled.cancel();
    }
}

impl Slot {
    /// Resolves when the run has to be broken off: at once when the lease is lost, else after a grace.
    pub(super) async fn broken_off(&mut self) -> Stop {
        loop {
            let told = *self.stop.borrow_and_update();
            match told {
                Some(Stop::Lost) => return Stop::Lost,
                Some(why) => {
                    let worse = tokio::time::timeout(GRACE, self.stop.changed()).await;
                    if worse.is_err() {
                        return why;
                    }
                }
                None => {
                    if self.stop.changed().await.is_err() {
                        return Stop::Lost;
                    }
                }
            }
        }
    }

    /// What the run was told, if anything.
    pub(super) fn told(&self) -> Option<Stop> {
        *self.stop.borrow()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.runs.lock().remove(&self.ticket);
    }
}
