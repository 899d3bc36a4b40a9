//! What the engine tells of itself that is a state and not a count. Labels are queues, states and shards: a
//! tenant is one of the many in its shard, never a label.

use std::time::Duration;

use crate::{
    domain::{job::JobState, queue::Queue},
    store::{
        events::SHARDS,
        jobs::{QueueStats, Ready},
    },
};

/// How long a relay took since it last went through its queues: it grows with a database that is slow.
pub(super) fn relay_lag(lag: Duration) {
    metrics::gauge!("switchboard_jobs_relay_lag_seconds").set(lag.as_secs_f64());
}

/// For how long the oldest ready job of each of `shards` (by bit) has been waiting, of those that a relay found.
pub(super) fn oldest_ready(shards: u16, ready: &[Ready]) {
    for shard in (0..SHARDS).filter(|shard| shards & (1 << shard) != 0) {
        let late = ready.iter().filter(|ready| ready.shard == shard).map(|ready| ready.late).max();
        metrics::gauge!("switchboard_jobs_oldest_ready_bucket_seconds", "bucket" => shard.to_string())
            .set(late.unwrap_or_default().as_secs_f64());
    }
}

/// The states that are counted. What ended is a count of its own: `switchboard_jobs_total`.
pub const STATES: [JobState; 6] = [
    JobState::Ready,
    JobState::Scheduled,
    JobState::Blocked,
    JobState::Dispatched,
    JobState::Running,
    JobState::Dead,
];

/// How full the queues are.
pub(super) fn depth(all: &[QueueStats]) {
    for stats in all {
        let queue = stats.queue.name();
        let counts =
            [stats.ready, stats.scheduled, stats.blocked, stats.dispatched, stats.running, stats.dead];
        for (state, count) in STATES.into_iter().zip(counts) {
            metrics::gauge!("switchboard_jobs_depth", "queue" => queue, "state" => state.name())
                .set(f64::from(i32::try_from(count).unwrap_or(i32::MAX)));
        }
        metrics::gauge!("switchboard_jobs_oldest_ready_seconds", "queue" => queue)
            .set(stats.oldest_ready.as_secs_f64());
        metrics::gauge!("switchboard_jobs_paused", "queue" => queue).set(if stats.pause.is_some() {
            1.0
        } else {
            0.0
        });
    }
}

/// Another process tells it now: two that do would be added up.
pub(super) fn depth_elsewhere() {
    let none = Queue::ALL.map(|queue| QueueStats {
        queue,
        ready: 0,
        scheduled: 0,
        blocked: 0,
        dispatched: 0,
        running: 0,
        dead: 0,
        capped: false,
        oldest_ready: Duration::ZERO,
        pause: None,
    });
    depth(&none);
}
