use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Entries kept at most.
const MOST: usize = 10_000;

/// What was found a moment ago. Bounded in time and size.
pub(super) struct Recent<K, V> {
    keep: Duration,
    kept: Mutex<Kept<K, V>>,
}

struct Kept<K, V> {
    /// Grows when everything is forgotten: an answer that was under way then must not be kept.
    generation: u64,
    entries: HashMap<K, (Instant, V)>,
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    pub(super) fn new(keep: Duration) -> Self {
        Self { keep, kept: Mutex::new(Kept { generation: 0, entries: HashMap::new() }) }
    }

    /// What is known of `key`, and the generation to hand to [`put`](Self::put).
    pub(super) fn get(&self, key: &K) -> (Option<V>, u64) {
        let kept = self.lock();
        let fresh = kept.entries.get(key).filter(|(at, _)| at.elapsed() < self.keep);
        (fresh.map(|(_, value)| value.clone()), kept.generation)
    }

    pub(super) fn put(&self, generation: u64, key: K, value: V) {
        let mut kept = self.lock();
        if kept.generation != generation {
            return;
        }
        if kept.entries.len() >= MOST {
            kept.entries.retain(|_, (at, _)| at.elapsed() < self.keep);
        }
        if kept.entries.len() >= MOST {
            kept.entries.clear();
        }
        kept.entries.insert(key, (Instant::now(), value));
    }

    pub(super) fn forget(&self) {
        let mut kept = self.lock();
        kept.generation += 1;
        kept.entries.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Kept<K, V>> {
        // Whole entries: nothing can be left half changed.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_forgets_in_time_when_told_and_when_full() {
        let recent = Recent::new(Duration::from_millis(500));
        let (none, generation) = recent.get(&0);
        assert_eq!(none, None);
        recent.put(generation, 0, 'a');
        assert_eq!(recent.get(&0).0, Some('a'));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(recent.get(&0).0, None);

        recent.put(generation, 0, 'b');
        recent.forget();
        assert_eq!(recent.get(&0).0, None);
        recent.put(generation, 0, 'c');
        assert_eq!(recent.get(&0), (None, generation + 1));

        for key in 0..2 * MOST {
            recent.put(generation + 1, key, 'd');
        }
        assert!(recent.lock().entries.len() <= MOST);
    }
}
