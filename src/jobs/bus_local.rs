//! Tickets in the memory of this process: bounded, gone with it. A restart is what a flushed Redis is.

mod line;

use std::{sync::Arc, time::Duration};

use self::line::Line;
use super::bus::{Delivery, Depth};
use crate::{domain::queue::Queue, store::jobs::Ticket};

/// One bounded line a queue.
#[derive(Default)]
pub struct LocalBus {
    lines: [Arc<Line<Ticket>>; Queue::ALL.len()],
}

impl LocalBus {
    fn line(&self, queue: Queue) -> &Arc<Line<Ticket>> {
        &self.lines[usize::from(queue.number().unsigned_abs())]
    }

    pub(super) fn publish(&self, queue: Queue, tickets: Vec<Ticket>, cap: usize) -> Vec<Ticket> {
        self.line(queue).push(tickets, cap)
    }

    pub(super) async fn arrival(&self, queue: Queue) {
        self.line(queue).arrival().await;
    }

    pub(super) async fn fetch(&self, queue: Queue, most: usize, wait: Duration) -> Vec<Delivery> {
        let taken = tokio::time::timeout(wait, self.line(queue).take(most)).await;
        taken.unwrap_or_default().into_iter().map(|ticket| Delivery { ticket, receipt: None }).collect()
    }

    pub(super) fn snooze(&self, queue: Queue, ticket: Ticket, pause: Duration) {
        let line = self.line(queue).clone();
        line.put_aside();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            line.bring_back(ticket);
        });
    }

    /// Takes all that waits: it is to be returned to the record.
    pub(super) fn empty(&self, queue: Queue) -> Vec<Ticket> {
        self.line(queue).empty()
    }

    pub(super) fn depth(&self, queue: Queue) -> Depth {
        let (tickets, snoozed) = self.line(queue).depth();
        Depth { tickets, snoozed }
    }
}
