//! The event log as a reader sees it: from any cursor, live, through disconnects and lost hints.

mod crowd;
mod kept;
mod moved;
mod takeover;

use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use switchboard::{
    auth::TenantScope,
    domain::event::Event,
    error::Error,
    events::{Follower, Hub, Step, sequence},
    store::{Store, events::EventFilter},
};
use tokio_util::sync::CancellationToken;
use tonic_types::StatusExt as _;

use crate::{
    support::{Cluster, Pair, both},
    transaction::store,
};

const EVENTS: i64 = 400;

/// The hubs of two processes on one installation (SQLite: one process).
fn hubs(pair: &Pair) -> (Hub, Hub) {
    match &pair.redis_url {
        None => {
            let hub = Hub::local();
            (hub.clone(), hub)
        }
        Some(url) => {
            let client = redis::Client::open(url.as_str()).unwrap();
            (Hub::redis(client.clone(), "t:".to_owned()), Hub::redis(client, "t:".to_owned()))
        }
    }
}

async fn write(store: &Store, scope: &TenantScope, number: i64) {
    let scope = scope.clone();
    let db = store.of(scope);
    let written = db.transaction(async |db| {
        db.emit(Event::TenantUpdated { subject: number.to_string(), action: "test".to_owned() });
        Ok(())
    });
    written.await.unwrap();
}

/// A client that is cut off at random points and comes back with its cursor sees every event once,
/// in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_reconnects_at_random_misses_nothing_and_sees_nothing_twice() {
    both(async |pair| {
        let (store, scope) = store(&pair).await;
        let (here, there) = hubs(&pair);
        let stop = CancellationToken::new();
        let sequencer = tokio::spawn(sequence(store.clone(), here, stop.clone()));
        let writer = tokio::spawn({
            let (store, scope) = (store.clone(), scope.clone());
            async move {
                for number in 1..=EVENTS {
                    write(&store, &scope, number).await;
                }
            }
        });

        let mut seen = Vec::new();
        let mut cursor = 0;
        let mut connections = 0;
        while cursor < EVENTS {
            connections += 1;
            let filter = EventFilter::default();
            let mut follower =
                Follower::start(store.clone(), &there, scope.clone(), Some(cursor), filter).await.unwrap();
            // Cut after 1 to 37 events, in no regular pattern.
            for _ in 0..=(connections * 7919 % 37) {
                if cursor >= EVENTS {
                    break;
                }
                let step =
                    tokio::time::timeout(Duration::from_secs(10), follower.next()).await.unwrap().unwrap();
                if let Step::Event(event) = step {
                    cursor = event.seq.unwrap();
                    seen.push(cursor);
                }
            }
        }
        writer.await.unwrap();
        stop.cancel();
        sequencer.await.unwrap();
        assert_eq!(seen, (1..=EVENTS).collect::<Vec<_>>());
        assert!(connections > 10, "only {connections} connections");
    })
    .await;
}

/// Without a single hint, the table alone brings every event.
#[tokio::test]
async fn a_reader_whose_hints_are_lost_reads_the_table() {
    both(async |pair| {
        let (store, scope) = store(&pair).await;
        let hub = Hub::local();
        let mut follower =
            Follower::start(store.clone(), &hub, scope.clone(), None, EventFilter::default()).await.unwrap();
        write(&store, &scope, 1).await;
        for shard in 0..8 {
            store.system().number_events(shard, 10).await.unwrap();
        }
        let step = tokio::time::timeout(Duration::from_secs(5), follower.next()).await.unwrap().unwrap();
        assert!(matches!(step, Step::Event(event) if event.seq == Some(1)));
    })
    .await;
}

