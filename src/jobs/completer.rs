//! The completer: records what workers report, in batches, and acknowledges tickets once that is on disk.

mod batch;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::sync::{Notify, mpsc};

use super::bus::{Bus, Receipt, Trouble};
use crate::{
    error::{Error, Result},
    fault::{self, Mechanism, Point},
    store::{
        Store,
        jobs::{Finished, Outcome},
    },
};

/// Results in one transaction.
const BATCH: usize = 256;
/// How long the first of them waits for company.
const GATHER: Duration = Duration::from_millis(5);
/// Results that may wait; then workers wait with them.
pub(super) const BACKLOG: usize = 10_000;

/// What a worker has to report about one ticket.
pub(super) struct Report {
    /// `None` when there is nothing to record: the ticket was stale.
    pub(super) outcome: Option<Outcome>,
    pub(super) receipt: Option<Receipt>,
}

pub(super) struct Completer {
    pub(super) store: Store,
    pub(super) bus: Arc<Bus>,
    /// Told after each batch: there is room for more.
    pub(super) progress: Arc<Notify>,
}

impl Completer {
    /// Runs until all senders are gone and everything is recorded.
    pub(super) async fn run(self, mut reports: mpsc::Receiver<Report>) {
        while let Some(batch) = batch::next(&mut reports, BATCH, || tokio::time::sleep(GATHER)).await {
            metrics::gauge!("switchboard_jobs_completer_backlog")
                .set(i32::try_from(reports.len()).unwrap_or(0));
            self.complete(batch).await;
        }
    }

    async fn complete(&self, batch: Vec<Report>) {
        let (mut outcomes, mut receipts) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for report in batch {
            outcomes.extend(report.outcome);
            receipts.extend(report.receipt);
        }
        if fault::without(Mechanism::AckAfterCommit) {
            self.ack(&std::mem::take(&mut receipts)).await;
        }
        if !outcomes.is_empty() {
            self.record(outcomes).await;
            self.progress.notify_one();
        }
        self.ack(&receipts).await;
    }

    /// Not acknowledged is not lost: the ticket comes again, and the fence refuses it.
    async fn ack(&self, receipts: &[Receipt]) {
        let acknowledge = async {
            fault::point(Point::CompleterBeforeAck).await?;
            self.bus.ack(receipts).await?;
            fault::point(Point::CompleterAfterAck).await?;
            Ok::<_, Trouble>(())
        };
        if !receipts.is_empty()
            && let Err(error) = acknowledge.await
        {
            tracing::warn!(%error, tickets = receipts.len(), "cannot acknowledge tickets");
        }
    }

    async fn record(&self, outcomes: Vec<Outcome>) {
        let mut pause = Duration::from_millis(50);
        for attempt in 1.. {
            match self.finish(&outcomes).await {
                Ok(finished) => return self.tell(&outcomes, &finished),
                // The database answers, and does not like this batch.
                Err(error @ Error::Internal(_)) if attempt > 3 => {
                    tracing::error!(%error, "cannot record a batch of jobs; trying them one by one");
                    break;
                }
                Err(error) => {
                    tracing::warn!(%error, jobs = outcomes.len(), "cannot record jobs yet; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
            }
        }
        for outcome in outcomes {
            let one = [outcome];
            match self.finish(&one).await {
                Ok(finished) => self.tell(&one, &finished),
                Err(error) => {
                    tracing::error!(%error, job = %one[0].ticket.job, "cannot record a job; its lease will end");
                }
            }
        }
    }

    /// Whatever a result does to the database driver must not end the completer.
    async fn finish(&self, outcomes: &[Outcome]) -> Result<Finished> {
        fault::point(Point::CompleterBeforeCommit).await.map_err(Error::unavailable)?;
        let system = self.store.system();
        let done = AssertUnwindSafe(system.finish(outcomes)).catch_unwind().await;
        done.unwrap_or_else(|_| Err(Error::internal(anyhow::anyhow!("recording panicked"))))
    }

    fn tell(&self, outcomes: &[Outcome], finished: &Finished) {
        let fenced = outcomes.len().saturating_sub(finished.recorded.len());
        if fenced > 0 {
            metrics::counter!("switchboard_jobs_fenced_completion_total").increment(fenced as u64);
            tracing::info!(fenced, "results of jobs that another worker holds by now were dropped");
        }
        self.store.tell_ready(&finished.opened);
    }
}
