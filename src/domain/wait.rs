//! How long somebody else may have us wait.

use std::time::Duration;

/// The longest wait before the next try, whatever was asked for: a tenant chooses who answers, and no answer
/// may put a message off for good.
pub const LONGEST: Duration = Duration::from_secs(3600);

/// What a `Retry-After` asks for, in seconds and at most [`LONGEST`]; the form with a date is not used by those
/// we call.
pub fn retry_after(header: &str) -> Option<Duration> {
    let asked = header.trim().parse().ok().map(Duration::from_secs)?;
    Some(asked.min(LONGEST))
}
