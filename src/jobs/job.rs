//! What a job is: a name, a queue, and something to do that may be done again.

use std::{fmt, future::Future, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::Context;
use crate::{
    domain::queue::Queue,
    error::{Error, Result},
    id::JobId,
    store::{TenantDb, Tx, jobs::NewJob},
};

/// A kind of background work. The value is what is stored: ids, never rows.
///
/// `run` happens at least once: it starts by asking whether its work is still wanted.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The stored name. Never renamed or reused: old jobs may still wait.
    const NAME: &'static str;
    const QUEUE: Queue;
    /// A run that takes longer is stopped and counts as a failure.
    const TIMEOUT: Duration = Duration::from_secs(30);
    /// Failures after which the job is dead.
    const MAX_TRIES: i16 = 12;
    const BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(600) };
    /// For ordered jobs: whether the followers wait for good when this one dies.
    const HALT: bool = false;

    fn run(&self, cx: &Context) -> impl Future<Output = Result<(), Failure>> + Send;

    /// The last word before the job is dead, because it failed too often, will never succeed, expired, or
    /// ended its process each time: here it tells whoever waits for it. May be said more than once; while it
    /// cannot be said, the job is not dead.
    fn give_up(&self, _cx: &Context, _why: &str) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

/// How long to wait after a failure: a random part of `min(cap, base · 2^tries)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub base: Duration,
    pub cap: Duration,
}

impl Backoff {
    /// The wait after the failure number `tries` (from 0); `chance` in `[0, 1)` chooses the part.
    pub fn after(self, tries: i16, chance: f64) -> Duration {
        let doublings = u32::try_from(tries.clamp(0, 30)).unwrap_or(0);
        let longest = self.base.saturating_mul(1 << doublings).min(self.cap);
        longest.mul_f64(chance.clamp(0.0, 1.0))
    }
}

/// Why a run did not finish its work.
#[derive(Debug)]
pub enum Failure {
    /// Worth another try: after `after`, or the kind's backoff.
    Retry { after: Option<Duration>, cause: anyhow::Error },
    /// Not now, and no failure: it comes back after the pause with its tries unchanged.
    Snooze(Duration),
    /// Will never succeed.
    Dead(anyhow::Error),
}

impl Failure {
    pub fn retry(cause: impl Into<anyhow::Error>) -> Self {
        Self::Retry { after: None, cause: cause.into() }
    }
    pub fn dead(cause: impl Into<anyhow::Error>) -> Self {
        Self::Dead(cause.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry { cause, .. } => write!(f, "retry: {cause:#}"),
            Self::Snooze(pause) => write!(f, "snooze {} s", pause.as_secs_f32()),
            Self::Dead(cause) => write!(f, "dead: {cause:#}"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Limited { retry } => Self::Retry { after: Some(retry), cause: error.into() },
            // Somebody else changed the row: reading it again is another try.
            Error::Unavailable(_) | Error::Internal(_) | Error::DeadlineExceeded | Error::Changed { .. } => {
                Self::Retry { after: None, cause: with_cause(error) }
            }
            _ => Self::Dead(error.into()),
        }
    }
}

/// `Error` hides causes from clients; whoever reads the job's last error wants them.
fn with_cause(error: Error) -> anyhow::Error {
    match &error {
        Error::Unavailable(cause) | Error::Internal(cause) => anyhow::anyhow!("{error}: {cause:#}"),
        _ => error.into(),
    }
}

/// When and in which company a job runs.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    run_at: Option<DateTime<Utc>>,
    order: Option<Uuid>,
    unique: Option<Vec<u8>>,
    expires_at: Option<DateTime<Utc>>,
}

impl Terms {
    /// As soon as there is room.
    pub fn now() -> Self {
        Self::default()
    }
    /// Not before `time`.
    #[must_use]
    pub fn at(self, time: DateTime<Utc>) -> Self {
        Self { run_at: Some(time), ..self }
    }
    /// After all earlier jobs of `key` are done or dead.
    #[must_use]
    pub fn ordered(self, key: Uuid) -> Self {
        Self { order: Some(key), ..self }
    }
    /// Unless a live job of this kind has the same key.
    #[must_use]
    pub fn unique(self, key: impl Into<Vec<u8>>) -> Self {
        Self { unique: Some(key.into()), ..self }
    }
    /// Not worth starting after `time`.
    #[must_use]
    pub fn expires(self, time: DateTime<Utc>) -> Self {
        Self { expires_at: Some(time), ..self }
    }
}

/// Promises `job` with the transaction behind `db`: it exists when, and only when, that commits.
/// `None` when a live job has the same unique key.
pub async fn enqueue<J: Job>(db: &TenantDb<Tx>, job: &J, terms: Terms) -> Result<Option<JobId>> {
    // A key is the kind's own.
    let unique = terms.unique.map(|key| [J::NAME.as_bytes(), b":", &key].concat());
    db.enqueue(NewJob {
        queue: J::QUEUE,
        kind: J::NAME.into(),
        payload: serde_json::to_vec(job).map_err(Error::internal)?,
        run_at: terms.run_at,
        order: terms.order,
        halt: J::HALT,
        unique,
        max_tries: J::MAX_TRIES,
        expires_at: terms.expires_at,
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_cap() {
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(60) };
        for (tries, longest) in [(0, 1), (1, 2), (5, 32), (6, 60), (300, 60), (-1, 1)] {
            assert_eq!(backoff.after(tries, 1.0), Duration::from_secs(longest), "{tries}");
            assert_eq!(backoff.after(tries, 0.0), Duration::ZERO);
        }
    }
}
