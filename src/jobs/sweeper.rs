//! The sweeper: finds what fell between two steps, by looking. Any number may run; one leads.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    bus::{Bus, Receipt, Trouble},
    measures,
};
use crate::{
    domain::queue::Queue,
    error::Result,
    fault::{self, Mechanism, Point},
    store::{Lead, Store},
};

/// Rows taken back in one transaction.
const PAGE: u32 = 500;
/// Entries of the log dropped in one transaction.
const TRIMMED: u32 = 1_000;
/// Ended jobs stay where they can be asked for a while.
const ARCHIVE_AFTER: Duration = Duration::from_secs(600);
/// How often the one that leads counts what is in the queues.
const MEASURED: Duration = Duration::from_secs(5);
/// A consumer that held nothing for so long belongs to a process that is gone.
const GONE: Duration = Duration::from_secs(600);

pub(super) struct Sweeper {
    pub(super) store: Store,
    pub(super) bus: Arc<Bus>,
    pub(super) lead: Lead,
    pub(super) lease: Duration,
    /// Queues whose tickets were fewer than their dispatched rows at the last look, and by whose count.
    pub(super) suspect: HashMap<Queue, u64>,
    /// How long ended jobs stay in the log.
    pub(super) log_kept: TimeDelta,
    /// When the queues were counted last; `None` while another process does.
    pub(super) measured: Option<Instant>,
}

