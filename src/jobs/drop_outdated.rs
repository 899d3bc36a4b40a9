//! Drops what is of no use any more.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Context, Failure, Job, Queue};

/// Rows of one kind in one transaction.
const PIECE: u32 = 1_000;
/// A backlog that takes longer is for the next run.
const LONGEST: Duration = Duration::from_secs(240);

/// Drops what is over, see `store::SystemDb::{drop_outdated, trim_events}`, in short transactions until nothing is left. Two at
/// once share the work; one that is broken off did the pieces that it did.
#[derive(Debug, Serialize, Deserialize)]
pub struct DropOutdated {}

impl Job for DropOutdated {
    const NAME: &'static str = "drop_outdated";
    const QUEUE: Queue = Queue::Sys;
    const TIMEOUT: Duration = Duration::from_secs(300);
    // The schedule brings the next one.
    const MAX_TRIES: i16 = 3;

    #[tracing::instrument(skip_all)]
    async fn run(&self, cx: &Context) -> Result<(), Failure> {
        let begin = Instant::now();
        let system = cx.store.system();
        loop {
            // One that cannot go now must not keep the other.
            let events = system.trim_events(PIECE).await;
            let more = system.drop_outdated(PIECE).await? | events?;
            if !more || begin.elapsed() >= LONGEST || cx.cancelled.is_cancelled() {
                return Ok(());
            }
        }
    }
}
