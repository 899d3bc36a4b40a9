//! What becomes of a job, in the words of those who look at it.

use chrono::{DateTime, TimeDelta, Utc};

/// A dead job may run again for so long after it was promised. Its effects are remembered for 30 days: whatever
/// it did before, it finds again.
pub const REDRIVEN_WITHIN: TimeDelta = TimeDelta::days(14);

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// It may start: there is no room for it yet, or its queue is paused.
    Ready,
    /// Its time has not come.
    Scheduled,
    /// Earlier jobs of its order go first.
    Blocked,
    /// A worker was asked to start it.
    Dispatched,
    Running,
    Done,
    /// It failed for good.
    Dead,
    Cancelled,
}

impl JobState {
    pub const ALL: [Self; 8] = [
        Self::Ready,
        Self::Scheduled,
        Self::Blocked,
        Self::Dispatched,
        Self::Running,
        Self::Done,
        Self::Dead,
        Self::Cancelled,
    ];

    /// What `number` in `job.state` means for a job that may not start before `run_at`.
    pub fn of(number: i16, run_at: DateTime<Utc>, now: DateTime<Utc>) -> Option<Self> {
        Some(match number {
            0 if run_at > now => Self::Scheduled,
            0 => Self::Ready,
            1 => Self::Dispatched,
            2 => Self::Running,
            3 => Self::Done,
            4 => Self::Dead,
            5 => Self::Cancelled,
            6 => Self::Blocked,
            _ => return None,
        })
    }

    /// As stored in `job.state`.
    pub const fn number(self) -> i16 {
        match self {
            Self::Ready | Self::Scheduled => 0,
            Self::Dispatched => 1,
            Self::Running => 2,
            Self::Done => 3,
            Self::Dead => 4,
            Self::Cancelled => 5,
            Self::Blocked => 6,
        }
    }

    /// As metrics and the command line call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Scheduled => "scheduled",
            Self::Blocked => "blocked",
            Self::Dispatched => "dispatched",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will become of it, unless it is redriven.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Dead | Self::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reads_back_by_its_number() {
        let (now, later) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH + TimeDelta::seconds(1));
        for state in JobState::ALL {
            let run_at = if state == JobState::Scheduled { later } else { now };
            assert_eq!(JobState::of(state.number(), run_at, now), Some(state));
        }
        assert_eq!(JobState::of(7, now, now), None);
        assert_eq!(JobState::of(2, later, now), Some(JobState::Running), "whatever was planned");
    }
}
