//! Cancelling what runs: the handler is told, and what it did by then stands.
use std::time::Duration;

use serde::{Deserialize, Serialize};
use switchboard::{
    domain::queue::Queue,
    jobs::{Context, Failure, Intent, Job, Policy, Registry, Terms, enqueue},
    store::jobs::{Ending, Outcome},
};

use super::TTL;
use crate::jobs::{
    BLOCKED, Bench, CANCELLED, DEAD, DONE, READY, RUNNING, Scripted, key, on_all, on_databases,
};

const PATIENCE: Duration = Duration::from_secs(40);

/// Waits to be cancelled; before that it may have an effect, which takes until long after.
#[derive(Clone, Serialize, Deserialize)]
struct Patient {
    effect: bool,
    /// Whether it fails once before it can say what came of the effect.
    fails: bool,
}

impl Job for Patient {
    const NAME: &'static str = "patient";
    const QUEUE: Queue = Queue::Send;

    async fn run(&self, cx: &Context) -> Result<(), Failure> {
        if !self.effect {
            cx.cancelled.cancelled().await;
            return Err(Failure::retry(anyhow::anyhow!("told to end")));
        }
        let effect = cx.effect(0);
        if effect.begin(Policy::Key).await? == Intent::Fresh && cx.tries == 0 {
            cx.cancelled.cancelled().await;
            // Longer than a run that is told to end may take.
            tokio::time::sleep(Duration::from_secs(3)).await;
            if self.fails {
                return Err(Failure::Retry {
                    after: Some(Duration::ZERO),
                    cause: anyhow::anyhow!("no answer"),
                });
            }
        }
        let db = cx.store.of(cx.scope.clone());
        db.transaction(async |db| effect.done(db, Some("sent")).await).await?;
        Ok(())
    }
}

async fn patient(bench: &Bench, job: Patient) -> switchboard::id::JobId {
    let db = bench.store.of(bench.scope.clone());
    let id = db.transaction(async |db| enqueue(db, &job, Terms::now()).await).await.unwrap().unwrap();
    bench.until(PATIENCE, "it runs", async || bench.row(id).await.state == RUNNING).await;
    assert!(db.transaction(async |db| db.cancel_job(id).await).await.unwrap());
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_job_ends_when_it_is_told_unless_its_effect_may_have_happened() {
    on_all(async |bench| {
        let engine = bench.start_with(Registry::default().with::<Patient>(), |_| {}).await;
        let plain = patient(&bench, Patient { effect: false, fails: false }).await;
        let sends = patient(&bench, Patient { effect: true, fails: false }).await;
        let fails = patient(&bench, Patient { effect: true, fails: true }).await;
        bench.settled(PATIENCE).await;
        engine.stop().await;

        assert_eq!(bench.row(plain).await.state, CANCELLED);
        assert_eq!(bench.row(sends).await.state, DONE, "its effect happened");
        let row = bench.row(fails).await;
        assert_eq!((row.state, row.tries), (DONE, 1), "it comes back to write down what happened");
        let done = bench.ask("select count(*) as n from effect where state = 2", []).await;
        assert_eq!(done[0].try_get::<i64>("", "n").unwrap(), 2);
    })
    .await;
}

/// A run that ends before it hears of it does not come back, and lets its followers go.
#[tokio::test]
async fn what_was_cancelled_while_it_ran_does_not_run_again() {
    on_databases(async |bench| {
        for (ending, expected) in [
            (Ending::Retry { after: TTL, error: "no".to_owned() }, CANCELLED),
            (Ending::Later { after: TTL }, CANCELLED),
            (Ending::Crashed { after: TTL, error: "no".to_owned() }, CANCELLED),
            (Ending::Dead { error: "no".to_owned() }, DEAD),
            (Ending::Done, DONE),
        ] {
            let jobs = [Scripted::new("a", &[]), Scripted::new("b", &[])];
            let ids = bench.promise(&jobs, Terms::now().ordered(key())).await;
            let system = bench.store.system();
            let tickets = system.admit(Queue::Send, &[(bench.tenant(), 100)], TTL).await.unwrap();
            let ticket = tickets.into_iter().find(|ticket| ticket.job == ids[0]).unwrap();
            system.start(std::slice::from_ref(&ticket), TTL).await.unwrap();
            let db = bench.store.of(bench.scope.clone());
            assert!(db.transaction(async |db| db.cancel_job(ids[0]).await).await.unwrap());
            assert_eq!(bench.row(ids[1]).await.state, BLOCKED);
            let outcome = Outcome { ticket, ending: ending.clone() };
            system.finish(&[outcome]).await.unwrap();
            assert_eq!(bench.row(ids[0]).await.state, expected, "{ending:?}");
            assert_eq!(bench.row(ids[1]).await.state, READY, "{ending:?}");
            assert!(db.transaction(async |db| db.cancel_job(ids[1]).await).await.unwrap());
        }
    })
    .await;
}
