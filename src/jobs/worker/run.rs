//! One run, from its start to what it leaves.

use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout},
};

use super::{UNKNOWN_KIND, Worker, outcome};
use crate::{
    auth::TenantScope,
    fault::{self, Point},
    jobs::{
        Context, Failure,
        begun::Begun,
        bus::Receipt,
        registry::Kind,
        running::{Slot, Stop},
    },
    store::jobs::{Ending, MOST_CRASHES, Outcome, Started, Ticket},
};

/// What a job that was cancelled half-way says.
const CANCELLED: &str = "cancelled";

impl Worker {
    pub(super) async fn run(
        self,
        started: Started,
        receipt: Option<Receipt>,
        mut slot: Slot,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        let Some(kind) = self.registry.get(&started.kind) else {
            // Its ticket called it something else.
            tracing::warn!(job = %started.ticket.job, kind = started.kind, "a kind of job that this process does not know");
            let ending = Ending::Later { after: UNKNOWN_KIND };
            return self.report(Some(Outcome { ticket: started.ticket, ending }), receipt).await;
        };
        let begin = Instant::now();
        let cx = self.context(kind, &started, &slot);
        let ending = if started.expired {
            Some(Ending::Dead { error: "expired before it could start".to_owned() })
        } else if started.crashes >= MOST_CRASHES {
            Some(Ending::Dead { error: format!("its worker fell silent {} times", started.crashes) })
        } else {
            self.execute(kind, &started, &cx, &mut slot).await
        };
        let ending = self.last_word(kind, &started, &cx, ending).await;
        let too_late = self.too_late(&started, &cx, &slot, ending.as_ref()).await;
        outcome::tell(&started, kind, ending.as_ref(), too_late, begin.elapsed());
        let outcome = ending.map(|ending| Outcome { ticket: started.ticket.clone(), ending });
        self.report(outcome, receipt).await;
        drop((slot, permit));
    }

    fn context(&self, kind: &Kind, started: &Started, slot: &Slot) -> Context {
        let Ticket { tenant, job, .. } = started.ticket;
        let store = &self.parts.store;
        Context {
            scope: TenantScope::of_job(tenant, job),
            job,
            kind: kind.name,
            tries: started.tries,
            max_tries: started.max_tries,
            store: store.clone(),
            keys: self.parts.keys.clone(),
            http: self.parts.http.clone(),
            ai: self.parts.ai.clone(),
            switches: self.parts.switches,
            public_url: self.parts.public_url.clone(),
            env: store.env().clone(),
            cancelled: slot.cancelled.clone(),
            begun: Begun::default(),
        }
    }

    /// Whether somebody asked for the run's end when there was nothing left to prevent. A run that has to come
    /// back, to write down what happened, is then not to be cancelled on its way.
    async fn too_late(&self, started: &Started, cx: &Context, slot: &Slot, ending: Option<&Ending>) -> bool {
        if slot.told() != Some(Stop::Cancelled) || ending.is_none_or(|ending| *ending == Ending::Cancelled) {
            return false;
        }
        if let Some(Ending::Retry { .. } | Ending::Crashed { .. } | Ending::Later { .. }) = ending
            && cx.begun.any()
            && let Err(error) = self.parts.store.system().forget_cancel(&started.ticket).await
        {
            tracing::warn!(%error, job = %started.ticket.job, "cannot take a cancellation back that came too late");
        }
        true
    }

    /// Before a job is dead, or cancelled half-way, whoever waits for it is told.
    async fn last_word(
        &self,
        kind: &Kind,
        started: &Started,
        cx: &Context,
        ending: Option<Ending>,
    ) -> Option<Ending> {
        let why = match &ending {
            Some(Ending::Dead { error }) => error.as_str(),
            Some(Ending::Crashed { error, .. }) if started.crashes + 1 >= MOST_CRASHES => error.as_str(),
            Some(Ending::Cancelled) => CANCELLED,
            _ => return ending,
        };
        let word = timeout(kind.timeout, (kind.give_up)(cx, &started.payload, why));
        let failure = match AssertUnwindSafe(word).catch_unwind().await {
            Ok(Ok(Ok(()))) => return ending,
            Ok(Ok(Err(error))) => Failure::from(error),
            Ok(Err(_)) => Failure::retry(anyhow::anyhow!("took too long")),
            Err(panic) => Failure::dead(anyhow::anyhow!("panicked: {}", words(panic.as_ref()))),
        };
        tracing::warn!(job = %started.ticket.job, kind = kind.name, %failure, "a job could not say that it is dead");
        // Somebody asked for the end of a cancelled one: it does not come back to say more.
        if matches!(failure, Failure::Dead(_)) || ending == Some(Ending::Cancelled) {
            return ending;
        }
        Some(Ending::Later { after: kind.backoff.after(started.tries, self.parts.store.env().chance()) })
    }

    /// `None` when the job is another worker's by now.
    async fn execute(&self, kind: &Kind, started: &Started, cx: &Context, slot: &mut Slot) -> Option<Ending> {
        let store = &self.parts.store;
        let work = async {
            fault::point(Point::WorkerInJob).await.map_err(Failure::retry)?;
            (kind.run)(cx, &started.payload).await
        };
        let work = AssertUnwindSafe(timeout(kind.timeout, work)).catch_unwind();
        let mut work = std::pin::pin!(work);
        let done = loop {
            let why = tokio::select! {
                done = &mut work => break done,
                why = slot.broken_off() => why,
            };
            match why {
                Stop::Lost => return None,
                // What may have happened is written down, and not left in doubt.
                Stop::Cancelled if cx.begun.any() => {}
                Stop::Cancelled => return Some(Ending::Cancelled),
                Stop::Shutdown => return Some(Ending::Later { after: Duration::ZERO }),
            }
        };
        let backoff = |tries| kind.backoff.after(tries, store.env().chance());
        let failure = match done {
            Ok(Ok(Ok(()))) => return Some(Ending::Done),
            Ok(Ok(Err(failure))) => failure,
            Ok(Err(_)) => {
                Failure::retry(anyhow::anyhow!("took longer than {} s", kind.timeout.as_secs_f32()))
            }
            Err(panic) => {
                let error = format!("panicked: {}", words(panic.as_ref()));
                return Some(Ending::Crashed { after: backoff(started.tries), error });
            }
        };
        Some(match (slot.told(), failure) {
            (Some(Stop::Lost), _) => return None,
            (Some(Stop::Cancelled), _) if !cx.begun.any() => Ending::Cancelled,
            (_, Failure::Snooze(after)) => Ending::Later { after },
            (Some(Stop::Shutdown), Failure::Retry { .. }) => Ending::Later { after: Duration::ZERO },
            (_, Failure::Dead(cause)) => Ending::Dead { error: format!("{cause:#}") },
            (_, Failure::Retry { cause, .. }) if cx.last_try() => {
                Ending::Dead { error: format!("{cause:#}") }
            }
            (_, Failure::Retry { after, cause }) => Ending::Retry {
                after: after.unwrap_or_else(|| backoff(started.tries)),
                error: format!("{cause:#}"),
            },
        })
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}
