//! Time and chance, injected: the only place where the wall clock and the random generator are read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use uuid::{Builder, Uuid};

use crate::id::Id;

/// The clock and the random generator. Cheap to clone; clones share both.
#[derive(Clone)]
pub struct Env {
    clock: Clock,
    rng: Arc<Mutex<StdRng>>,
}

#[derive(Clone)]
enum Clock {
    System,
    Manual(Arc<Mutex<DateTime<Utc>>>),
}

impl Env {
    /// The machine's clock and its entropy.
    pub fn system() -> Self {
        Self { clock: Clock::System, rng: Arc::new(Mutex::new(StdRng::from_os_rng())) }
    }

    /// A clock that moves only by [`advance`](Self::advance), and a generator that repeats itself: for tests.
    pub fn manual(now: DateTime<Utc>, seed: u64) -> Self {
        Self {
            clock: Clock::Manual(Arc::new(Mutex::new(now.trunc_subsecs(6)))),
            rng: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))),
        }
    }

    /// The present, to the microsecond: what both databases can hold.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.clock {
            Clock::System => {
                #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
                let now = Utc::now();
                now.trunc_subsecs(6)
            }
            Clock::Manual(now) => *lock(now),
        }
    }

    /// Moves a manual clock; the machine's clock does not listen.
    pub fn advance(&self, by: TimeDelta) {
        if let Clock::Manual(now) = &self.clock {
            *lock(now) += by;
        }
    }

    /// A new id: a UUIDv7 of this clock and generator. Ids of one process grow with time to the
    /// microsecond: the twelve bits after the millisecond hold its fraction (RFC 9562 §6.2, method 3).
    pub fn id<T: Id>(&self) -> T {
        T::of(self.uuid())
    }

    /// A new UUIDv7, for keys that are not ids of ours.
    pub fn uuid(&self) -> Uuid {
        let now = self.now();
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        let micros = u64::from(now.timestamp_subsec_micros() % 1000);
        let fraction = u16::try_from(micros * 4096 / 1000).expect("below 4096");
        let mut random = self.bytes::<10>();
        random[..2].copy_from_slice(&fraction.to_be_bytes());
        Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    /// Secret random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        lock(&self.rng).fill_bytes(&mut bytes);
        bytes
    }

    /// A number in `[0, 1)`, for jitter.
    pub fn chance(&self) -> f64 {
        lock(&self.rng).random()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Neither a clock nor a generator can be left half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::MessageId;

    #[test]
    fn ids_are_uuid_v7_and_grow_with_the_clock() {
        let env = Env::manual(DateTime::from_timestamp(1_789_990_001, 123_456_789).unwrap(), 7);
        let first: MessageId = env.id();
        env.advance(TimeDelta::microseconds(1));
        let second: MessageId = env.id();

        assert_eq!(first.0.get_version_num(), 7);
        assert!(first < second);
        assert_eq!(env.now().timestamp_subsec_nanos(), 123_457_000);
    }
}
