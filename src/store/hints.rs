//! Wake-ups: told after a commit, so that relay and sequencer need not wait for their next look.
//! A hint may be lost; every reader also polls.

use std::sync::Arc;

use tokio::sync::{Notify, broadcast};

use crate::id::TenantId;

/// What a commit left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    pub tenant: TenantId,
    /// Events wait for their sequence numbers.
    pub events: bool,
    /// Queues (by bit, see `jobs`) that hold new ready jobs; and [`Hint::SCHEDULES`].
    pub queues: u16,
}

impl Hint {
    /// A bit beside those of the queues: a schedule changed.
    pub const SCHEDULES: u16 = 1 << 14;

    /// Adds this to `hints`, which hold one entry a tenant: a hint says where to look, not how often.
    pub fn join(self, hints: &mut Vec<Self>) {
        match hints.iter_mut().find(|known| known.tenant == self.tenant) {
            Some(known) => {
                known.events |= self.events;
                known.queues |= self.queues;
            }
            None => hints.push(self),
        }
    }
}

/// Everybody in this process who listens for commits: its own, and those that other processes tell of.
#[derive(Clone)]
pub struct Hints {
    all: broadcast::Sender<Hint>,
    own: broadcast::Sender<Hint>,
    schedules: Arc<Notify>,
}

impl Default for Hints {
    fn default() -> Self {
        Self {
            all: broadcast::Sender::new(1024),
            own: broadcast::Sender::new(1024),
            schedules: Arc::default(),
        }
    }
}

impl Hints {
    /// Commits of all processes.
    pub fn listen(&self) -> broadcast::Receiver<Hint> {
        self.all.subscribe()
    }

    /// Commits of this process alone: what others are to be told.
    pub fn listen_own(&self) -> broadcast::Receiver<Hint> {
        self.own.subscribe()
    }

    /// This process committed something.
    pub fn tell(&self, hint: Hint) {
        // Nobody may be listening: an api-only process.
        drop(self.own.send(hint));
        self.pass_on(hint);
    }

    /// Waits until a process changed a schedule. One listener is woken: whoever looks does it for all.
    pub async fn rescheduled(&self) {
        self.schedules.notified().await;
    }

    /// Another process committed something.
    pub fn pass_on(&self, hint: Hint) {
        if hint.queues & Hint::SCHEDULES != 0 {
            self.schedules.notify_one();
        }
        drop(self.all.send(hint));
    }
}
