//! Connections for reading: what becomes of them when callers go away or the server does.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Database};
use switchboard::{
    auth::TenantScope,
    env::Env,
    store::{Settings, Store, connect, events::EventFilter},
};

use crate::{
    support::{Pair, both},
    transaction::{tenant, write, written},
};

/// Of the numbered events, in one statement.
async fn read(store: &Store, scope: &TenantScope) -> Vec<String> {
    let all = store.of(scope.clone()).events().after(0, &EventFilter::default(), 100).await.unwrap();
    all.into_iter().map(|event| event.subject).collect()
}

/// Readers whose callers left are clean: the next one gets its own answer, and none is lost for good.
#[tokio::test]
async fn a_cancelled_read_gives_nobody_a_wrong_answer() {
    both(async |pair| {
        // One connection reads: whoever comes next gets the one that was left.
        let settings = Settings { url: pair.database_url.clone(), pool: 2 };
        let store = connect(&settings, Env::system()).await.unwrap();
        let scopes = [tenant(&pair, store.env()).await, tenant(&pair, store.env()).await];
        let [one, other] = scopes.map(TenantScope::of_platform);
        write(&store, &one, 1).await.unwrap();
        write(&store, &other, 2).await.unwrap();
        assert_eq!(written(&store, &other).await, ["2"]);
        for round in 0..400_u64 {
            let patience = Duration::from_micros(round * 7 % 1500);
            drop(tokio::time::timeout(patience, read(&store, &one)).await);
            assert_eq!(read(&store, &other).await, ["2"]);
        }
        assert_eq!(read(&store, &one).await, ["1"]);
    })
    .await;
}

/// A read does not fail because its connection died while it lay idle.
#[tokio::test]
async fn a_connection_that_died_unused_costs_no_read() {
    // SQLite has no server that could end a connection.
    let pair = Pair::postgres().await;
    let settings = Settings { url: pair.database_url.clone(), pool: 8 };
    let store = connect(&settings, Env::system()).await.unwrap();
    let scope = TenantScope::of_platform(tenant(&pair, store.env()).await);
    write(&store, &scope, 1).await.unwrap();
    assert_eq!(written(&store, &scope).await, ["1"]);
    let raw = Database::connect(&pair.database_url).await.unwrap();
    for _ in 0..5 {
        // Several lie idle.
        let reads = futures::future::join_all((0..4).map(|_| read(&store, &scope))).await;
        assert!(reads.iter().all(|read| *read == ["1"]));
        raw.execute_unprepared(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where application_name = 'switchboard' and datname = current_database()",
        )
        .await
        .unwrap();
        assert_eq!(read(&store, &scope).await, ["1"]);
    }
}