impl Sweeper {
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval((self.lease / 10).min(Duration::from_secs(1)));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut count: u64 = 0;
        let mut tidy_at: u64 = 0;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = tick.tick() => {}
            }
            let (led, _) = self.lead.renew().await;
            if led.is_empty() {
                if self.measured.take().is_some() {
                    measures::depth_elsewhere();
                }
                continue;
            }
            if let Err(error) = self.sweep().await {
                tracing::warn!(%error, "cannot sweep jobs");
            }
            if let Err(trouble) = self.tend(count).await {
                tracing::debug!(error = %trouble, "cannot tend the tickets");
            }
            if self.measured.is_none_or(|measured| measured.elapsed() >= MEASURED) {
                self.measure().await;
            }
            if count >= tidy_at {
                let more = self.tidy().await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "cannot tidy the log of jobs");
                    false
                });
                // A backlog goes a piece at every tick, so that leases are still looked after.
                tidy_at = count + if more { 1 } else { 60 };
            }
            if count.is_multiple_of(10)
                && let Err(error) = self.archive().await
            {
                tracing::warn!(%error, "cannot archive jobs");
            }
            count += 1;
        }
        self.lead.step_down().await;
    }

    /// Leases that ran out.
    async fn sweep(&self) -> Result<()> {
        if fault::without(Mechanism::Sweeper) {
            return Ok(());
        }
        loop {
            let swept = self.store.system().sweep(PAGE).await?;
            if swept == Default::default() {
                return Ok(());
            }
            metrics::counter!("switchboard_jobs_reaped_total").increment(swept.undelivered);
            metrics::counter!("switchboard_jobs_lease_expired_total").increment(swept.abandoned);
            metrics::counter!("switchboard_jobs_crash_quarantined_total")
                .increment(swept.quarantined.len() as u64);
            tracing::info!(
                undelivered = swept.undelivered,
                abandoned = swept.abandoned,
                quarantined = swept.quarantined.len(),
                "leases of jobs ran out"
            );
            metrics::counter!("switchboard_jobs_dead_total", "why" => "crashes")
                .increment(swept.quarantined.len() as u64);
            for (tenant, job) in &swept.quarantined {
                tracing::error!(%tenant, %job, "a job took its worker down too often; it is dead");
            }
            self.store.tell_ready(&swept.opened);
        }
    }

    async fn archive(&self) -> Result<()> {
        loop {
            let archived = self.store.system().archive_jobs(ARCHIVE_AFTER).await?;
            metrics::counter!("switchboard_jobs_archived_total").increment(archived);
            if archived == 0 {
                return Ok(());
            }
        }
    }

    /// The log's partitions, dead jobs that are too old, entries that are: a bounded piece; says whether there is
    /// more.
    async fn tidy(&self) -> Result<bool> {
        let system = self.store.system();
        system.make_log_partitions().await?;
        let archived = system.archive_dead().await?;
        metrics::counter!("switchboard_jobs_archived_total").increment(archived);
        Ok(system.trim_job_log(self.log_kept, TRIMMED).await? || archived > 0)
    }

    async fn measure(&mut self) {
        self.measured = Some(Instant::now());
        match self.store.system().queue_stats().await {
            Ok(stats) => measures::depth(&stats),
            Err(error) => tracing::debug!(%error, "cannot count what is in the queues"),
        }
    }

    async fn tend(&mut self, count: u64) -> Result<(), Trouble> {
        if !matches!(*self.bus, Bus::Redis(_)) {
            return Ok(());
        }
        for queue in Queue::ALL {
            let looks = count == 0 || !fault::without(Mechanism::GenerationCheck);
            if looks && !self.bus.intact(queue).await? {
                self.rebuild(queue).await?;
            }
            self.bus.promote(queue).await?;
            if count.is_multiple_of(5) {
                self.reclaim(queue).await?;
            }
            if count.is_multiple_of(10) {
                self.compare(queue).await?;
            }
            if count.is_multiple_of(60) {
                self.bus.collect_garbage(queue, GONE).await?;
            }
        }
        Ok(())
    }

    /// Redis was emptied. The rows are made ready first: until the generation is there again nobody can
    /// publish, so none of the new tickets is taken for an old one.
    async fn rebuild(&self, queue: Queue) -> Result<(), Trouble> {
        match self.store.system().readmit_queue(queue).await {
            Ok(readmitted) => {
                fault::point(Point::SweeperBeforeEnsure).await?;
                self.bus.ensure(queue).await?;
                metrics::counter!("switchboard_jobs_gen_republish_total").increment(readmitted);
                if readmitted > 0 {
                    tracing::warn!(queue = queue.name(), readmitted, "tickets were lost and are issued anew");
                }
            }
            Err(error) => tracing::warn!(%error, "cannot issue lost tickets anew yet"),
        }
        Ok(())
    }

    /// Tickets of workers that are gone. A row that was started has its own lease; one that was not is
    /// ready again.
    async fn reclaim(&self, queue: Queue) -> Result<(), Trouble> {
        let found = self.bus.reclaim(queue, self.lease).await?;
        if found.is_empty() {
            return Ok(());
        }
        let (tickets, receipts): (Vec<_>, Vec<Option<Receipt>>) =
            found.into_iter().map(|delivery| (delivery.ticket, delivery.receipt)).unzip();
        match self.store.system().unadmit(&tickets).await {
            Ok(_) => self.bus.ack(&receipts.into_iter().flatten().collect::<Vec<_>>()).await?,
            Err(error) => tracing::warn!(%error, "cannot take tickets back yet"),
        }
        Ok(())
    }

    /// More dispatched rows than tickets, twice in a row: some were lost without a trace, as a failover to
    /// a replica that was behind does.
    async fn compare(&mut self, queue: Queue) -> Result<(), Trouble> {
        let dispatched = match self.store.system().dispatched(queue).await {
            Ok(dispatched) => dispatched,
            Err(error) => {
                tracing::debug!(%error, "cannot count dispatched jobs");
                return Ok(());
            }
        };
        let depth = self.bus.depth(queue).await?;
        if dispatched <= depth.tickets + depth.snoozed {
            self.suspect.remove(&queue);
        } else if self.suspect.insert(queue, dispatched).is_some() {
            self.suspect.remove(&queue);
            tracing::warn!(queue = queue.name(), dispatched, ?depth, "fewer tickets than dispatched jobs");
            if let Err(error) = self.store.system().readmit_queue(queue).await {
                tracing::warn!(%error, "cannot issue lost tickets anew yet");
            }
        }
        Ok(())
    }
}
