//! Redis may vanish, forget, or tell nonsense at any moment: nothing is lost, nothing runs twice.
use switchboard::jobs::{RedisBus, Terms, bus::Bus};

use super::{engine::empty, redis_trouble::through_redis_again, *};

const PATIENCE: Duration = Duration::from_secs(40);

async fn connection(bench: &Bench) -> redis::aio::MultiplexedConnection {
    bench.redis.as_ref().unwrap().get_multiplexed_async_connection().await.unwrap()
}

fn bus(bench: &Bench) -> Bus {
    Bus::Redis(RedisBus::new(bench.redis.clone().unwrap(), "test:".to_owned(), 4, key()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_in_the_middle_loses_nothing() {
    on_redis(async |bench| {
        let engine = bench.start(|settings| settings.slots = switchboard::jobs::Slots::each(20)).await;
        let jobs: Vec<Scripted> = (0..300).map(|n| Scripted::new(n, &[Act::Take(20)])).collect();
        for part in jobs.chunks(100) {
            bench.promise(part, Terms::now()).await;
            tokio::time::sleep(Duration::from_millis(60)).await;
            let flushed: () = redis::cmd("FLUSHDB").query_async(&mut connection(&bench).await).await.unwrap();
            let () = flushed;
        }
        bench.settled(PATIENCE).await;
        engine.stop().await;
        assert!(bench.rows().await.iter().all(|row| row.state == DONE && row.crashes == 0));
        let mut runs = runs(bench.tenant());
        assert_eq!(runs.len(), 300, "nothing ran twice: the tickets of old were fenced");
        runs.sort();
        runs.dedup();
        assert_eq!(runs.len(), 300);
        empty(&bench).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_in_a_stream_goes_to_quarantine() {
    on_redis(async |bench| {
        let engine = bench.start(|_| {}).await;
        let mut redis = connection(&bench).await;
        let intact = async || bus(&bench).intact(Queue::Send).await.unwrap();
        bench.until(PATIENCE, "the streams", intact).await;
        let nonsense: [&[(&str, &str)]; 3] = [
            &[("x", "y")],
            &[("j", "short"), ("t", "short"), ("k", "scripted"), ("e", "1")],
            &[("p", "packed nothing")],
        ];
        for fields in nonsense {
            let mut add = redis::cmd("XADD");
            add.arg("test:{jq:send:0}:s").arg("*");
            for (name, value) in fields {
                add.arg(name).arg(value);
            }
            let _: String = add.query_async(&mut redis).await.unwrap();
        }
        bench.promise(&[Scripted::new("a", &[])], Terms::now()).await;
        bench.settled(PATIENCE).await;
        let quarantined = async || {
            let mut redis = redis.clone();
            let length: u64 =
                redis::cmd("XLEN").arg("test:{jq:send:0}:px").query_async(&mut redis).await.unwrap();
            length == 3
        };
        bench.until(PATIENCE, "the quarantine", quarantined).await;
        engine.stop().await;
        empty(&bench).await;
    })
    .await;
}

/// A script that unpacks everything that is due stops working for good at about 8,000.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_snoozed_tickets_come_back() {
    let bench = Bench::over(Pair::sqlite().await, true).await;
    let bus = bus(&bench);
    bus.ensure(Queue::Ai).await.unwrap();
    let mut pipe = redis::pipe();
    for n in 0..20_000_u128 {
        let mut packed = Vec::new();
        packed.extend_from_slice(&n.to_be_bytes());
        packed.extend_from_slice(bench.tenant().0.as_bytes());
        packed.extend_from_slice(&1_i32.to_be_bytes());
        packed.extend_from_slice(b"scripted");
        pipe.zadd("test:{jq:ai:1}:z", packed, 1).ignore();
    }
    let () = pipe.query_async(&mut connection(&bench).await).await.unwrap();
    assert_eq!(bus.depth(Queue::Ai).await.unwrap().snoozed, 20_000);
    assert_eq!(bus.promote(Queue::Ai).await.unwrap(), 20_000);
    let depth = bus.depth(Queue::Ai).await.unwrap();
    assert_eq!((depth.snoozed, depth.tickets), (0, 20_000));
    let fetched = bus.fetch(Queue::Ai, 400, Duration::from_millis(200)).await.unwrap();
    assert_eq!(fetched.len(), 100, "COUNT is shared by the lanes");
    assert!(fetched.iter().all(|delivery| delivery.ticket.kind == "scripted" && delivery.ticket.epoch == 1));
    let receipts: Vec<_> = fetched.into_iter().filter_map(|delivery| delivery.receipt).collect();
    bus.ack(&receipts).await.unwrap();
    assert_eq!(bus.depth(Queue::Ai).await.unwrap().tickets, 19_900);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_stream_takes_no_more_and_an_empty_redis_nothing() {
    let bench = Bench::over(Pair::sqlite().await, true).await;
    let bus = Bus::Redis(RedisBus::new(bench.redis.clone().unwrap(), "test:".to_owned(), 1, key()));
    let env = Env::system();
    let ticket = || switchboard::store::jobs::Ticket {
        tenant: bench.tenant(),
        job: env.id(),
        epoch: 1,
        kind: "scripted".to_owned(),
    };
    let tickets: Vec<_> = (0..1_200).map(|_| ticket()).collect();
    let (rest, trouble) = bus.publish(Queue::Send, tickets.clone(), 1_000).await;
    assert_eq!(rest.len(), 1_200);
    assert!(matches!(trouble, Some(switchboard::jobs::bus::Trouble::NoGeneration)));
    bus.ensure(Queue::Send).await.unwrap();
    let (rest, trouble) = bus.publish(Queue::Send, tickets.clone(), 1_000).await;
    assert!(trouble.is_none());
    assert_eq!(rest, tickets[1_000..]);

    let fetched = bus.fetch(Queue::Send, 10, Duration::from_millis(200)).await.unwrap();
    let got: Vec<_> = fetched.iter().map(|delivery| delivery.ticket.clone()).collect();
    assert_eq!(got, tickets[..10]);
    // Snoozed, it comes again; not touched, it is found.
    bus.snooze(Queue::Send, fetched[0].clone(), Duration::from_millis(50)).await.unwrap();
    assert_eq!(bus.promote(Queue::Send).await.unwrap(), 0);
    tokio::time::sleep(Duration::from_millis(80)).await;
    assert_eq!(bus.promote(Queue::Send).await.unwrap(), 1);
    let found = bus.reclaim(Queue::Send, Duration::from_millis(20)).await.unwrap();
    assert_eq!(found.len(), 9);
    // A consumer that holds something stays, however idle.
    assert_eq!(bus.collect_garbage(Queue::Send, Duration::ZERO).await.unwrap(), 0);
}

/// Redis is killed while jobs run, stays away, comes back empty.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_the_database_alone_goes_on() {
    let cluster = Cluster::start();
    let mut bench = Bench::over(Pair::postgres().await, false).await;
    bench.redis = Some(redis::Client::open(cluster.redis_url(0)).unwrap());
    let engine = bench.start(|_| {}).await;
    let batch = |name: &str| {
        (0..50).map(|n| Scripted::new(format!("{name}{n}"), &[Act::Take(20)])).collect::<Vec<_>>()
    };
    bench.promise(&batch("with "), Terms::now()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    cluster.stop_redis();
    bench.promise(&batch("without "), Terms::now()).await;
    bench.settled(PATIENCE).await;
    assert_eq!(bench.count(DONE).await, 100);
    cluster.start_redis();
    through_redis_again(&bench).await;
    engine.stop().await;
    let mut runs = runs(bench.tenant());
    runs.retain(|name| !name.starts_with("again"));
    assert_eq!(runs.len(), 100);
    runs.sort();
    runs.dedup();
    assert_eq!(runs.len(), 100);
}
