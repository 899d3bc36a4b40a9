//! Where tickets wait for workers: Redis Streams, or the memory of this process. Either may lose, double
//! or delay them; the record repairs what is lost and the start fence refuses what is double.

use std::time::Duration;

use super::{bus_local::LocalBus, bus_redis::RedisBus};
use crate::{
    domain::queue::Queue,
    fault::{self, Point},
    store::jobs::Ticket,
};

/// A ticket as a worker got it.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub ticket: Ticket,
    /// What is to be acknowledged; the memory of this process needs none.
    pub receipt: Option<Receipt>,
}

/// An entry of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    pub queue: Queue,
    pub lane: usize,
    pub id: String,
}

/// Why the bus did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Redis was emptied: everything dispatched has to be dispatched anew.
    #[error("the tickets were lost")]
    NoGeneration,
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Redis(error.into())
    }
}

/// How many tickets there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Waiting or in a worker's hands.
    pub tickets: u64,
    pub snoozed: u64,
}

/// Redis Streams, or the memory of this process.
#[expect(clippy::large_enum_variant, reason = "a process has a handful of them")]
pub enum Bus {
    Redis(RedisBus),
    Local(LocalBus),
}

impl Bus {
    /// Adds tickets while there is room for `cap`; returns those that found none.
    pub async fn publish(
        &self,
        queue: Queue,
        tickets: Vec<Ticket>,
        cap: usize,
    ) -> (Vec<Ticket>, Option<Trouble>) {
        if let Err(error) = fault::point(Point::RelayBeforePublish).await {
            return (tickets, Some(error.into()));
        }
        let all = if cfg!(debug_assertions) { tickets.clone() } else { Vec::new() };
        let answer = match self {
            Self::Redis(bus) => bus.publish(queue, tickets, cap).await,
            Self::Local(bus) => (bus.publish(queue, tickets, cap), None),
        };
        match fault::point(Point::RelayAfterPublish).await {
            Ok(()) => answer,
            Err(error) => (all, Some(error.into())),
        }
    }

    /// Waits until it is worth asking for tickets. Redis is asked at once: its answer is the wait.
    pub async fn arrival(&self, queue: Queue) {
        if let Self::Local(bus) = self {
            bus.arrival(queue).await;
        }
    }

    /// Waits up to `wait` for tickets; at most `most`.
    pub async fn fetch(&self, queue: Queue, most: usize, wait: Duration) -> Result<Vec<Delivery>, Trouble> {
        match self {
            Self::Redis(bus) => bus.fetch(queue, most, wait).await,
            Self::Local(bus) => Ok(bus.fetch(queue, most, wait).await),
        }
    }

    /// Forgets delivered tickets, for good.
    pub async fn ack(&self, receipts: &[Receipt]) -> Result<(), Trouble> {
        match self {
            Self::Redis(bus) => bus.ack(receipts).await,
            Self::Local(_) => Ok(()),
        }
    }

    /// Says that delivered tickets are still being worked on.
    pub async fn touch(&self, receipts: &[Receipt]) -> Result<(), Trouble> {
        match self {
            Self::Redis(bus) => bus.touch(receipts).await,
            Self::Local(_) => Ok(()),
        }
    }

    /// Has a ticket come again after `pause`, without asking the database.
    pub async fn snooze(&self, queue: Queue, delivery: Delivery, pause: Duration) -> Result<(), Trouble> {
        match self {
            Self::Redis(bus) => bus.snooze(delivery, pause).await,
            Self::Local(bus) => {
                bus.snooze(queue, delivery.ticket, pause);
                Ok(())
            }
        }
    }

    /// Brings back what was snoozed and is due.
    pub async fn promote(&self, queue: Queue) -> Result<u64, Trouble> {
        match self {
            Self::Redis(bus) => bus.promote(queue).await,
            Self::Local(_) => Ok(0),
        }
    }

    /// Deliveries that nobody touched for `idle`: their worker is gone.
    pub async fn reclaim(&self, queue: Queue, idle: Duration) -> Result<Vec<Delivery>, Trouble> {
        match self {
            Self::Redis(bus) => bus.reclaim(queue, idle).await,
            Self::Local(_) => Ok(Vec::new()),
        }
    }

    /// Whether the queue's tickets are where they were left.
    pub async fn intact(&self, queue: Queue) -> Result<bool, Trouble> {
        match self {
            Self::Redis(bus) => bus.intact(queue).await,
            Self::Local(_) => Ok(true),
        }
    }

    /// Makes what is missing. Until then nothing can be published.
    pub async fn ensure(&self, queue: Queue) -> Result<(), Trouble> {
        match self {
            Self::Redis(bus) => bus.ensure(queue).await,
            Self::Local(_) => Ok(()),
        }
    }

    pub async fn depth(&self, queue: Queue) -> Result<Depth, Trouble> {
        match self {
            Self::Redis(bus) => bus.depth(queue).await,
            Self::Local(bus) => Ok(bus.depth(queue)),
        }
    }

    /// Removes consumers that were idle for so long and hold nothing.
    pub async fn collect_garbage(&self, queue: Queue, idle: Duration) -> Result<u64, Trouble> {
        match self {
            Self::Redis(bus) => bus.collect_garbage(queue, idle).await,
            Self::Local(_) => Ok(0),
        }
    }

    /// Whether there is room for anything at all.
    pub async fn takes_more(&self) -> bool {
        match self {
            Self::Redis(bus) => bus.takes_more().await,
            Self::Local(_) => true,
        }
    }

    /// For how long it has not answered.
    pub fn away(&self) -> Duration {
        match self {
            Self::Redis(bus) => bus.away(),
            Self::Local(_) => Duration::ZERO,
        }
    }
}
