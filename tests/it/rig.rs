//! The rig itself: separate databases, servers that can be broken and mended.
use sea_orm::{ConnectionTrait, Database};

use crate::support::{Cluster, both, databases};

#[tokio::test]
async fn each_test_has_a_migrated_database_of_its_own() {
    both(async |pair| {
        let database = Database::connect(&pair.database_url).await.unwrap();
        database.execute_unprepared("create table only_here (id integer)").await.unwrap();
    })
    .await;

    for pair in databases().await {
        let database = Database::connect(&pair.database_url).await.unwrap();
        assert!(database.execute_unprepared("select * from only_here").await.is_err(), "{}", pair.name);
        database.execute_unprepared("select * from seaql_migrations").await.unwrap();
    }
}

#[tokio::test]
async fn each_test_has_a_redis_of_its_own() {
    for expected in [None, None] {
        let pair = crate::support::Pair::postgres().await;
        let redis = redis::Client::open(pair.redis_url.clone().unwrap()).unwrap();
        let mut redis = redis.get_multiplexed_async_connection().await.unwrap();
        let found: Option<String> = redis::cmd("GET").arg("k").query_async(&mut redis).await.unwrap();
        assert_eq!(found, expected);
        let () = redis::cmd("SET").arg(&["k", "v"]).query_async(&mut redis).await.unwrap();
    }
}

#[tokio::test]
async fn servers_of_ones_own_can_be_broken_and_mended() {
    let cluster = Cluster::start();
    let url = cluster.database_url("postgres");
    let database = Database::connect(&url).await.unwrap();
    database.execute_unprepared("create table kept (id integer)").await.unwrap();

    cluster.stop_postgres();
    assert!(Database::connect(&url).await.is_err());
    cluster.start_postgres();
    cluster.stop_redis();
    cluster.start_redis();

    Database::connect(&url).await.unwrap().execute_unprepared("select * from kept").await.unwrap();
}
