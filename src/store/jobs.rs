//! The record of background work: the job row is the promise, the outbox and the only truth. Redis holds
//! tickets to it, which may be lost, doubled, late or out of order, and nothing breaks.
//!
//! Every change of a job after its dispatch names the epoch it belongs to; whoever holds an older one
//! changes no row.

mod admit;
mod archive;
mod cron;
mod effect;
mod enqueue;
mod finish;
mod gate;
mod lease;
mod log;
mod look;
mod redrive;
mod sql;
mod start;
mod stats;
mod sweep;
mod weight;

pub use admit::Ready;
pub use cron::{Cron, Crons, Fired, NewCron};
pub use effect::Recorded;
pub use enqueue::{LONGEST_PAYLOAD, NewJob};
pub use finish::{Ending, Finished, Outcome};
pub use log::{LogFilter, LogPlace, Logged};
pub use look::{JobFilter, JobRow, LOOKED_THROUGH, Place};
pub use redrive::{MOST_REDRIVEN, Redriven};
pub use start::{Held, Started};
pub use stats::{COUNTED, Pause, QueueStats};
pub use sweep::Swept;

use super::{Hint, Store};
use crate::{
    domain::queue::Queue,
    id::{JobId, TenantId},
};

/// Leases lost while running after which a job is taken for one that kills its process: it is started once
/// more, to say that it is dead.
pub const MOST_CRASHES: i16 = 3;

/// The right to run a job once: one dispatch of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub tenant: TenantId,
    pub job: JobId,
    /// Grows with each dispatch: the fencing token.
    pub epoch: i32,
    pub kind: String,
}

/// The values of `job.state`.
mod state {
    pub(super) const READY: i16 = 0;
    pub(super) const DONE: i16 = 3;
    pub(super) const DEAD: i16 = 4;
    pub(super) const CANCELLED: i16 = 5;
    pub(super) const BLOCKED: i16 = 6;
}

impl Store {
    /// Tells the relay of this process whose queues have new ready jobs.
    pub fn tell_ready(&self, opened: &[(TenantId, Queue)]) {
        for (tenant, queue) in opened {
            self.hints().tell(Hint { tenant: *tenant, events: false, queues: queue.bit() });
        }
    }
}
