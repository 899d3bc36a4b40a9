//! What is told of a run when it ended: one log line and one measurement. No text that a customer or an
//! operator wrote is in either.

use std::time::Duration;

use crate::{
    jobs::registry::Kind,
    store::jobs::{Ending, Started},
};

/// Tells how a run ended that took so long; `None` is one whose job is another worker's by now. `too_late`: when
/// somebody asked for its end there was nothing left to prevent.
pub(super) fn tell(started: &Started, kind: &Kind, ending: Option<&Ending>, too_late: bool, took: Duration) {
    let outcome = ending.map_or("lost", name);
    let labels = [("kind", kind.name), ("result", outcome)];
    metrics::counter!("switchboard_jobs_total", &labels).increment(1);
    metrics::histogram!("switchboard_job_seconds", &labels).record(took.as_secs_f64());
    if too_late {
        metrics::counter!("switchboard_jobs_cancel_too_late_total").increment(1);
    }
    if let Some(Ending::Dead { .. }) = ending {
        metrics::counter!("switchboard_jobs_dead_total", "why" => "failed").increment(1);
    }
    let error = match ending {
        Some(Ending::Dead { error } | Ending::Retry { error, .. } | Ending::Crashed { error, .. }) => {
            Some(error.chars().take(LONGEST).collect::<String>())
        }
        _ => None,
    };
    // The same fields at the level that suits.
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                tenant = %started.ticket.tenant,
                job = %started.ticket.job,
                kind = kind.name,
                queue = kind.queue.name(),
                epoch = started.ticket.epoch,
                tries = started.tries,
                crashes = started.crashes,
                outcome,
                cancel_too_late = too_late.then_some(true),
                ms = format_args!("{:.1}", took.as_secs_f64() * 1e3),
                error,
                "job"
            )
        };
    }
    match ending {
        Some(Ending::Dead { .. }) => line!(error),
        Some(Ending::Retry { .. } | Ending::Crashed { .. }) | None => line!(warn),
        Some(Ending::Done | Ending::Cancelled) => line!(info),
        Some(Ending::Later { .. }) => line!(debug),
    }
}

/// Characters of an error in a line; the row holds more of it.
const LONGEST: usize = 500;

fn name(ending: &Ending) -> &'static str {
    match ending {
        Ending::Done => "done",
        Ending::Retry { .. } => "retry",
        Ending::Crashed { .. } => "crashed",
        Ending::Later { .. } => "later",
        Ending::Dead { .. } => "dead",
        Ending::Cancelled => "cancelled",
    }
}
