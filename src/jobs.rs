//! Background work: the database remembers, tickets dispatch.
//!
//! A job row commits with its cause. A relay admits ready rows, fairly among tenants, and hands out
//! tickets; a worker starts a job only while its ticket's epoch is the row's; a completer records
//! outcomes in batches. Three rules carry it: the row is the only record; commit comes before publish
//! and before ack; every change after dispatch names its epoch.

mod begun;
pub mod bus;
mod bus_local;
mod bus_redis;
mod completer;
pub mod connect_channel;
mod context;
pub mod cron;
pub mod draft_reply;
pub mod drop_outdated;
mod effect;
mod engine;
mod fair;
mod job;
pub mod measures;
pub mod outbound;
mod progress;
mod registry;
mod relay;
pub mod reply;
mod running;
pub mod send_message;
mod sweeper;
mod ticket;
mod worker;

pub use begun::Begun;
pub use bus_local::LocalBus;
pub use bus_redis::RedisBus;
pub use context::{Context, Parts};
pub use effect::{Effect, Intent, Policy};
pub use engine::{Engine, EngineHandle, EngineSettings, Slots};
pub use job::{Backoff, Failure, Job, Terms, enqueue};
pub use progress::Progress;
pub use registry::Registry;

pub use crate::domain::queue::Queue;
