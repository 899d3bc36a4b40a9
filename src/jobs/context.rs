//! What a running job has at hand.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{
    begun::Begun,
    effect::{self, Effect},
    progress::Progress,
};
use crate::{
    ai::{Ai, Switches},
    auth::{TenantScope, seal::Keyring},
    channels::Http,
    env::Env,
    id::JobId,
    store::Store,
};

/// What all jobs share; made once, in `app`.
#[derive(Clone)]
pub struct Parts {
    pub store: Store,
    /// Opens the secrets of channels.
    pub keys: Keyring,
    /// Calls messengers.
    pub http: Http,
    /// Drafts replies.
    pub ai: Ai,
    /// The platform's own, above every tenant's settings.
    pub switches: Switches,
    /// Where messengers reach this server: `https://chat.example.com`.
    pub public_url: Arc<str>,
}

/// The world of one run.
pub struct Context {
    /// The right to work on the tenant that the stored job names.
    pub scope: TenantScope,
    pub job: JobId,
    /// The kind's name.
    pub kind: &'static str,
    /// Failures before this run.
    pub tries: i16,
    /// Failures after which the job is dead.
    pub max_tries: i16,
    pub store: Store,
    pub keys: Keyring,
    pub http: Http,
    pub ai: Ai,
    pub switches: Switches,
    pub public_url: Arc<str>,
    pub env: Env,
    /// Fires when the run should end early: cancelled, lease lost, shutting down.
    pub cancelled: CancellationToken,
    /// What it is too late to cancel.
    pub begun: Begun,
}

impl Context {
    /// Whether a failure of this run is the last one: then the job is dead.
    pub fn last_try(&self) -> bool {
        self.tries + 1 >= self.max_tries
    }

    /// Tells how far this run is, of `total` steps; 0 when nobody knows how many there are.
    pub fn progress(&self, total: i64) -> Progress {
        Progress::new(self.store.of(self.scope.clone()), self.job, self.kind, total)
    }

    /// The job's effect number `part` on the world outside.
    pub fn effect(&self, part: u32) -> Effect {
        self.effect_of(effect::key(self.kind, self.job.0, part))
    }

    /// The effect that the ledger knows by `key`.
    pub(super) fn effect_of(&self, key: [u8; 32]) -> Effect {
        Effect::of(self.store.of(self.scope.clone()), key).within(self.begun.clone())
    }
}
