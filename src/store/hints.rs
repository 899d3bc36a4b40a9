//! Wake-ups: told after a commit, so that relay and sequencer need not wait for their next look.
//! A hint may be lost; every reader also polls.

use tokio::sync::broadcast;

use crate::id::TenantId;

/// What a commit left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    pub tenant: TenantId,
    /// Events wait for their sequence numbers.
    pub events: bool,
    /// Queues (by bit, see `jobs`) that hold new ready jobs.
    pub queues: u16,
}

impl Hint {
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
}

impl Default for Hints {
    fn default() -> Self {
        Self { all: broadcast::Sender::new(1024), own: broadcast::Sender::new(1024) }
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

    /// Another process committed something.
    pub fn pass_on(&self, hint: Hint) {
        drop(self.all.send(hint));
    }
}
