//! Effects under trouble: what a run that died half-way leaves, and what the next one may do.
use switchboard::jobs::{Intent, Policy, Terms, enqueue};

use super::*;

/// Sends through a provider that takes the message and does not answer.
#[derive(Serialize, Deserialize)]
struct Sending {
    policy: String,
}

static SENT: LazyLock<Mutex<Vec<JobId>>> = LazyLock::new(Mutex::default);

fn policy(name: &str) -> Policy {
    match name {
        "key" => Policy::Key,
        "lookup" => Policy::Lookup,
        "resend" => Policy::Resend,
        _ => Policy::Hold,
    }
}

impl Job for Sending {
    const NAME: &'static str = "sending";
    const QUEUE: Queue = Queue::Send;
    const BACKOFF: Backoff = Backoff { base: Duration::from_millis(5), cap: Duration::from_millis(5) };

    async fn run(&self, cx: &Context) -> Result<(), Failure> {
        let effect = cx.effect(0);
        let db = cx.store.of(cx.scope.clone());
        match effect.begin(policy(&self.policy)).await? {
            Intent::AlreadyDone(_) => return Ok(()),
            Intent::Fresh => {
                SENT.lock().unwrap().push(cx.job);
                if cx.tries == 0 {
                    // After the provider took it, before that is on record.
                    return Err(Failure::retry(anyhow::anyhow!("the connection broke")));
                }
                db.transaction(async |db| effect.done(db, Some("p1")).await).await?;
                return Err(Failure::retry(anyhow::anyhow!("died after the record")));
            }
            Intent::Ambiguous => {}
        }
        if self.policy == "lookup" {
            // The provider says that it has it.
            db.transaction(async |db| effect.done(db, Some("p1")).await).await?;
        } else {
            db.transaction(async |db| effect.unknown(db).await).await?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_effect_is_repeated_only_where_the_policy_allows() {
    on_all(async |bench| {
        let engine = bench.start_with(Registry::default().with::<Sending>(), |_| {}).await;
        let db = bench.store.of(bench.scope.clone());
        let mut sent = Vec::new();
        for policy in ["key", "resend", "lookup", "hold"] {
            let job = Sending { policy: policy.to_owned() };
            let id = db.transaction(async |db| enqueue(db, &job, Terms::now()).await).await.unwrap().unwrap();
            bench.settled(Duration::from_secs(20)).await;
            assert_eq!(bench.row(id).await.state, DONE);
            sent.push(SENT.lock().unwrap().iter().filter(|job| **job == id).count());
        }
        engine.stop().await;
        assert_eq!(sent, [2, 2, 1, 1]);
        let states = bench.ask("select state from effect order by created_at", []).await;
        let states: Vec<i16> = states.iter().map(|row| row.try_get("", "state").unwrap()).collect();
        assert_eq!(states, [2, 2, 2, 3], "the last one is for a person");
    })
    .await;
}

/// A kind of a newer version is nobody's to judge here: it waits for a process that knows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_kind_is_left_for_who_knows_it() {
    on_all(async |bench| {
        let id = bench.promise(&[Scripted::new("new", &[])], Terms::now()).await[0];
        let engine = bench.start_with(Registry::default(), |_| {}).await;
        let took = async || bench.row(id).await.epoch >= 1;
        bench.until(Duration::from_secs(10), "the dispatch", took).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        engine.stop().await;
        let row = bench.row(id).await;
        assert!(matches!(row.state, READY | DISPATCHED), "{row:?}");
        assert_eq!((row.tries, row.crashes), (0, 0));
        // Its ticket sleeps for half a minute; a new leader need not wait for it.
        let engine = bench.start(|_| {}).await;
        bench.settled(Duration::from_secs(20)).await;
        engine.stop().await;
        assert_eq!(runs(bench.tenant()), ["new"]);
    })
    .await;
}
