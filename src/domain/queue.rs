//! The classes of background work. Each has its own tickets and its own slots, so that a slow class
//! cannot hold up a fast one.

use serde::{Deserialize, Serialize};

/// A class of jobs. The numbers are stored: never renumbered, only added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(i16)]
pub enum Queue {
    /// Messages on their way to customers.
    Send = 0,
    /// Calls of language models.
    Ai = 1,
    /// Questions to providers: "did you get it?", catalogues, number checks.
    Lookup = 2,
    /// Webhooks to tenants' own systems.
    Hook = 3,
    Mail = 4,
    Bill = 5,
    /// Upkeep of the platform itself.
    Sys = 6,
}

impl Queue {
    pub const ALL: [Self; 7] =
        [Self::Send, Self::Ai, Self::Lookup, Self::Hook, Self::Mail, Self::Bill, Self::Sys];

    /// As stored and as named in metrics and Redis keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Ai => "ai",
            Self::Lookup => "lookup",
            Self::Hook => "hook",
            Self::Mail => "mail",
            Self::Bill => "bill",
            Self::Sys => "sys",
        }
    }

    /// As stored in `job.queue`.
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// The queue stored as `number`.
    pub fn of(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.number() == number)
    }

    /// Its place in a set of queues, see `store::Hint`.
    pub const fn bit(self) -> u16 {
        1 << (self as i16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_reads_back_and_bits_are_distinct() {
        let mut seen = 0;
        for queue in Queue::ALL {
            assert_eq!(Queue::of(queue.number()), Some(queue));
            assert_eq!(seen & queue.bit(), 0);
            seen |= queue.bit();
        }
        assert_eq!(Queue::of(7), None);
    }
}
