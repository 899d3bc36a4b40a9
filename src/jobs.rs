//! Background work: the database remembers, tickets dispatch.
//!
//! A job row commits with its cause. A relay admits ready rows, fairly among tenants, and hands out
//! tickets; a worker starts a job only while its ticket's epoch is the row's; a completer records
//! outcomes in batches. Three rules carry it: the row is the only record; commit comes before publish
//! and before ack; every change after dispatch names its epoch.

mod context;
mod job;

pub use context::Context;
pub use job::{Backoff, Failure, Job, Terms, enqueue};

pub use crate::domain::queue::Queue;
