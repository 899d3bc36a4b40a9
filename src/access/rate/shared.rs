use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use redis::{Script, aio::ConnectionManager};

use super::{Cell, Key, Pace};

/// A limit must not cost more than this; then the process decides alone.
const PATIENCE: Duration = Duration::from_millis(250);

/// One round trip, one key, the time of Redis: exact across processes.
const GCRA: &str = r"
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local emission, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = tonumber(redis.call('GET', KEYS[1]) or now)
if arrival < now then arrival = now end
local nxt = arrival + emission
local wait = nxt - tolerance - now
if wait > 0 then return {0, wait, arrival - now} end
redis.call('SET', KEYS[1], string.format('%.0f', nxt), 'PX', math.ceil((nxt - now) / 1000) + 1000)
return {1, wait, nxt - now}
";

/// The counters of all processes, in Redis.
pub(super) struct Shared {
    redis: ConnectionManager,
    script: Script,
    /// So that a long outage is one line in the log.
    silent: AtomicBool,
}

impl Shared {
    pub(super) fn new(redis: ConnectionManager) -> Self {
        Self { redis, script: Script::new(GCRA), silent: AtomicBool::new(false) }
    }

    /// `None` when Redis does not answer.
    pub(super) async fn spend(&self, key: &Key, pace: Pace) -> Option<Cell> {
        let mut redis = self.redis.clone();
        let mut call = self.script.key(key.to_string());
        call.arg(pace.emission).arg(pace.tolerance);
        let asked = tokio::time::timeout(PATIENCE, call.invoke_async::<(i64, i64, i64)>(&mut redis));
        let problem = match asked.await {
            Ok(Ok((allowed, wait, ahead))) => {
                self.silent.store(false, Ordering::Relaxed);
                return Some(Cell { allowed: allowed == 1, wait, ahead });
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        if !self.silent.swap(true, Ordering::Relaxed) {
            tracing::warn!(problem, "Redis counts no calls; each process limits on its own");
        }
        None
    }
}
