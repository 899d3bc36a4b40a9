use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use redis::{Script, aio::ConnectionManager};

use super::{Cell, Key, Pace};
use crate::config::Rate;

/// A limit must not cost more than this; then the process decides alone.
const PATIENCE: Duration = Duration::from_millis(250);

/// One round trip for all limits of a call, the time of Redis: exact across processes. What one limit
/// refuses is not counted by those after it.
const GCRA: &str = r"
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local cells = {}
for i, key in ipairs(KEYS) do
  local emission, tolerance = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local arrival = tonumber(redis.call('GET', key) or now)
  if arrival < now then arrival = now end
  local nxt = arrival + emission
  local wait = nxt - tolerance - now
  if wait > 0 then
    cells[i] = {0, wait, arrival - now}
    return cells
  end
  redis.call('SET', key, string.format('%.0f', nxt), 'PX', math.ceil((nxt - now) / 1000) + 1000)
  cells[i] = {1, wait, nxt - now}
end
return cells
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

    /// Spends from each of `limits` until one refuses: the cells so far. `None` when Redis does not answer.
    pub(super) async fn spend(&self, limits: &[(Key, Rate)]) -> Option<Vec<Cell>> {
        let mut redis = self.redis.clone();
        let mut call = self.script.prepare_invoke();
        for (key, rate) in limits {
            let pace = Pace::of(*rate);
            call.key(key.to_string()).arg(pace.emission).arg(pace.tolerance);
        }
        let asked = tokio::time::timeout(PATIENCE, call.invoke_async::<Vec<(i64, i64, i64)>>(&mut redis));
        let problem = match asked.await {
            Ok(Ok(cells)) => {
                self.silent.store(false, Ordering::Relaxed);
                let cell = |(allowed, wait, ahead)| Cell { allowed: allowed == 1, wait, ahead };
                return Some(cells.into_iter().map(cell).collect());
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
