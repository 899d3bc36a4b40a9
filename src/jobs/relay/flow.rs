//! How much of a queue is let through: a window by its rate, and a lifetime for tickets by the window.

use std::time::Duration;

use tokio::time::Instant;

use crate::jobs::fair::Ring;

/// What the relay knows of one queue.
#[derive(Default)]
pub(in crate::jobs) struct Flow {
    pub(super) ring: Ring,
    /// Jobs a second, smoothed.
    rate: f64,
    measured: Option<Instant>,
    pub(super) admitted: usize,
}

impl Flow {
    /// How many may be in flight: what a fifth of a second takes, and enough to keep all slots busy.
    pub(super) fn window(&self, slots: usize) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is a small positive number"
        )]
        let fifth = (self.rate * 0.2) as usize;
        fifth.max(2 * slots).clamp(64, 2_000)
    }

    /// Takes note of what was admitted since.
    pub(super) fn measure(&mut self) {
        let since = self.measured.get_or_insert_with(Instant::now);
        let elapsed = since.elapsed().as_secs_f64();
        if elapsed >= 0.1 {
            let admitted = f64::from(u32::try_from(self.admitted).unwrap_or(u32::MAX));
            self.rate += (admitted / elapsed - self.rate) * (elapsed / 2.0).min(1.0);
            self.admitted = 0;
            self.measured = Some(Instant::now());
        }
    }

    /// A ticket waits at most for the window before it.
    pub(super) fn ttl(&self, window: usize, least: Duration) -> Duration {
        let seconds = 4.0 * f64::from(u32::try_from(window).unwrap_or(u32::MAX)) / self.rate.max(0.1);
        Duration::from_secs_f64(seconds.min(900.0)).max(least)
    }
}
