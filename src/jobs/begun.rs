//! The effects that a run began: until it took them back, it is too late to cancel it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The effects of one run, by their keys in the ledger.
#[derive(Clone, Debug, Default)]
pub struct Begun(Arc<Mutex<HashSet<[u8; 32]>>>);

impl Begun {
    /// It may have happened from here on.
    pub(super) fn add(&self, key: [u8; 32]) {
        self.lock().insert(key);
    }

    /// It certainly did not happen.
    pub(super) fn remove(&self, key: [u8; 32]) {
        self.lock().remove(&key);
    }

    /// Whether something may have happened that has to be written down.
    pub(super) fn any(&self) -> bool {
        !self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<[u8; 32]>> {
        // Each change is one insert or remove.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
