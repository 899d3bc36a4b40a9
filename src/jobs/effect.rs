//! Effects on the world outside: an intent is on disk before the call, its result after it. Between the
//! two a run may die; what the next one does then is the provider's policy.

use sha2::{Digest, Sha256};

use crate::{
    error::{Error, Result},
    fault::{self, Point},
    id::JobId,
    store::{TenantDb, Tx, jobs::Recorded},
};

/// What to do when an earlier run may or may not have had the effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The provider takes an idempotency key: do it again with the same one.
    Key,
    /// The provider can be asked.
    Lookup,
    /// Twice is better than never.
    Resend,
    /// A person decides.
    Hold,
}

/// Whether to have the effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Have it now.
    Fresh,
    /// It happened; what the provider called it.
    AlreadyDone(Option<String>),
    /// It may have happened. Ask the provider, or call it unknown; do not repeat it.
    Ambiguous,
}

/// One effect of one job.
pub struct Effect {
    db: TenantDb,
    key: [u8; 32],
}

impl Effect {
    /// The key is the same in every try and every redrive.
    pub(super) fn of(db: TenantDb, kind: &str, job: JobId, part: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(kind.as_bytes());
        hash.update([0]);
        hash.update(job.0.as_bytes());
        hash.update(part.to_be_bytes());
        Self { db, key: hash.finalize().into() }
    }

    /// For providers that take an idempotency key.
    pub fn key(&self) -> [u8; 32] {
        self.key
    }

    /// Records the intent, before the provider is called.
    pub async fn begin(&self, policy: Policy) -> Result<Intent> {
        let intent = match self.db.begin_effect(self.key).await? {
            Recorded::Fresh => {
                fault::point(Point::EffectAfterIntent).await.map_err(Error::unavailable)?;
                return Ok(Intent::Fresh);
            }
            Recorded::Done(provider_ref) => return Ok(Intent::AlreadyDone(provider_ref)),
            Recorded::Intended if matches!(policy, Policy::Key | Policy::Resend) => Intent::Fresh,
            Recorded::Intended | Recorded::Unknown => Intent::Ambiguous,
        };
        let policy = match policy {
            Policy::Key => "key",
            Policy::Lookup => "lookup",
            Policy::Resend => "resend",
            Policy::Hold => "hold",
        };
        metrics::counter!("switchboard_jobs_ambiguous_intent_total", "policy" => policy).increment(1);
        Ok(intent)
    }

    /// It happened: recorded with everything else that the transaction writes about it.
    pub async fn done(&self, db: &TenantDb<Tx>, provider_ref: Option<&str>) -> Result<()> {
        db.effect_done(self.key, provider_ref).await
    }

    /// Nobody can tell whether it happened.
    pub async fn unknown(&self, db: &TenantDb<Tx>) -> Result<()> {
        metrics::counter!("switchboard_jobs_effect_unknown_total").increment(1);
        db.effect_unknown(self.key).await
    }

    /// It certainly did not happen: the provider said no, or was never reached. The next try is fresh.
    pub async fn undone(&self, db: &TenantDb<Tx>) -> Result<()> {
        db.effect_undone(self.key).await
    }
}
