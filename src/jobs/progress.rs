//! How far a long job is, for whoever waits for it.

use std::time::Duration;

use tokio::time::Instant;

use crate::{domain::event::Event, error::Result, id::JobId, store::TenantDb};

/// Between two words about one job: each is an entry of the tenant's log.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells how far one run is.
pub struct Progress {
    db: TenantDb,
    job: JobId,
    kind: &'static str,
    total: i64,
    told: Option<Instant>,
}

impl Progress {
    pub(super) fn new(db: TenantDb, job: JobId, kind: &'static str, total: i64) -> Self {
        Self { db, job, kind, total, told: None }
    }

    /// `done` steps are behind. Says so at most once a second, and at the end.
    pub async fn at(&mut self, done: i64) -> Result<()> {
        let end = self.total > 0 && done >= self.total;
        if !end && self.told.is_some_and(|told| told.elapsed() < PAUSE) {
            return Ok(());
        }
        self.told = Some(Instant::now());
        let (job, job_kind, total) = (self.job, self.kind, self.total);
        self.db
            .transaction(async |db| {
                db.emit(Event::JobProgressed { job, job_kind: job_kind.to_owned(), done, total });
                Ok(())
            })
            .await
    }
}
