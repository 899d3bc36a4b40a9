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

/// Everybody in this process who listens for commits.
#[derive(Clone)]
pub struct Hints(broadcast::Sender<Hint>);

impl Default for Hints {
    fn default() -> Self {
        Self(broadcast::Sender::new(1024))
    }
}

impl Hints {
    pub fn listen(&self) -> broadcast::Receiver<Hint> {
        self.0.subscribe()
    }

    pub fn tell(&self, hint: Hint) {
        // Nobody may be listening: an api-only process.
        drop(self.0.send(hint));
    }
}
