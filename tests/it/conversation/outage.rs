//! The database is not there.

use std::time::Duration;

use switchboard::{
    error::Error,
    store::{Settings, connect},
};

use super::{
    payload::written,
    shop::{Shop, clock},
};
use crate::support::Cluster;

/// Conformance 12. On PostgreSQL alone: SQLite is in the process and cannot be away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_stored_stays_with_the_messenger() {
    let cluster = Cluster::start();
    let url = cluster.database_url("postgres");
    let store = connect(&Settings { url: url.clone(), pool: 4 }, clock()).await.unwrap();
    store.migrate().await.unwrap();
    let tenant = crate::transaction::tenant_at(&url, store.env()).await;
    let shop = Shop::of(store, tenant);
    let channel = shop.whatsapp().await;
    let bodies: Vec<_> = (0..20).map(|n| written("4915112345678", &format!("wamid.{n}"), n, "hi")).collect();
    shop.post(channel, &bodies[0]).await.unwrap();

    cluster.stop_postgres();
    for body in &bodies[..3] {
        let refused = shop.post(channel, body).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    }
    cluster.start_postgres();

    // As the messenger does: again until it is answered with 200.
    for body in &bodies {
        let mut tries = 0;
        while let Err(error) = shop.post(channel, body).await {
            tries += 1;
            assert!(tries < 50, "{error:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let (conversation, said) = shop.thread().await;
    assert_eq!((conversation.unread_count, said.len()), (20, 20));
}
