//! A Redis that is there and does not do its part: it evicts, refuses, forgets half, or keeps the dead.
use switchboard::{
    error::Error,
    jobs::{RedisBus, Terms, bus::Bus},
    store::jobs::Ticket,
};

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn bus(bench: &Bench) -> Bus {
    Bus::Redis(RedisBus::new(bench.redis.clone().unwrap(), "test:".to_owned(), 1, key()))
}

async fn tell(client: &redis::Client, command: &[&str]) {
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let () = redis::cmd(command[0]).arg(&command[1..]).query_async(&mut connection).await.unwrap();
}

/// How many tickets were ever added to the lanes of a queue.
async fn added(bench: &Bench, queue: &str) -> u64 {
    let client = bench.redis.as_ref().unwrap();
    let Ok(mut connection) = client.get_multiplexed_async_connection().await else { return 0 };
    let mut added = 0;
    for lane in 0..4 {
        let info: redis::RedisResult<redis::streams::StreamInfoStreamReply> = redis::cmd("XINFO")
            .arg("STREAM")
            .arg(format!("test:{{jq:{queue}:{lane}}}:s"))
            .query_async(&mut connection)
            .await;
        added += info.map_or(0, |info| u64::from(info.last_generated_id != "0-0"));
    }
    added
}

/// Under `allkeys-lru` tickets may go without a trace: such a server is refused by name. Full under `noeviction` it
/// takes no more tickets: then they go through the memory of the process, and back once there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_evicts_is_refused_and_a_full_one_is_done_without() {
    let cluster = Cluster::start();
    let mut bench = Bench::over(Pair::postgres().await, false).await;
    let client = redis::Client::open(cluster.redis_url(0)).unwrap();
    bench.redis = Some(client.clone());
    tell(&client, &["CONFIG", "SET", "maxmemory", "500mb", "maxmemory-policy", "allkeys-lru"]).await;
    let refused = bench.try_start(Registry::default(), |_| {}).await.err();
    assert!(matches!(&refused, Some(error) if error.reason() == "REDIS_EVICTS"), "{refused:?}");

    tell(&client, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    let engine = bench.start(|_| {}).await;
    bench.promise(&[Scripted::new("before", &[])], Terms::now()).await;
    bench.settled(PATIENCE).await;
    tell(&client, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let jobs: Vec<Scripted> = (0..30).map(|n| Scripted::new(format!("full {n}"), &[])).collect();
    bench.promise(&jobs, Terms::now()).await;
    bench.settled(PATIENCE).await;
    tell(&client, &["CONFIG", "SET", "maxmemory", "0"]).await;
    tell(&client, &["FLUSHALL"]).await;
    through_redis_again(&bench).await;
    engine.stop().await;
    let mut runs = runs(bench.tenant());
    runs.retain(|name| !name.starts_with("again"));
    runs.sort();
    runs.dedup();
    assert_eq!(runs.len(), 31);
}

/// Jobs until a ticket of one of them was in an emptied Redis.
pub async fn through_redis_again(bench: &Bench) {
    let begin = Instant::now();
    for n in 0.. {
        bench.promise(&[Scripted::new(format!("again {n}"), &[])], Terms::now()).await;
        bench.settled(PATIENCE).await;
        if added(bench, "send").await > 0 {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "jobs still go without Redis");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A failover to a replica that was behind: the generation is there, and some of the tickets are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_that_vanish_without_a_trace_are_missed() {
    on_redis(async |bench| {
        let hour = Duration::from_secs(3_600);
        let relay = bench
            .start(|settings| {
                settings.work = false;
                settings.dispatch_ttl = hour;
            })
            .await;
        let jobs: Vec<Scripted> = (0..20).map(|n| Scripted::new(n, &[])).collect();
        bench.promise(&jobs, Terms::now()).await;
        bench.until(PATIENCE, "the dispatch", async || bench.count(DISPATCHED).await == 20).await;
        let epochs = async || bench.rows().await.iter().map(|row| row.epoch).min().unwrap();
        let first = epochs().await;
        for lane in 0..4 {
            let stream = format!("test:{{jq:send:{lane}}}:s");
            tell(bench.redis.as_ref().unwrap(), &["XTRIM", &stream, "MAXLEN", "0"]).await;
        }
        bench.until(PATIENCE, "another dispatch", async || epochs().await > first).await;
        let worker = bench.start(|settings| settings.relay = false).await;
        bench.settled(PATIENCE).await;
        worker.stop().await;
        relay.stop().await;
        assert_eq!(runs(bench.tenant()).len(), 20);
    })
    .await;
}

/// A consumer of a process that is gone goes, unless it still holds something; what is being worked on is touched, so
/// that nobody takes it, and that is no further delivery.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_that_hold_nothing_go_and_what_is_touched_stays() {
    let bench = Bench::over(Pair::sqlite().await, true).await;
    let (ours, theirs) = (bus(&bench), bus(&bench));
    ours.ensure(Queue::Mail).await.unwrap();
    let ticket =
        || Ticket { tenant: bench.tenant(), job: Env::system().id(), epoch: 1, kind: "scripted".to_owned() };
    let take = async |bus: &Bus| {
        assert!(ours.publish(Queue::Mail, vec![ticket()], 10).await.0.is_empty());
        let held = bus.fetch(Queue::Mail, 1, Duration::from_millis(200)).await.unwrap();
        held.into_iter().filter_map(|delivery| delivery.receipt).collect::<Vec<_>>()
    };
    let receipts = take(&ours).await;
    theirs.ack(&take(&theirs).await).await.unwrap();
    let idle = Duration::from_secs(1);
    tokio::time::sleep(idle + idle / 5).await;
    ours.touch(&receipts).await.unwrap();
    assert!(theirs.reclaim(Queue::Mail, idle).await.unwrap().is_empty(), "it is being worked on");
    let mut connection = bench.redis.as_ref().unwrap().get_multiplexed_async_connection().await.unwrap();
    let pending: redis::streams::StreamPendingCountReply = redis::cmd("XPENDING")
        .arg(&["test:{jq:mail:0}:s", "w", "-", "+", "10"])
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(pending.ids.iter().map(|entry| entry.times_delivered).collect::<Vec<_>>(), [1]);
    // The reclaim was theirs: they are not idle now.
    tokio::time::sleep(idle + idle / 5).await;
    assert_eq!(ours.collect_garbage(Queue::Mail, idle).await.unwrap(), 1, "theirs, which holds nothing");
    ours.ack(&receipts).await.unwrap();
    tokio::time::sleep(idle + idle / 5).await;
    assert_eq!(ours.collect_garbage(Queue::Mail, idle).await.unwrap(), 1);
    assert_eq!(ours.depth(Queue::Mail).await.unwrap(), Default::default());
}

/// What the four pairs say of a payload that is too long is one typed error.
#[tokio::test]
async fn a_payload_at_the_limit_is_taken_and_one_byte_more_is_not() {
    on_databases(async |bench| {
        let db = bench.store.of(bench.scope.clone());
        let frame = serde_json::to_vec(&Scripted::new("", &[])).unwrap().len();
        for (length, taken) in [(8 * 1024, true), (8 * 1024 + 1, false)] {
            let job = Scripted::new("x".repeat(length - frame), &[]);
            let promised: Result<_, Error> =
                db.transaction(async |db| switchboard::jobs::enqueue(db, &job, Terms::now()).await).await;
            match promised {
                Ok(id) => assert!(taken && id.is_some(), "{length}"),
                Err(error) => assert_eq!((taken, error.reason()), (false, "JOB_TOO_LARGE")),
            }
        }
        assert_eq!(bench.rows().await.len(), 1);
    })
    .await;
}
