//! The record of background work: the job row is the promise, the outbox and the only truth. Redis holds
//! tickets to it, which may be lost, doubled, late or out of order, and nothing breaks.
//!
//! Every change of a job after its dispatch names the epoch it belongs to; whoever holds an older one
//! changes no row.

mod enqueue;
mod sql;

pub use enqueue::{LONGEST_PAYLOAD, NewJob};
