//! One reader's way along a tenant's log: from its cursor through the table, then live, with no gap
//! and no repetition whatever the hub drops.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{Hub, hub::Live};
use crate::{
    auth::TenantScope,
    error::{Error, Result},
    store::{
        Store,
        events::{EventFilter, LoggedEvent},
    },
};

/// Entries read from the table at once.
const PAGE: u64 = 200;
/// A silent connection says so this often.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What a reader gets next.
#[derive(Debug)]
pub enum Step {
    Event(Arc<LoggedEvent>),
    /// Nothing for a while; the newest number of the tenant, as of a second ago.
    Heartbeat(i64),
}

/// A reader of one tenant's log.
pub struct Follower {
    store: Store,
    scope: TenantScope,
    filter: EventFilter,
    live: Receiver<Live>,
    /// The number of the last entry delivered or passed over.
    seq: i64,
    page: VecDeque<Arc<LoggedEvent>>,
    /// The table may hold entries after `seq` that the hub will not repeat.
    behind: bool,
    heartbeat: tokio::time::Interval,
}

impl Follower {
    /// Follows from `after`, or from now on. A cursor past the end of the log is refused: it belongs to
    /// another log.
    pub async fn start(
        store: Store,
        hub: &Hub,
        scope: TenantScope,
        after: Option<i64>,
        filter: EventFilter,
    ) -> Result<Self> {
        // Listen first: what is numbered from here on arrives on `live`, what came before is in the table.
        let live = hub.listen(&store, &scope);
        let newest = store.of(scope.clone()).events().newest().await?;
        let seq = after.unwrap_or(newest);
        if seq > newest {
            return Err(Error::rejected(
                "SNAPSHOT_REQUIRED",
                "the cursor is not of this log; read the state anew",
            ));
        }
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.reset();
        Ok(Self { store, scope, filter, live, seq, page: VecDeque::new(), behind: seq < newest, heartbeat })
    }

    /// Waits for what comes next.
    pub async fn next(&mut self) -> Result<Step> {
        loop {
            if let Some(event) = self.page.pop_front() {
                self.heartbeat.reset();
                return Ok(Step::Event(event));
            }
            if self.behind {
                self.read().await?;
                continue;
            }
            tokio::select! {
                live = self.live.recv() => match live {
                    Ok(Live::Event(event)) => self.take(event),
                    Ok(Live::Head(newest)) => self.behind = newest > self.seq,
                    Err(RecvError::Lagged(_)) => self.behind = true,
                    Err(RecvError::Closed) => return Err(Error::unavailable(anyhow::anyhow!("the hub closed"))),
                },
                // Not behind: everything up to here was delivered or passed over.
                _ = self.heartbeat.tick() => return Ok(Step::Heartbeat(self.seq)),
            }
        }
    }

    /// An event from the hub: the next one, one we have, or a sign that we missed some.
    fn take(&mut self, event: Arc<LoggedEvent>) {
        let seq = event.seq.unwrap_or_default();
        if seq == self.seq + 1 {
            self.seq = seq;
            if self.filter.admits(&event) {
                self.page.push_back(event);
            }
        } else if seq > self.seq {
            self.behind = true;
        }
    }

    async fn read(&mut self) -> Result<()> {
        let db = self.store.of(self.scope.clone());
        // Read the head first: entries up to it that the filter leaves out are passed over for good.
        let newest = db.events().newest().await?;
        let found = db.events().after(self.seq, &self.filter, PAGE).await?;
        let full = u64::try_from(found.len()).unwrap_or(u64::MAX) >= PAGE;
        let last = found.last().and_then(|event| event.seq);
        self.seq = if full { last.unwrap_or(newest) } else { newest.max(last.unwrap_or(newest)) };
        self.behind = full;
        self.page.extend(found.into_iter().map(Arc::new));
        Ok(())
    }
}
