//! The whole engine on the four pairs of database and bus.
use switchboard::{jobs::Terms, store::jobs::Ticket};

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promised_job_runs_once() {
    on_all(async |bench| {
        let engine = bench.start(|_| {}).await;
        for batch in 0..10 {
            let jobs: Vec<Scripted> = (0..50).map(|n| Scripted::new(batch * 50 + n, &[])).collect();
            bench.promise(&jobs, Terms::now()).await;
        }
        bench.settled(PATIENCE).await;
        engine.stop().await;
        let mut runs = runs(bench.tenant());
        assert_eq!(runs.len(), 500);
        runs.sort();
        runs.dedup();
        assert_eq!(runs.len(), 500);
        assert!(bench.rows().await.iter().all(|row| row.state == DONE && row.tries + row.crashes == 0));
        empty(&bench).await;
    })
    .await;
}

/// Redis holds nothing once everything ended: no entry, nothing pending.
pub async fn empty(bench: &Bench) {
    let Some(client) = &bench.redis else { return };
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> =
        redis::cmd("KEYS").arg("test:{jq:*}:s").query_async(&mut connection).await.unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        let length: u64 = redis::cmd("XLEN").arg(&key).query_async(&mut connection).await.unwrap();
        let pending: redis::streams::StreamPendingReply =
            redis::cmd("XPENDING").arg(&key).arg("w").query_async(&mut connection).await.unwrap();
        assert_eq!((length, pending.count()), (0, 0), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ordered_jobs_keep_their_order_through_failures() {
    on_all(async |bench| {
        let engine = bench.start(|_| {}).await;
        let keys: Vec<Uuid> = (0..5).map(|_| key()).collect();
        for n in 0..12 {
            for (k, key) in keys.iter().enumerate() {
                // Some fail once, some die, some panic.
                let acts = match (n + k) % 4 {
                    0 => vec![Act::Fail],
                    1 => vec![Act::Take(3)],
                    2 if n % 2 == 0 => vec![Act::Die],
                    3 if n % 3 == 0 => vec![Act::Panic],
                    _ => vec![],
                };
                let job = [Scripted::new(format!("{k}:{n:02}"), &acts)];
                bench.promise(&job, Terms::now().ordered(*key)).await;
            }
        }
        bench.settled(PATIENCE).await;
        engine.stop().await;
        let runs = runs(bench.tenant());
        for k in 0..keys.len() {
            let mut of: Vec<&String> = runs.iter().filter(|run| run.starts_with(&format!("{k}:"))).collect();
            assert!(of.is_sorted(), "{of:?}");
            of.dedup();
            assert_eq!(of.len(), 12);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_tried_again_until_their_last_try() {
    on_all(async |bench| {
        let engine = bench.start(|_| {}).await;
        let jobs = [
            Scripted::new("third time lucky", &[Act::Fail, Act::Fail]),
            Scripted::new("never", &[Act::Fail, Act::Fail, Act::Fail, Act::Fail]),
            Scripted::new("refused", &[Act::Die]),
            Scripted::new("later", &[Act::Snooze(100), Act::Snooze(10), Act::Snooze(10), Act::Snooze(10)]),
            Scripted::new("explosive", &[Act::Panic, Act::Panic, Act::Panic, Act::Panic]),
            Scripted::new("too long", &[Act::Take(60_000)]),
        ];
        let ids = bench.promise(&jobs, Terms::now()).await;
        bench.settled(PATIENCE).await;
        engine.stop().await;
        let mut ended = Vec::new();
        for id in ids {
            let row = bench.row(id).await;
            ended.push((row.state, row.tries, row.crashes));
        }
        assert_eq!(
            ended,
            [(DONE, 2, 0), (DEAD, 2, 0), (DEAD, 0, 0), (DONE, 0, 0), (DEAD, 0, 3), (DONE, 1, 0)]
        );
        let runs = runs(bench.tenant());
        let count = |name| runs.iter().filter(|run| *run == name).count();
        assert_eq!((count("never"), count("later"), count("explosive")), (3, 5, 3));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delayed_job_waits_and_an_expired_one_never_runs() {
    on_all(async |bench| {
        let engine = bench.start(|_| {}).await;
        let begin = Instant::now();
        let due = Env::system().now() + Duration::from_millis(700);
        let delayed = bench.promise(&[Scripted::new("delayed", &[])], Terms::now().at(due)).await[0];
        let expired = Terms::now().expires(Env::system().now() - Duration::from_secs(1));
        let expired = bench.promise(&[Scripted::new("expired", &[])], expired).await[0];
        bench.settled(PATIENCE).await;
        assert!(begin.elapsed() >= Duration::from_millis(690), "{:?}", begin.elapsed());
        assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
        engine.stop().await;
        assert_eq!(runs(bench.tenant()), ["delayed"]);
        assert_eq!((bench.row(delayed).await.state, bench.row(expired).await.state), (DONE, DEAD));
    })
    .await;
}

/// Claimed and committed, never published: the next leader dispatches it anew, long before its ticket's end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_relay_claimed_is_dispatched_by_the_next() {
    on_all(async |bench| {
        let jobs: Vec<Scripted> = (0..20).map(|n| Scripted::new(n, &[])).collect();
        bench.promise(&jobs, Terms::now()).await;
        let hour = Duration::from_secs(3_600);
        let claimed = bench.store.system().admit(Queue::Send, &[(bench.tenant(), 20)], hour).await.unwrap();
        assert_eq!(claimed.len(), 20);
        let engine = bench.start(|_| {}).await;
        bench.settled(PATIENCE).await;
        engine.stop().await;
        assert_eq!(runs(bench.tenant()).len(), 20);
        // A slow machine may lose the lead once more: each takeover is another epoch, and still one run.
        assert!(bench.rows().await.iter().all(|row| row.epoch >= 2));
    })
    .await;
}

/// Started, then nothing more is heard: the lease ends, another worker runs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_worker_started_is_run_by_another() {
    on_all(async |bench| {
        let ids = bench.promise(&[Scripted::new("a", &[])], Terms::now()).await;
        let system = bench.store.system();
        let tickets: Vec<Ticket> =
            system.admit(Queue::Send, &[(bench.tenant(), 1)], Duration::from_secs(60)).await.unwrap();
        system.start(&tickets, Duration::from_millis(800)).await.unwrap();
        let engine = bench.start(|_| {}).await;
        bench.settled(PATIENCE).await;
        engine.stop().await;
        let row = bench.row(ids[0]).await;
        assert_eq!((row.state, row.crashes), (DONE, 1));
        // As above: a takeover on a slow machine is one more dispatch.
        assert!(row.epoch >= 2, "{row:?}");
        assert_eq!(runs(bench.tenant()).len(), 1);
    })
    .await;
}

/// Runs in progress end, what waits stays ready, nothing counts as a failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_finishes_what_runs_and_returns_the_rest() {
    on_all(async |bench| {
        let jobs: Vec<Scripted> = (0..40).map(|n| Scripted::new(n, &[Act::Take(300)])).collect();
        bench.promise(&jobs, Terms::now()).await;
        let engine = bench.start(|settings| settings.slots = switchboard::jobs::Slots::each(8)).await;
        bench.until(PATIENCE, "first runs", async || bench.count(RUNNING).await >= 8).await;
        engine.stop().await;
        let rows = bench.rows().await;
        assert_eq!(rows.iter().filter(|row| row.state == RUNNING).count(), 0);
        assert!(rows.iter().all(|row| row.tries == 0 && row.crashes == 0));
        let done = rows.iter().filter(|row| row.state == DONE).count();
        assert_eq!(done, runs(bench.tenant()).len(), "everything that began was recorded");
        assert!((8..40).contains(&done), "{done}");

        let engine = bench.start(|_| {}).await;
        bench.settled(PATIENCE).await;
        engine.stop().await;
        assert_eq!(runs(bench.tenant()).len(), 40);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_outlasts_the_drain_is_broken_off_and_not_counted() {
    on_all(async |bench| {
        let registry = Registry::default().with::<Patient>();
        let engine = bench.start_with(registry, |settings| settings.drain = Duration::from_millis(100)).await;
        let patient = bench
            .store
            .of(bench.scope.clone())
            .transaction(async |db| switchboard::jobs::enqueue(db, &Patient {}, Terms::now()).await)
            .await
            .unwrap()
            .unwrap();
        bench.until(PATIENCE, "the run", async || bench.row(patient).await.state == RUNNING).await;
        let begin = Instant::now();
        engine.stop().await;
        assert!(begin.elapsed() < Duration::from_secs(8));
        let row = bench.row(patient).await;
        assert_eq!((row.state, row.tries, row.crashes), (READY, 0, 0));
    })
    .await;
}

/// Waits longer than any test.
#[derive(Serialize, Deserialize)]
struct Patient {}

impl Job for Patient {
    const NAME: &'static str = "patient";
    const QUEUE: Queue = Queue::Sys;

    async fn run(&self, _: &Context) -> Result<(), Failure> {
        std::future::pending().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_job_can_be_cancelled() {
    on_all(async |bench| {
        let engine = bench.start_with(Registry::default().with::<Patient>(), |_| {}).await;
        let db = bench.store.of(bench.scope.clone());
        let id = db
            .transaction(async |db| switchboard::jobs::enqueue(db, &Patient {}, Terms::now()).await)
            .await
            .unwrap()
            .unwrap();
        bench.until(PATIENCE, "the run", async || bench.row(id).await.state == RUNNING).await;
        assert!(db.transaction(async |db| db.cancel_job(id).await).await.unwrap());
        bench.settled(PATIENCE).await;
        engine.stop().await;
        assert_eq!(bench.row(id).await.state, CANCELLED);
    })
    .await;
}

/// The readers of Redis and of this process's memory share the slots: neither may hold them while it waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_engine_starts_a_job_at_once() {
    on_all(async |bench| {
        let engine = bench.start(|_| {}).await;
        bench.promise(&[Scripted::new("first", &[])], Terms::now()).await;
        bench.settled(PATIENCE).await;
        let mut waits = Vec::new();
        for n in 0..20 {
            tokio::time::sleep(Duration::from_millis(137)).await;
            let begin = Instant::now();
            bench.promise(&[Scripted::new(n, &[])], Terms::now()).await;
            bench.settled(PATIENCE).await;
            waits.push(begin.elapsed());
        }
        engine.stop().await;
        waits.sort();
        // Held slots would cost up to a second every other time; a busy machine costs less.
        assert!(waits[15] < Duration::from_millis(500), "{waits:?}");
    })
    .await;
}

/// One process admits, another one runs: they meet in the database and in Redis alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_can_be_split() {
    on_redis(async |bench| {
        let relay = bench.start(|settings| settings.work = false).await;
        let worker = bench.start(|settings| settings.relay = false).await;
        let key = key();
        let jobs: Vec<Scripted> = (0..20).map(|n| Scripted::new(format!("{n:02}"), &[])).collect();
        bench.promise(&jobs, Terms::now().ordered(key)).await;
        bench.settled(PATIENCE).await;
        worker.stop().await;
        relay.stop().await;
        let runs = runs(bench.tenant());
        assert!(runs.is_sorted() && runs.len() == 20, "{runs:?}");
        empty(&bench).await;
    })
    .await;
}

/// Has many short steps.
#[derive(Serialize, Deserialize)]
struct Long {}

const STEPS: i64 = 60;

impl Job for Long {
    const NAME: &'static str = "long";
    const QUEUE: Queue = Queue::Sys;

    async fn run(&self, cx: &Context) -> Result<(), Failure> {
        let mut progress = cx.progress(STEPS);
        for step in 1..=STEPS {
            tokio::time::sleep(Duration::from_millis(25)).await;
            progress.at(step).await?;
        }
        Ok(())
    }
}

/// Who waits for a long job hears from it, and not with every step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_job_tells_how_far_it_is() {
    on_all(async |bench| {
        let engine = bench.start_with(Registry::default().with::<Long>(), |_| {}).await;
        let db = bench.store.of(bench.scope.clone());
        let begin = Instant::now();
        let id = db.transaction(async |db| switchboard::jobs::enqueue(db, &Long {}, Terms::now()).await);
        let id = id.await.unwrap().unwrap();
        bench.settled(PATIENCE).await;
        let took = begin.elapsed();
        engine.stop().await;
        let told = bench
            .ask("select subject, cast(payload as text) as told from event where kind = 'job.progressed' order by id", [])
            .await;
        let told: Vec<serde_json::Value> = told
            .iter()
            .map(|row| {
                assert_eq!(row.try_get::<String>("", "subject").unwrap(), id.to_string());
                serde_json::from_str(&row.try_get::<String>("", "told").unwrap()).unwrap()
            })
            .collect();
        let steps: Vec<i64> = told.iter().map(|told| told["done"].as_i64().unwrap()).collect();
        assert!(steps.is_sorted() && steps.last() == Some(&STEPS), "{steps:?}");
        // The first, one a second, the last.
        assert!(steps.len() >= 3 && steps.len() as u64 <= took.as_secs() + 2, "{steps:?} in {took:?}");
        assert_eq!((&told[0]["job_kind"], &told[0]["total"]), (&"long".into(), &STEPS.into()));
    })
    .await;
}
