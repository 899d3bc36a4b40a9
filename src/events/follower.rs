//! One reader's way along a tenant's log: from its cursor through the table, then live, with no gap
//! and no repetition whatever the hub drops.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{Hub, Told, hub::Live};
use crate::{
    auth::TenantScope,
    error::{Error, Result},
    store::{
        Store,
        events::{EventFilter, Head, LoggedEvent},
    },
};

/// Entries read from the table at once.
const PAGE: u64 = 200;
/// How many events a client may be behind that was up to date before: one that does not take them is let go,
/// and comes back with its cursor when it can.
pub const PATIENCE: i64 = 2_000;
/// A silent connection says so this often.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What a reader gets next.
#[derive(Debug)]
pub enum Step {
    Event(Arc<Told>),
    /// Nothing for a while; the newest number of the tenant, as of a second ago.
    Heartbeat(i64),
}

/// A reader of one tenant's log.
pub struct Follower {
    store: Store,
    hub: Hub,
    scope: TenantScope,
    filter: EventFilter,
    live: Receiver<Live>,
    /// The number of the last entry delivered or passed over.
    seq: i64,
    page: VecDeque<Arc<Told>>,
    /// The table may hold entries after `seq` that the hub will not repeat.
    behind: bool,
    /// The reader had everything once: from then on it is the client that decides how far behind it is.
    current: bool,
    heartbeat: tokio::time::Interval,
}

impl Follower {
    /// Follows from `after`, or from now on.
    ///
    /// # Errors
    /// [`Error::OffLog`] for a cursor from behind which the log is gone, and for one past its end: that
    /// belongs to another log.
    pub async fn start(
        store: Store,
        hub: &Hub,
        scope: TenantScope,
        after: Option<i64>,
        filter: EventFilter,
    ) -> Result<Self> {
        // Listen first: what is numbered from here on arrives on `live`, what came before is in the table.
        let live = hub.listen(&store, &scope);
        let turn = hub.turn().await;
        let head = store.of(scope.clone()).events().head().await?;
        drop(turn);
        let seq = after.unwrap_or(head.newest);
        head.admit(seq)?;
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.reset();
        let behind = seq < head.newest;
        let page = VecDeque::new();
        let hub = hub.clone();
        Ok(Self { store, hub, scope, filter, live, seq, page, behind, current: !behind, heartbeat })
    }

    /// Waits for what comes next.
    ///
    /// # Errors
    /// [`Error::TooSlow`] when the client did not take what happened; [`Error::OffLog`] when what it has not
    /// taken was dropped.
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
    fn take(&mut self, event: Arc<Told>) {
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
        let hub = self.hub.clone();
        let _turn = hub.turn().await;
        let db = self.store.of(self.scope.clone());
        // The head first: entries up to it that the filter leaves out are passed over for good.
        let head @ Head { newest, .. } = db.events().head().await?;
        head.admit(self.seq)?;
        if self.current && newest - self.seq > PATIENCE {
            metrics::counter!("switchboard_event_subscribers_dropped_total").increment(1);
            return Err(Error::TooSlow);
        }
        if let Some(recent) = self.hub.recent(self.scope.tenant(), self.seq, PAGE).await {
            let last = recent.last().and_then(|event| event.seq).unwrap_or(self.seq);
            self.page.extend(recent.into_iter().filter(|event| self.filter.admits(event)).map(share));
            self.seq = last;
        } else {
            let (Head { newest, .. }, found) = db.events().page(self.seq, &self.filter, PAGE).await?;
            let full = u64::try_from(found.len()).unwrap_or(u64::MAX) >= PAGE;
            let last = found.last().and_then(|event| event.seq).unwrap_or(self.seq);
            self.seq = if full { last } else { newest.max(last) };
            self.page.extend(found.into_iter().map(share));
        }
        self.behind = self.seq < newest;
        self.current |= !self.behind;
        Ok(())
    }
}

fn share(event: LoggedEvent) -> Arc<Told> {
    Arc::new(event.into())
}
