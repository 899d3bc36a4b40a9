//! The real program while it is killed, while Redis forgets everything, while PostgreSQL crashes: customers
//! write, drafts are made, operators answer. Nothing that was accepted is lost, and nothing happens twice.
mod account;
mod customers;
mod operators;
mod points;
mod shop;

use std::{sync::Arc, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio_util::sync::CancellationToken;

use self::shop::Shop;
use crate::support::{Cluster, Pair, Server};

/// How the servers are set up: leases that end within the test's patience, no limits on calls.
const SETTINGS: &[(&str, &str)] = &[
    ("SWITCHBOARD_ALLOW_PRIVATE_TARGETS", "true"),
    ("SWITCHBOARD_DEBOUNCE_MS", "300"),
    ("SWITCHBOARD_JOB_LEASE_SECONDS", "3"),
    ("SWITCHBOARD_RATE_PUBLIC", "off"),
    ("SWITCHBOARD_RATE_READ", "off"),
    ("SWITCHBOARD_RATE_WRITE", "off"),
    ("SWITCHBOARD_RATE_STREAM", "off"),
    ("SWITCHBOARD_RATE_WEBHOOK", "off"),
    ("SWITCHBOARD_LOG_LEVEL", "warn,switchboard=info"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn kill_9_loses_nothing_and_sends_nothing_twice_on_sqlite() {
    let pair = Pair::sqlite().await;
    let mut server = Server::start(&pair, SETTINGS).await;
    let shop = Shop::open(&pair.database_url, pair.redis_url.as_deref(), &[server.url()]).await;
    let mut chance = StdRng::seed_from_u64(9);
    let account = trade(&shop, async |shop| {
        for _ in 0..6 {
            pause(&mut chance, 200..1_200).await;
            shop.swallow_answers(2).await;
            pause(&mut chance, 0..300).await;
            server.restart().await;
            shop.answer_again();
        }
    })
    .await;
    account.check();
}

/// Two processes on one database, as in production: one is killed and the other goes on, or both are.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn kill_9_loses_nothing_and_sends_nothing_twice_on_postgres_and_redis() {
    let pair = Pair::postgres().await;
    let mut servers = [Server::start(&pair, SETTINGS).await, Server::start(&pair, SETTINGS).await];
    let urls: Vec<String> = servers.iter().map(Server::url).collect();
    let shop = Shop::open(&pair.database_url, pair.redis_url.as_deref(), &urls).await;
    let mut chance = StdRng::seed_from_u64(9);
    let account = trade(&shop, async |shop| {
        for round in 0..5 {
            pause(&mut chance, 300..2_500).await;
            if round % 2 == 0 {
                servers[usize::from(chance.random_bool(0.5))].restart().await;
                continue;
            }
            // A process that lives would wait for an answer until its patience ends.
            shop.swallow_answers(2).await;
            pause(&mut chance, 0..300).await;
            servers.iter_mut().for_each(Server::kill);
            shop.answer_again();
            for server in &mut servers {
                server.restart().await;
            }
        }
    })
    .await;
    account.check();
}

/// On servers of its own: SQLite needs no Redis.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn flushall_loses_nothing_and_sends_nothing_twice() {
    let (cluster, pair) = of_ones_own().await;
    // Nobody dies here: a lease that ends is a machine that is slow.
    let settings = [SETTINGS, &[("SWITCHBOARD_JOB_LEASE_SECONDS", "8")]].concat();
    let server = Server::start(&pair, &settings).await;
    let shop = Shop::open(&pair.database_url, pair.redis_url.as_deref(), &[server.url()]).await;
    let redis = redis::Client::open(cluster.redis_url(0)).unwrap();
    let mut redis = redis.get_multiplexed_async_connection().await.unwrap();
    let mut chance = StdRng::seed_from_u64(9);
    let account = trade(&shop, async |_| {
        for _ in 0..12 {
            pause(&mut chance, 100..900).await;
            let () = redis::cmd("FLUSHALL").query_async(&mut redis).await.unwrap();
        }
    })
    .await;
    account.check();
    // Nothing died: whoever does not know how a send ended lost track of it without need.
    assert_eq!(account.unknown(), 0, "{account:?}");
}

/// SQLite is in the process and cannot be away.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_crash_of_postgres_loses_nothing_and_sends_nothing_twice() {
    let (cluster, pair) = of_ones_own().await;
    let server = Server::start(&pair, SETTINGS).await;
    let shop = Shop::open(&pair.database_url, pair.redis_url.as_deref(), &[server.url()]).await;
    let mut chance = StdRng::seed_from_u64(9);
    let account = trade(&shop, async |_| {
        for _ in 0..3 {
            pause(&mut chance, 300..2_000).await;
            tokio::task::block_in_place(|| cluster.stop_postgres());
            pause(&mut chance, 0..1_500).await;
            tokio::task::block_in_place(|| cluster.start_postgres());
        }
    })
    .await;
    account.check();
}

/// A database and a Redis that nobody else needs.
async fn of_ones_own() -> (Cluster, Pair) {
    let cluster = tokio::task::block_in_place(Cluster::start);
    let pair = Pair::of(&cluster).await;
    (cluster, pair)
}

/// Trades while `breaking` lasts, then closes the shop and waits until everything came to its end.
async fn trade(shop: &Arc<Shop>, breaking: impl AsyncFnOnce(&Shop)) -> account::Account {
    let (closing, gone) = (CancellationToken::new(), CancellationToken::new());
    let operators = operators::at_work(shop, gone.clone());
    let customers = customers::write(shop, &closing);
    breaking(shop).await;
    // Whatever happens last, there is business after it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    closing.cancel();
    let written = customers.await.expect("no customer panicked");
    let account = account::settled(shop, written, &operators).await;
    gone.cancel();
    operators.follower.await.expect("the follower did not panic");
    account
}

async fn pause(chance: &mut StdRng, millis: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(chance.random_range(millis))).await;
}
