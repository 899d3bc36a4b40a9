//! Effects on the world outside: an intent is on disk before the call, its result after it. Between the
//! two a run may die; what the next one does then is the provider's policy.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::begun::Begun;
pub use crate::domain::effect::Policy;
use crate::{
    error::{Error, Result},
    fault::{self, Point},
    store::{TenantDb, Tx, jobs::Recorded},
};

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

/// The ledger's key of the effect number `part` that jobs of a kind have on what `subject` names: a job, or what
/// it is about. It is the same in every try and every redrive.
pub(super) fn key(kind: &str, subject: Uuid, part: u32) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(kind.as_bytes());
    hash.update([0]);
    hash.update(subject.as_bytes());
    hash.update(part.to_be_bytes());
    hash.finalize().into()
}

/// What was in doubt happened: a report, an echo or a person told. Nothing changes when it was not in doubt.
pub(super) async fn found(db: &TenantDb<Tx>, key: [u8; 32], provider_ref: Option<&str>) -> Result<()> {
    if db.effect_found(key, provider_ref).await? {
        metrics::counter!("switchboard_jobs_lookup_found_total").increment(1);
    }
    Ok(())
}

/// One effect of a job.
pub struct Effect {
    db: TenantDb,
    key: [u8; 32],
    begun: Begun,
}

impl Effect {
    pub(super) fn of(db: TenantDb, key: [u8; 32]) -> Self {
        Self { db, key, begun: Begun::default() }
    }

    /// The same effect, of a run that is told apart by what it began.
    pub(super) fn within(self, begun: Begun) -> Self {
        Self { begun, ..self }
    }

    /// For providers that take an idempotency key.
    pub fn key(&self) -> [u8; 32] {
        self.key
    }

    /// Records the intent, before the provider is called.
    pub async fn begin(&self, policy: Policy) -> Result<Intent> {
        self.begun.add(self.key);
        let intent = match self.db.begin_effect(self.key).await? {
            Recorded::Fresh => {
                fault::point(Point::EffectAfterIntent).await.map_err(Error::unavailable)?;
                return Ok(Intent::Fresh);
            }
            Recorded::Done(provider_ref) => return Ok(Intent::AlreadyDone(provider_ref)),
            Recorded::Intended if policy.repeats() => Intent::Fresh,
            Recorded::Intended | Recorded::Unknown => Intent::Ambiguous,
        };
        metrics::counter!("switchboard_jobs_ambiguous_intent_total", "policy" => policy.as_str())
            .increment(1);
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
        self.begun.remove(self.key);
        db.effect_undone(self.key).await
    }
}
