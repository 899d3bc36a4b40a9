//! Who leads what: a lease in the database, and on our side a deadline until which we may trust it.

use std::time::Duration;

use sea_orm::DbBackend;
use tokio::time::Instant;
use uuid::Uuid;

use super::Store;
use crate::error::Result;

/// This process's hold on a set of named leases.
pub struct Lead {
    store: Store,
    names: Vec<String>,
    holder: Uuid,
    ttl: Duration,
    terms: Vec<Option<i64>>,
    asked: Option<Instant>,
    trusted_until: Instant,
}

impl Lead {
    /// `holder` is this process's own, never used again; `ttl` is how long others wait for one that died.
    pub fn new(store: Store, names: Vec<String>, holder: Uuid, ttl: Duration) -> Self {
        let terms = vec![None; names.len()];
        Self { store, names, holder, ttl, terms, asked: None, trusted_until: Instant::now() }
    }

    /// Renews when it is time. Returns which names this process leads, and which of those since now.
    pub async fn renew(&mut self) -> (Vec<usize>, Vec<usize>) {
        let mut fresh = Vec::new();
        if self.asked.is_none_or(|asked| asked.elapsed() >= self.ttl / 3) {
            let asked = Instant::now();
            match self.take().await {
                Ok(terms) => {
                    fresh = (0..terms.len())
                        .filter(|n| terms[*n].is_some() && terms[*n] != self.terms[*n])
                        .collect();
                    self.terms = terms;
                    // Counted from before the question, with a margin: we step down before others step up.
                    self.trusted_until = asked + self.ttl * 4 / 5;
                }
                Err(error) => tracing::warn!(%error, "cannot renew leases"),
            }
            self.asked = Some(asked);
        }
        if Instant::now() > self.trusted_until {
            self.terms.fill(None);
        }
        ((0..self.terms.len()).filter(|n| self.terms[*n].is_some()).collect(), fresh)
    }

    /// A file database has one process: it leads from the start, and nobody could take over.
    async fn take(&self) -> Result<Vec<Option<i64>>> {
        if self.store.backend() == DbBackend::Sqlite {
            return Ok(vec![Some(1); self.names.len()]);
        }
        self.store.system().take_leases(&self.names, self.holder, self.ttl).await
    }

    /// Lets somebody else lead at once.
    pub async fn step_down(self) {
        if self.store.backend() != DbBackend::Sqlite
            && let Err(error) = self.store.system().release_leases(&self.names, self.holder).await
        {
            tracing::debug!(%error, "leases were not given back; they end by themselves");
        }
    }
}
