//! The kinds that this process can run.

use std::{collections::HashMap, time::Duration};

use futures::future::BoxFuture;

use super::{Backoff, Context, Failure, Job, Queue};
use crate::{error, fault};

type Run = dyn for<'a> Fn(&'a Context, &'a [u8]) -> BoxFuture<'a, Result<(), Failure>> + Send + Sync;
type GiveUp =
    dyn for<'a> Fn(&'a Context, &'a [u8], &'a str) -> BoxFuture<'a, error::Result<()>> + Send + Sync;

/// The kinds by name.
#[derive(Default)]
pub struct Registry(HashMap<&'static str, Kind>);

/// How one kind runs.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) queue: Queue,
    pub(super) timeout: Duration,
    pub(super) backoff: Backoff,
    pub(super) run: Box<Run>,
    pub(super) give_up: Box<GiveUp>,
}

impl Registry {
    /// Adds a kind. Its name must be new.
    #[must_use]
    pub fn with<J: Job>(mut self) -> Self {
        let kind = Kind {
            name: J::NAME,
            queue: J::QUEUE,
            timeout: J::TIMEOUT,
            backoff: J::BACKOFF,
            run: Box::new(|cx, payload| {
                Box::pin(async move {
                    let job: J = serde_json::from_slice(payload).map_err(Failure::dead)?;
                    job.run(cx).await
                })
            }),
            give_up: Box::new(|cx, payload, why| {
                Box::pin(async move {
                    // What cannot be read promised nothing to anybody.
                    let Ok(job) = serde_json::from_slice::<J>(payload) else { return Ok(()) };
                    job.give_up(cx, why).await
                })
            }),
        };
        let before = self.0.insert(J::NAME, kind);
        assert!(before.is_none(), "two jobs are called {}", J::NAME);
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<&Kind> {
        self.0.get(name).filter(|_| !fault::unknown_kind(name))
    }

    /// The names and their queues, for tests over all jobs.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, Queue)> {
        self.0.values().map(|kind| (kind.name, kind.queue))
    }
}
