use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{Script, aio::ConnectionManager};

use super::{Key, Pace, local::Local};
use crate::env::Env;

/// How long calls are collected before the other processes hear of them.
const COLLECT: Duration = Duration::from_millis(20);

/// Redis runs one script at a time: none may take long.
const AT_ONCE: usize = 500;

/// Callers whose calls are collected at most; those of more stay known to this process alone.
const MOST: usize = 100_000;

/// Adds what was spent, also beyond the limit: what was let through too much is owed.
const SETTLE: &str = r"
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local ahead = {}
for i, key in ipairs(KEYS) do
  local arrival = tonumber(redis.call('GET', key) or now)
  if arrival < now then arrival = now end
  arrival = arrival + tonumber(ARGV[i])
  redis.call('SET', key, string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000) + 1000)
  ahead[i] = arrival - now
end
return ahead
";

/// Tells the other processes afterwards what this one let through, and learns what they did: no call waits for
/// it, and many share one round trip. Over time the processes together keep to the limit exactly; those that
/// meet a burst at the same moment may each let it through, and then owe it.
pub(super) struct Settling {
    redis: ConnectionManager,
    script: Script,
    local: Arc<Local>,
    env: Env,
    /// What each caller spent since the last time, in microseconds of its pace.
    spent: Mutex<HashMap<Key, i64>>,
}

impl Settling {
    pub(super) fn new(redis: ConnectionManager, local: Arc<Local>, env: Env) -> Arc<Self> {
        Arc::new(Self { redis, script: Script::new(SETTLE), local, env, spent: Mutex::default() })
    }

    /// Notes one call that was let through.
    pub(super) fn note(self: &Arc<Self>, key: &Key, pace: Pace) {
        let mut spent = self.spent();
        let first = spent.is_empty();
        if let Some(sum) = spent.get_mut(key) {
            *sum += pace.emission;
        } else if spent.len() < MOST {
            spent.insert(key.clone(), pace.emission);
        }
        drop(spent);
        if first {
            let settling = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(COLLECT).await;
                settling.settle().await;
            });
        }
    }

    async fn settle(&self) {
        let spent: Vec<_> = std::mem::take(&mut *self.spent()).into_iter().collect();
        for some in spent.chunks(AT_ONCE) {
            let mut call = self.script.prepare_invoke();
            for (key, sum) in some {
                call.key(key.to_string()).arg(*sum);
            }
            let asked = call.invoke_async::<Vec<i64>>(&mut self.redis.clone()).await;
            // Without Redis the limits hold in this process alone.
            let Ok(ahead) = asked.inspect_err(|error| tracing::debug!(%error, "calls were not settled"))
            else {
                return;
            };
            let now = self.env.now().timestamp_micros();
            for ((key, _), ahead) in some.iter().zip(ahead) {
                let since = self.spent().get(key).copied().unwrap_or(0);
                self.local.learn(key, now + ahead + since);
            }
        }
    }

    fn spent(&self) -> MutexGuard<'_, HashMap<Key, i64>> {
        // A lost update costs a call: nothing can be left half changed.
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
