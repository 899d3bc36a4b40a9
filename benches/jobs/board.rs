//! What happened when, job by job: the handlers write it, the measurements read it.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use switchboard::jobs::{Context, Failure, Job, Queue};

/// Jobs of one measurement at most.
const ROOM: usize = 100_000;

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
static BOARD: LazyLock<Vec<Times>> = LazyLock::new(|| (0..ROOM).map(|_| Times::default()).collect());
static STARTED: AtomicUsize = AtomicUsize::new(0);
static FIRST: AtomicU64 = AtomicU64::new(0);

/// Nanoseconds since the program began; zero is never.
#[derive(Default)]
struct Times {
    due: AtomicU64,
    promised: AtomicU64,
    started: AtomicU64,
}

/// Does nothing, or holds its slot for so many milliseconds.
#[derive(Serialize, Deserialize)]
pub struct Noop {
    pub n: usize,
    pub hold: u64,
}

impl Job for Noop {
    const NAME: &'static str = "noop";
    const QUEUE: Queue = Queue::Send;

    async fn run(&self, _: &Context) -> Result<(), Failure> {
        let now = now();
        FIRST.fetch_min(now, Ordering::Relaxed);
        BOARD[self.n].started.store(now, Ordering::Relaxed);
        STARTED.fetch_add(1, Ordering::Relaxed);
        if self.hold > 0 {
            tokio::time::sleep(Duration::from_millis(self.hold)).await;
        }
        Ok(())
    }
}

fn now() -> u64 {
    u64::try_from(EPOCH.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Forgets everything.
pub fn wipe() {
    LazyLock::force(&EPOCH);
    STARTED.store(0, Ordering::Relaxed);
    FIRST.store(u64::MAX, Ordering::Relaxed);
    for times in BOARD.iter() {
        for time in [&times.due, &times.promised, &times.started] {
            time.store(0, Ordering::Relaxed);
        }
    }
}

/// Runs that began.
pub fn started() -> usize {
    STARTED.load(Ordering::Relaxed)
}

/// Since the first run began.
pub fn since_first() -> Duration {
    Duration::from_nanos(now().saturating_sub(FIRST.load(Ordering::Relaxed)))
}

/// Notes when job `n` should be enqueued.
pub fn due(n: usize, at: Instant) {
    let nanos = at.saturating_duration_since(*EPOCH).as_nanos();
    BOARD[n].due.store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Notes that the transaction of job `n` has committed.
pub fn promised(n: usize) {
    BOARD[n].promised.store(now(), Ordering::Relaxed);
}

/// Until the start of some jobs that started.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// From the commit, p50 and p99. A run that began before its commit was answered waited for nothing.
    pub promised: [Duration; 2],
    /// From when it was due to be enqueued, p50 and p99.
    pub due: [Duration; 2],
    /// Jobs of the range that were promised and have not started.
    pub unstarted: usize,
}

/// How long the jobs of a range waited.
pub fn waits(range: std::ops::Range<usize>) -> Waits {
    let (mut promised, mut due, mut unstarted) = (Vec::new(), Vec::new(), 0);
    for times in &BOARD[range] {
        let [from_due, from_promise, start] =
            [&times.due, &times.promised, &times.started].map(|time| time.load(Ordering::Relaxed));
        if start > 0 {
            promised.push(start.saturating_sub(from_promise));
            due.push(start.saturating_sub(from_due));
        } else if from_promise > 0 {
            unstarted += 1;
        }
    }
    Waits { promised: percentiles(promised), due: percentiles(due), unstarted }
}

fn percentiles(mut times: Vec<u64>) -> [Duration; 2] {
    times.sort_unstable();
    [50, 99].map(|percent| {
        let at = times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
        Duration::from_nanos(at.copied().unwrap_or_default())
    })
}
