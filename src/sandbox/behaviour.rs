//! Faults on request.

use serde::{Deserialize, Serialize};

/// How the providers behave. The default is well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Extra copies of every webhook, delivered at the same time as the first.
    pub duplicates: u32,
    /// Statuses come last one first; messages of one request come shuffled.
    pub reorder: bool,
    /// Before every answer.
    pub delay_ms: u64,
    /// Before every status.
    pub status_delay_ms: u64,
    /// No statuses at all.
    pub silent: bool,
    /// The share of calls, 0 to 1, that fail with the provider's own 500.
    pub error_rate: f64,
    pub fail_next: Option<FailNext>,
    pub rate_limit: Option<RateLimit>,
    /// So many messages are taken, and their answers never come.
    pub timeout_after_accept: u32,
    /// So many messages are taken, and answered with the provider's own 500.
    pub fail_after_accept: u32,
    /// Nothing is served: 503.
    pub outage: bool,
}

/// The next calls fail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailNext {
    pub count: u32,
    /// WhatsApp's error code (131047); for the others an HTTP status (403).
    pub code: i64,
    /// So many calls go well before.
    #[serde(default)]
    pub after: u32,
}

/// The next calls are too many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    pub count: u32,
    /// Seconds.
    pub retry_after: u64,
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Serve,
    /// Do it, and never answer.
    LoseAnswer,
    /// Do it, and say that it failed.
    Lie,
    Fail(i64),
    FailInside,
    Limit(u64),
    Outage,
}

impl Behaviour {
    /// Decides, and counts down. `chance` is in `[0, 1)`.
    pub(super) fn fate(&mut self, chance: f64) -> Fate {
        if self.outage {
            return Fate::Outage;
        }
        if let Some(limit) = self.rate_limit.as_mut().filter(|limit| limit.count > 0) {
            limit.count -= 1;
            return Fate::Limit(limit.retry_after);
        }
        if let Some(fail) = self.fail_next.as_mut().filter(|fail| fail.count > 0) {
            if fail.after == 0 {
                fail.count -= 1;
                return Fate::Fail(fail.code);
            }
            fail.after -= 1;
        }
        if chance < self.error_rate {
            return Fate::FailInside;
        }
        if self.timeout_after_accept > 0 {
            self.timeout_after_accept -= 1;
            return Fate::LoseAnswer;
        }
        if self.fail_after_accept > 0 {
            self.fail_after_accept -= 1;
            return Fate::Lie;
        }
        Fate::Serve
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_counted_down() {
        let mut behaviour: Behaviour = serde_json::from_str(
            r#"{"rate_limit":{"count":1,"retry_after":3},"fail_next":{"count":2,"code":131056},"timeout_after_accept":1,
                "fail_after_accept":1}"#,
        )
        .unwrap();
        let fates: Vec<_> = (0..6).map(|_| behaviour.fate(0.5)).collect();
        let expected = [
            Fate::Limit(3),
            Fate::Fail(131_056),
            Fate::Fail(131_056),
            Fate::LoseAnswer,
            Fate::Lie,
            Fate::Serve,
        ];
        assert_eq!(fates, expected);
        behaviour.error_rate = 0.6;
        assert_eq!(behaviour.fate(0.5), Fate::FailInside);
        behaviour.outage = true;
        assert_eq!(behaviour.fate(0.5), Fate::Outage);
    }
}
