//! Tickets in the memory of this process: bounded, gone with it. A restart is what a flushed Redis is.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::bus::{Delivery, Depth};
use crate::{domain::queue::Queue, store::jobs::Ticket};

/// One bounded line a queue.
#[derive(Default)]
pub struct LocalBus {
    lines: [Arc<Line>; Queue::ALL.len()],
}

#[derive(Default)]
struct Line {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    tickets: VecDeque<Ticket>,
    snoozed: u64,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A queue cannot be left half pushed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocalBus {
    fn line(&self, queue: Queue) -> &Arc<Line> {
        &self.lines[usize::from(queue.number().unsigned_abs())]
    }

    pub(super) fn publish(&self, queue: Queue, mut tickets: Vec<Ticket>, cap: usize) -> Vec<Ticket> {
        let line = self.line(queue);
        let rest = {
            let mut waiting = line.lock();
            let room = cap.saturating_sub(waiting.tickets.len()).min(tickets.len());
            let rest = tickets.split_off(room);
            waiting.tickets.extend(tickets);
            rest
        };
        line.arrived.notify_one();
        rest
    }

    pub(super) async fn arrival(&self, queue: Queue) {
        let line = self.line(queue);
        while line.lock().tickets.is_empty() {
            line.arrived.notified().await;
        }
    }

    pub(super) async fn fetch(&self, queue: Queue, most: usize, wait: Duration) -> Vec<Delivery> {
        let line = self.line(queue);
        let until = Instant::now() + wait;
        loop {
            let taken: Vec<_> = {
                let mut waiting = line.lock();
                let count = most.min(waiting.tickets.len());
                waiting.tickets.drain(..count).map(|ticket| Delivery { ticket, receipt: None }).collect()
            };
            // A notification is kept when nobody waits, so nothing is missed between look and wait.
            if !taken.is_empty() || tokio::time::timeout_at(until, line.arrived.notified()).await.is_err() {
                return taken;
            }
        }
    }

    pub(super) fn snooze(&self, queue: Queue, ticket: Ticket, pause: Duration) {
        let line = self.line(queue).clone();
        line.lock().snoozed += 1;
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            {
                let mut waiting = line.lock();
                waiting.snoozed -= 1;
                waiting.tickets.push_back(ticket);
            }
            line.arrived.notify_one();
        });
    }

    /// Takes all that waits: it is to be returned to the record.
    pub(super) fn empty(&self, queue: Queue) -> Vec<Ticket> {
        self.line(queue).lock().tickets.drain(..).collect()
    }

    pub(super) fn depth(&self, queue: Queue) -> Depth {
        let waiting = self.line(queue).lock();
        Depth { tickets: waiting.tickets.len() as u64, snoozed: waiting.snoozed }
    }
}
