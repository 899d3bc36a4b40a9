//! How jobs end before they are done: cancelled, or at a gate that stays shut.
use switchboard::jobs::{Terms, enqueue};

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// Waits to be told, then does as it is called.
#[derive(Serialize, Deserialize)]
struct Obedient {
    then: String,
}

static LAST: LazyLock<Mutex<Vec<(JobId, String)>>> = LazyLock::new(Mutex::default);

impl Job for Obedient {
    const NAME: &'static str = "obedient";
    const QUEUE: Queue = Queue::Sys;

    async fn run(&self, cx: &Context) -> Result<(), Failure> {
        cx.cancelled.cancelled().await;
        match self.then.as_str() {
            "stops" => Err(Failure::retry(anyhow::anyhow!("stopped half-way"))),
            "finishes" => Ok(()),
            _ => std::future::pending().await,
        }
    }

    async fn give_up(&self, cx: &Context, why: &str) -> switchboard::error::Result<()> {
        LAST.lock().unwrap().push((cx.job, why.to_owned()));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_job_hears_its_cancellation_and_its_last_word_is_heard() {
    on_all(async |bench| {
        let engine = bench.start_with(Registry::default().with::<Obedient>(), |_| {}).await;
        let db = bench.store.of(bench.scope.clone());
        for (then, state, last) in [
            ("stops", CANCELLED, vec!["cancelled"]),
            // Too late: what it did is done.
            ("finishes", DONE, vec![]),
            ("stays", CANCELLED, vec!["cancelled"]),
        ] {
            let job = Obedient { then: then.to_owned() };
            let id = db.transaction(async |db| enqueue(db, &job, Terms::now()).await).await.unwrap().unwrap();
            bench.until(PATIENCE, "the run", async || bench.row(id).await.state == RUNNING).await;
            assert!(db.transaction(async |db| db.cancel_job(id).await).await.unwrap());
            bench.settled(PATIENCE).await;
            let row = bench.row(id).await;
            assert_eq!((row.state, row.tries, row.crashes), (state, 0, 0), "{then}");
            let said: Vec<String> =
                LAST.lock().unwrap().iter().filter(|(of, _)| *of == id).map(|(_, why)| why.clone()).collect();
            assert_eq!(said, last, "{then}");
        }
        engine.stop().await;
    })
    .await;
}

/// Those who come after one that died must not go on without it.
#[derive(Serialize, Deserialize)]
struct Strict {
    dies: bool,
}

impl Job for Strict {
    const NAME: &'static str = "strict";
    const QUEUE: Queue = Queue::Bill;
    const HALT: bool = true;

    async fn run(&self, _: &Context) -> Result<(), Failure> {
        if self.dies { Err(Failure::dead(anyhow::anyhow!("no"))) } else { Ok(()) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halted_key_stays_shut_and_others_go_on() {
    on_all(async |bench| {
        let (shut, open) = (key(), key());
        let db = bench.store.of(bench.scope.clone());
        let promise = async |dies, key| {
            let promised =
                db.transaction(async |db| enqueue(db, &Strict { dies }, Terms::now().ordered(key)).await);
            promised.await.unwrap().unwrap()
        };
        let first = [promise(false, shut).await, promise(true, shut).await];
        let behind = promise(false, shut).await;
        let other = [promise(false, open).await, promise(false, open).await];
        let engine = bench.start_with(Registry::default().with::<Strict>(), |_| {}).await;
        let through =
            async || bench.row(other[1]).await.state == DONE && bench.row(first[1]).await.state == DEAD;
        bench.until(PATIENCE, "the other key, and the end of the first", through).await;
        engine.stop().await;
        assert_eq!(bench.row(first[0]).await.state, DONE);
        assert_eq!((bench.row(behind).await.state, bench.row(behind).await.epoch), (BLOCKED, 0));
        // The one that died is what keeps the gate shut: it stays where it can be redriven.
        let moved = bench.store.system().archive_jobs(Duration::ZERO).await.unwrap();
        assert_eq!(moved, 3);
        assert_eq!((bench.row(first[1]).await.state, bench.row(behind).await.state), (DEAD, BLOCKED));
        let late = promise(false, shut).await;
        assert_eq!(bench.row(late).await.state, BLOCKED);
    })
    .await;
}
