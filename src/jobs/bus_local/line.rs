//! One line of waiting things: who pushes finds room or not, who takes waits for the next.

use std::collections::VecDeque;

use tokio::sync::Notify;

use self::lock::Mutex;

/// The lock. Tests explore every order in which threads may take it.
mod lock {
    #[cfg(test)]
    pub(super) use shuttle::sync::Mutex;
    #[cfg(not(test))]
    pub(super) use std::sync::Mutex;
}

pub(super) struct Line<T> {
    waiting: Mutex<Waiting<T>>,
    arrived: Notify,
}

struct Waiting<T> {
    things: VecDeque<T>,
    aside: u64,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { waiting: Mutex::new(Waiting { things: VecDeque::new(), aside: 0 }), arrived: Notify::new() }
    }
}

impl<T> Line<T> {
    fn with<R>(&self, change: impl FnOnce(&mut Waiting<T>) -> R) -> R {
        // A queue cannot be left half pushed.
        change(&mut self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Adds what there is room for below `cap`; returns the rest.
    pub(super) fn push(&self, mut things: Vec<T>, cap: usize) -> Vec<T> {
        let rest = self.with(|waiting| {
            let room = cap.saturating_sub(waiting.things.len()).min(things.len());
            let rest = things.split_off(room);
            waiting.things.extend(things);
            rest
        });
        self.arrived.notify_one();
        rest
    }

    /// Resolves when something waits.
    pub(super) async fn arrival(&self) {
        // A notification is kept when nobody waits, so nothing is missed between look and wait.
        while self.with(|waiting| waiting.things.is_empty()) {
            self.arrived.notified().await;
        }
        // Whoever only looked leaves it for who takes.
        self.arrived.notify_one();
    }

    /// Waits for the first things, and takes `most` of them. Nothing is lost when this is dropped.
    pub(super) async fn take(&self, most: usize) -> Vec<T> {
        loop {
            let (taken, more) = self.with(|waiting| {
                let count = most.min(waiting.things.len());
                let taken: Vec<T> = waiting.things.drain(..count).collect();
                (taken, !waiting.things.is_empty())
            });
            if more {
                // One arrival may be many things, and more than one may wait for them.
                self.arrived.notify_one();
            }
            if !taken.is_empty() {
                return taken;
            }
            self.arrived.notified().await;
        }
    }

    /// Something that was taken will come back.
    pub(super) fn put_aside(&self) {
        self.with(|waiting| waiting.aside += 1);
    }

    pub(super) fn bring_back(&self, thing: T) {
        self.with(|waiting| {
            waiting.aside -= 1;
            waiting.things.push_back(thing);
        });
        self.arrived.notify_one();
    }

    /// Takes all that waits, and waits for nothing.
    pub(super) fn empty(&self) -> Vec<T> {
        self.with(|waiting| waiting.things.drain(..).collect())
    }

    /// How many wait, and how many are to come back.
    pub(super) fn depth(&self) -> (u64, u64) {
        self.with(|waiting| (waiting.things.len() as u64, waiting.aside))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shuttle::{check_random, future, thread};

    use super::*;

    /// Orders that each test tries.
    const ORDERS: usize = 2_000;

    /// Two that push, two that take: each thing is taken once, nobody waits for good, the cap holds.
    #[test]
    fn whatever_is_pushed_is_taken_once() {
        check_random(
            || {
                let line = Arc::new(Line::default());
                let takers: Vec<_> = [1, 3]
                    .map(|most| {
                        let line = line.clone();
                        thread::spawn(move || {
                            future::block_on(async {
                                let mut mine = Vec::new();
                                loop {
                                    let taken: Vec<u32> = line.take(most).await;
                                    assert!(taken.len() <= most);
                                    // Zero ends it.
                                    let over = taken.contains(&0);
                                    mine.extend(taken);
                                    if over {
                                        return mine;
                                    }
                                }
                            })
                        })
                    })
                    .into();
                let pushers: Vec<_> = [[1, 2, 3], [4, 5, 6]]
                    .map(|things| {
                        let line = line.clone();
                        thread::spawn(move || {
                            let mut rest = things.to_vec();
                            while !rest.is_empty() {
                                rest = line.push(rest, 2);
                                assert!(line.depth().0 <= 2, "the cap holds");
                                thread::yield_now();
                            }
                        })
                    })
                    .into();
                for pusher in pushers {
                    pusher.join().unwrap();
                }
                // One end for each taker, one after another: the second must not sleep over it.
                let mut ends = vec![0, 0];
                while !ends.is_empty() {
                    ends = line.push(ends, 1);
                    thread::yield_now();
                }
                let mut all: Vec<u32> = takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect();
                all.extend(line.empty());
                all.sort_unstable();
                assert_eq!(all, [0, 0, 1, 2, 3, 4, 5, 6]);
            },
            ORDERS,
        );
    }

    /// One arrival of many things wakes everybody who waits for one of them.
    #[test]
    fn one_push_serves_all_who_wait() {
        check_random(
            || {
                let line = Arc::new(Line::default());
                let takers: Vec<_> = (0..3)
                    .map(|_| {
                        let line = line.clone();
                        thread::spawn(move || future::block_on(line.take(1)))
                    })
                    .collect();
                assert!(line.push(vec![1, 2, 3], 10).is_empty());
                let mut all: Vec<i32> = takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect();
                all.sort_unstable();
                assert_eq!(all, [1, 2, 3]);
            },
            ORDERS,
        );
    }

    /// Who gave up waiting, as a fetch does whose time is over, takes nothing along.
    #[test]
    fn one_who_gives_up_takes_nothing_along() {
        check_random(
            || {
                let line = Arc::new(Line::default());
                let hasty = {
                    let line = line.clone();
                    thread::spawn(move || {
                        future::block_on(async {
                            let take = std::pin::pin!(line.take(1));
                            let over = std::pin::pin!(future::yield_now());
                            match futures::future::select(take, over).await {
                                futures::future::Either::Left((taken, _)) => taken,
                                futures::future::Either::Right(_) => Vec::new(),
                            }
                        })
                    })
                };
                let patient = {
                    let line = line.clone();
                    thread::spawn(move || {
                        future::block_on(async {
                            line.arrival().await;
                            line.take(2).await
                        })
                    })
                };
                line.push(vec![1], 10);
                line.put_aside();
                line.bring_back(2);
                let mut all = hasty.join().unwrap();
                // The hasty one may have taken what the patient one saw arrive: then there is one more.
                all.extend(patient.join().unwrap());
                all.extend(line.empty());
                all.sort_unstable();
                assert_eq!(all, [1, 2]);
                assert_eq!(line.depth(), (0, 0));
            },
            ORDERS,
        );
    }
}
