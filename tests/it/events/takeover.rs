//! When the process that numbers events dies.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use switchboard::{
    events::{Follower, Hub, Step, TAKEOVER, sequence},
    store::events::{EventFilter, shard},
};
use tokio_util::sync::CancellationToken;

use super::write;
use crate::{support::Pair, transaction::store};

/// A lease and a look at it are within three seconds; who held it says nothing before it ends. On PostgreSQL
/// alone: SQLite has one process, which leads from the start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_numbers_events_when_the_one_that_did_dies() {
    assert!(TAKEOVER <= Duration::from_secs(3), "{TAKEOVER:?}");
    let pair = Pair::postgres().await;
    let (store, scope) = store(&pair).await;
    let database = Database::connect(&pair.database_url).await.unwrap();
    let lease = async || {
        let sql = format!(
            "select holder::text, term, extract(epoch from expires_at - now())::float8 as left \
             from lease where name = 'sequencer:{}'",
            shard(scope.tenant())
        );
        let row = database.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
        let row = row.expect("a lease");
        let (holder, term): (String, i64) =
            (row.try_get("", "holder").unwrap(), row.try_get("", "term").unwrap());
        (holder, term, row.try_get::<f64>("", "left").unwrap())
    };
    let hub = Hub::local();
    let mut reader =
        Follower::start(store.clone(), &hub, scope.clone(), Some(0), EventFilter::default()).await.unwrap();
    let mut heard = async || match tokio::time::timeout(Duration::from_secs(30), reader.next()).await {
        Ok(Ok(Step::Event(event))) => event.seq,
        other => panic!("{other:?}"),
    };

    let stop = CancellationToken::new();
    let first = tokio::spawn(sequence(store.clone(), hub.clone(), stop.clone()));
    write(&store, &scope, 1).await;
    assert_eq!(heard().await, Some(1));
    let second = tokio::spawn(sequence(store.clone(), hub.clone(), stop.clone()));
    write(&store, &scope, 2).await;
    assert_eq!(heard().await, Some(2));
    let (holder, term, left) = lease().await;
    assert!(left <= TAKEOVER.as_secs_f64(), "the lease holds for {left} s more");

    // It gives nothing back.
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    write(&store, &scope, 3).await;
    assert_eq!(heard().await, Some(3));
    let (taken, next, _) = lease().await;
    assert_ne!(taken, holder);
    assert_eq!(next, term + 1);
    stop.cancel();
    second.await.unwrap();
}
