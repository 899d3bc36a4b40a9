//! Tickets and payloads that say what is not so: fenced, set aside or dead, and the queue goes on.
use switchboard::{
    jobs::Terms,
    store::jobs::{Held, Ticket},
};

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);
const TTL: Duration = Duration::from_secs(60);

/// The key of a job carries its tenant: under another one it is nobody's.
#[tokio::test]
async fn a_ticket_with_a_foreign_tenant_is_worth_nothing() {
    on_databases(async |bench| {
        let id = bench.promise(&[Scripted::new("a", &[])], Terms::now()).await[0];
        let stranger = bench.newcomer().await;
        let system = bench.store.system();
        let ours = system.admit(Queue::Send, &[(bench.tenant(), 1)], TTL).await.unwrap().remove(0);
        let theirs = Ticket { tenant: stranger.tenant(), ..ours.clone() };
        let nobodys = Ticket { job: Env::system().id(), ..ours.clone() };
        let tomorrows = Ticket { epoch: i32::MAX, ..ours.clone() };
        let forged = [theirs, nobodys, tomorrows];
        let before = bench.row(id).await;

        assert!(system.start(&forged, TTL).await.unwrap().is_empty());
        assert_eq!(system.heartbeat(&forged, TTL).await.unwrap(), [Held::Lost; 3]);
        assert_eq!(system.unadmit(&forged).await.unwrap(), 0);
        assert_eq!(bench.row(id).await, before);
        assert_eq!(system.start(&[ours], TTL).await.unwrap().len(), 1);
    })
    .await;
}

/// A stale ticket and a good one of the same job in one batch, in either order: the good one starts.
#[tokio::test]
async fn of_two_dispatches_in_one_batch_the_present_one_starts() {
    on_databases(async |bench| {
        let system = bench.store.system();
        for stale_first in [true, false] {
            bench.promise(&[Scripted::new("a", &[])], Terms::now()).await;
            let quota = [(bench.tenant(), 1)];
            let stale = system.admit(Queue::Send, &quota, TTL).await.unwrap().remove(0);
            system.unadmit(std::slice::from_ref(&stale)).await.unwrap();
            let good = system.admit(Queue::Send, &quota, TTL).await.unwrap().remove(0);
            assert_eq!((stale.job, stale.epoch + 1), (good.job, good.epoch));
            let mut batch = vec![stale.clone(), good.clone()];
            if !stale_first {
                batch.reverse();
            }
            let started = system.start(&batch, TTL).await.unwrap();
            let started: Vec<Ticket> = started.into_iter().map(|started| started.ticket).collect();
            assert_eq!(started, std::slice::from_ref(&good));
            // A process that slept over its lease may hold both: it must learn which one it lost.
            let held = system.heartbeat(&[stale, good], TTL).await.unwrap();
            assert_eq!(held, [Held::Lost, Held::Ours]);
        }
    })
    .await;
}

/// The record alone says what a job is and whose.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_tickets_change_nothing_for_the_jobs_they_name() {
    on_redis(async |bench| {
        let relay = bench.start(|settings| settings.work = false).await;
        let stranger = bench.newcomer().await;
        let jobs: Vec<Scripted> = (0..3).map(|n| Scripted::new(n, &[])).collect();
        let ids = bench.promise(&jobs, Terms::now()).await;
        bench.until(PATIENCE, "the dispatch", async || bench.count(DISPATCHED).await == 3).await;
        // Of the epoch that is about to run: a foreign tenant, another kind, a kind that nobody knows.
        let mut redis = bench.redis.as_ref().unwrap().get_multiplexed_async_connection().await.unwrap();
        let forged =
            [(stranger.tenant(), "scripted"), (bench.tenant(), "mistaken"), (bench.tenant(), "future")];
        for (id, (tenant, kind)) in ids.iter().zip(forged) {
            let mut add = redis::cmd("XADD");
            add.arg("test:{jq:send:0}:s")
                .arg("*")
                .arg("j")
                .arg(id.0.as_bytes())
                .arg("t")
                .arg(tenant.0.as_bytes());
            add.arg("k").arg(kind).arg("e").arg(bench.row(*id).await.epoch);
            let _: String = add.query_async(&mut redis).await.unwrap();
        }
        let registry = Registry::default().with::<Scripted>().with::<Mistaken>();
        let worker = bench.start_with(registry, |settings| settings.relay = false).await;
        bench.settled(PATIENCE).await;
        worker.stop().await;
        relay.stop().await;
        let mut runs = runs(bench.tenant());
        runs.sort();
        assert_eq!(runs, ["0", "1", "2"]);
        assert!(super::runs(stranger.tenant()).is_empty());
        assert!(bench.rows().await.iter().all(|row| row.state == DONE && row.tries + row.crashes == 0));
    })
    .await;
}

/// What a forged ticket calls a scripted job: it has no payload that would fit.
#[derive(Serialize, Deserialize)]
struct Mistaken {
    other: u64,
}

impl Job for Mistaken {
    const NAME: &'static str = "mistaken";
    const QUEUE: Queue = Queue::Send;

    async fn run(&self, _: &Context) -> Result<(), Failure> {
        panic!("this is not what was promised");
    }
}

/// A payload that its kind cannot read is dead at once, and holds up neither its queue nor its followers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_that_cannot_be_read_is_dead_and_blocks_nobody() {
    on_all(async |bench| {
        let ordered = Terms::now().ordered(key());
        let bad = bench.promise(&[Scripted::new("bad", &[])], ordered.clone()).await[0];
        bench.promise(&[Scripted::new("next", &[])], ordered).await;
        let plain = bench.promise(&[Scripted::new("plain", &[])], Terms::now()).await[0];
        for (id, payload) in [(bad, b"{\"name\": 7".to_vec()), (plain, vec![0xff, 0x00])] {
            bench.ask("update job set payload = $1 where id = $2", [payload.into(), id.into()]).await;
        }
        let engine = bench.start(|_| {}).await;
        bench.settled(PATIENCE).await;
        engine.stop().await;
        assert_eq!((bench.row(bad).await.state, bench.row(plain).await.state), (DEAD, DEAD));
        assert!(bench.row(bad).await.error.is_some());
        assert_eq!(runs(bench.tenant()), ["next"]);
    })
    .await;
}

/// A queue that only a newer version knows is left to it; the others go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_of_a_newer_version_is_left_alone() {
    on_all(async |bench| {
        let ids = bench.promise(&[Scripted::new("new", &[]), Scripted::new("old", &[])], Terms::now()).await;
        bench.ask("update job set queue = 99 where id = $1", [ids[0].into()]).await;
        let engine = bench.start(|_| {}).await;
        bench.until(PATIENCE, "the other one", async || bench.row(ids[1]).await.state == DONE).await;
        engine.stop().await;
        assert_eq!((bench.row(ids[0]).await.state, bench.row(ids[0]).await.epoch), (READY, 0));
    })
    .await;
}
