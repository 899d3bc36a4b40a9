//! A paused queue holds its jobs back and runs what it began; resumed, it goes on.
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use switchboard::{
    domain::queue::Queue,
    jobs::{Context, Failure, Job, Registry, Terms, enqueue},
};

use super::Control;
use crate::{
    jobs::{Act, Bench, DONE, READY, Scripted, on_all, runs},
    support::both,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs in a queue that nobody paused.
#[derive(Serialize, Deserialize)]
struct Elsewhere;

impl Job for Elsewhere {
    const NAME: &'static str = "elsewhere";
    const QUEUE: Queue = Queue::Sys;

    async fn run(&self, _cx: &Context) -> Result<(), Failure> {
        Ok(())
    }
}

async fn set(bench: &Bench, queue: Queue, paused: bool) -> bool {
    let system = bench.store.system();
    let set = async |db: &switchboard::store::SystemDb<switchboard::store::Tx>| match paused {
        true => db.pause_queue(queue, "a test", "tests").await,
        false => db.resume_queue(queue).await,
    };
    system.transaction(set).await.unwrap()
}

/// Three jobs of another queue, one after the other: whoever handed them out has gone by the paused one since.
async fn others_go_by(bench: &Bench) {
    for _ in 0..3 {
        let done = bench.count(DONE).await;
        let db = bench.store.of(bench.scope.clone());
        db.transaction(async |db| enqueue(db, &Elsewhere, Terms::now()).await).await.unwrap();
        bench.until(PATIENCE, "another queue's job", async || bench.count(DONE).await > done).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_queue_holds_and_a_resumed_one_lets_go() {
    on_all(async |bench| {
        assert!(set(&bench, Queue::Send, true).await);
        assert!(!set(&bench, Queue::Send, true).await, "a repeat");
        let registry = Registry::default().with::<Scripted>().with::<Elsewhere>();
        let engine = bench.start_with(registry, |_| {}).await;
        let held = bench.promise(&[Scripted::new("held", &[])], Terms::now()).await[0];
        others_go_by(&bench).await;
        assert_eq!((bench.row(held).await.state, bench.row(held).await.epoch), (READY, 0));
        assert!(runs(bench.tenant()).is_empty());

        assert!(set(&bench, Queue::Send, false).await);
        assert!(!set(&bench, Queue::Send, false).await, "a repeat");
        bench.settled(PATIENCE).await;

        // What runs when the pause comes runs to its end; what comes after it waits.
        let long = bench.promise(&[Scripted::new("long", &[Act::Take(1_000)])], Terms::now()).await[0];
        bench.until(PATIENCE, "it runs", async || runs(bench.tenant()).len() == 2).await;
        set(&bench, Queue::Send, true).await;
        // Longer than any relay takes to hear of it.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let held = bench.promise(&[Scripted::new("held", &[])], Terms::now()).await[0];
        bench.until(PATIENCE, "it ends", async || bench.row(long).await.state == DONE).await;
        others_go_by(&bench).await;
        assert_eq!(bench.row(held).await.state, READY);
        set(&bench, Queue::Send, false).await;
        bench.settled(PATIENCE).await;
        engine.stop().await;
        assert_eq!(runs(bench.tenant()), ["held", "long", "held"]);
    })
    .await;
}

/// The service writes what relays read; a repeat says so, under the same key it is the same answer.
#[tokio::test]
async fn pausing_is_recorded_and_repeats_are_told() {
    both(async |pair| {
        let control = Control::start(&pair).await;
        let request = json!({"queue": "JOB_QUEUE_AI", "reason": "the model is down"});
        assert_eq!(control.ok("PauseQueue", request.clone()).await["alreadyInState"], false);
        let pauses = control.app.store().system().pauses().await.unwrap();
        let pause = &pauses[&Queue::Ai];
        assert_eq!(pauses.len(), 1);
        assert_eq!(pause.reason, "the model is down");
        assert!(pause.actor.starts_with("user:usr_"), "{}", pause.actor);
        assert_eq!(control.ok("PauseQueue", request.clone()).await["alreadyInState"], true);
        assert_eq!(control.ok("ResumeQueue", request.clone()).await["alreadyInState"], false);
        assert_eq!(control.ok("ResumeQueue", request).await["alreadyInState"], true);
        assert!(control.app.store().system().pauses().await.unwrap().is_empty());

        let recorded = control.app.store().system().actions_on("queue", "ai").await.unwrap();
        let recorded: Vec<_> =
            recorded.iter().map(|action| (action.action.as_str(), action.previous.is_some())).collect();
        assert_eq!(
            recorded,
            [("queue.pause", true), ("queue.pause", false), ("queue.resume", true), ("queue.resume", false)]
        );
        let none = control.call("PauseQueue", json!({"reason": "a test"})).await.unwrap_err();
        assert_eq!(none.fields, ["queue"]);
    })
    .await;
}