/// Who comes back soon after reads from the copy in Redis: a storm of them does not reach the table. On that pair
/// alone; the rows are taken away to tell the two apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_comes_back_soon_reads_the_copy() {
    let pair = Pair::postgres().await;
    let (store, scope) = store(&pair).await;
    let (here, there) = hubs(&pair);
    let stop = CancellationToken::new();
    let sequencer = tokio::spawn(sequence(store.clone(), here.clone(), stop.clone()));
    let start = async |hub: &Hub, after| {
        let filter = EventFilter::default();
        Follower::start(store.clone(), hub, scope.clone(), Some(after), filter).await.unwrap()
    };
    let heard = async |reader: &mut Follower, expected: i64| {
        let step =
            tokio::time::timeout(Duration::from_secs(20), reader.next()).await.expect("in time").unwrap();
        assert!(matches!(&step, Step::Event(event) if event.seq == Some(expected)), "{step:?}");
    };
    let mut live = start(&there, 0).await;
    for number in 1..=3 {
        write(&store, &scope, number).await;
        heard(&mut live, number).await;
    }
    // The first one may have been read from the table before anybody listened to the copy.
    let database = sea_orm::Database::connect(&pair.database_url).await.unwrap();
    database.execute_unprepared("delete from event where seq > 1").await.unwrap();
    let mut back = start(&here, 1).await;
    heard(&mut back, 2).await;
    heard(&mut back, 3).await;
    stop.cancel();
    sequencer.await.unwrap();
}

/// A reader for whom nothing happens asks the database nothing; one look a second serves all readers of a
/// tenant. So an outage that ends does not end the streams. On PostgreSQL alone: SQLite has no outage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_reader_outlives_the_database() {
    let cluster = Cluster::start();
    let pair = Pair::of(&cluster).await;
    let (store, scope) = store(&pair).await;
    let hub = Hub::local();
    let start =
        async || Follower::start(store.clone(), &hub, scope.clone(), None, EventFilter::default()).await;
    let mut readers = [start().await.unwrap(), start().await.unwrap()];

    cluster.stop_postgres();
    for reader in &mut readers {
        let silent = tokio::time::timeout(Duration::from_secs(3), reader.next()).await;
        assert!(silent.is_err(), "{silent:?}");
    }
    cluster.start_postgres();
    let heard = async {
        // The pool's connections are dead, and found out one by one.
        while (store.of(scope.clone()).transaction(async |db| {
            db.emit(Event::TenantUpdated { subject: "1".to_owned(), action: "test".to_owned() });
            Ok(())
        }))
        .await
        .is_err()
        {}
        let mut numbered = 0;
        while numbered == 0 {
            for shard in 0..8 {
                numbered += store.system().number_events(shard, 10).await.map_or(0, |found| found.len());
            }
        }
        for reader in &mut readers {
            let step = reader.next().await.unwrap();
            assert!(matches!(&step, Step::Event(event) if event.seq == Some(1)), "{step:?}");
        }
    };
    tokio::time::timeout(Duration::from_secs(60), heard).await.expect("they hear of it");
}

/// Acceptance: a cursor from the future, or of another tenant's longer log, is told from where to where this log
/// is there.
#[tokio::test]
async fn a_cursor_past_the_end_needs_a_snapshot() {
    both(async |pair| {
        let (store, scope) = store(&pair).await;
        write(&store, &scope, 1).await;
        number(&store).await;
        let filter = EventFilter::default();
        let page = store.of(scope.clone()).events().page(7, &filter, 10).await.map(|(head, _)| head);
        let started = Follower::start(store, &Hub::local(), scope, Some(7), filter).await;
        for refused in [started.err(), page.err()] {
            assert_eq!(told(refused.expect("refused")), ("1".to_owned(), "1".to_owned()));
        }
    })
    .await;
}

/// Gives every waiting event its number.
async fn number(store: &Store) {
    for shard in 0..8 {
        while !store.system().number_events(shard, 500).await.unwrap().is_empty() {}
    }
}

/// The oldest and the newest number that a refusal tells.
fn told(refused: Error) -> (String, String) {
    assert_eq!(refused.reason(), "SNAPSHOT_REQUIRED");
    let status = tonic::Status::from(refused);
    assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    let info = status.get_details_error_info().expect("an ErrorInfo");
    (info.metadata["oldest_seq"].clone(), info.metadata["newest_seq"].clone())
}
