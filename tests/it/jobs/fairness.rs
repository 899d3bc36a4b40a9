//! Fair shares: one tenant's backlog is not another one's wait.
use switchboard::jobs::{Slots, Terms};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_tenant_does_not_wait_for_a_big_ones_backlog() {
    on_all(async |bench| {
        let big: Vec<Scripted> = (0..2_000).map(|n| Scripted::new(n, &[Act::Take(5)])).collect();
        bench.promise(&big, Terms::now()).await;
        // 8 slots of 5 ms: the backlog takes more than a second.
        let engine = bench.start(|settings| settings.slots = Slots::each(8)).await;
        let begun = async || !runs(bench.tenant()).is_empty();
        bench.until(Duration::from_secs(10), "the big one's first run", begun).await;
        let small = bench.newcomer().await;
        let jobs: Vec<Scripted> = (0..10).map(|n| Scripted::new(n, &[])).collect();
        promise(&bench.store, &small, &jobs, Terms::now()).await;
        let served = async || runs(small.tenant()).len() == 10;
        bench.until(Duration::from_secs(10), "the small one's jobs", served).await;
        let before = runs(bench.tenant()).len();
        assert!(before < 1_000, "the small one waited for {before} of the big one's jobs");
        bench.settled(Duration::from_secs(60)).await;
        engine.stop().await;
    })
    .await;
}

/// Of two tenants with more to do than there is room, the one whose plan weighs more gets more of it, and the other
/// one its share all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plans_weight_is_a_share_of_the_room() {
    on_all(async |bench| {
        let heavy = bench.newcomer().await;
        let subscribe = "insert into subscription (tenant_id, id, plan_id, status, cancel_at_period_end, had_trial, \
             version, create_time, update_time) values ($1, $2, 'pro-monthly', $3, $4, $5, 1, $6, $7)";
        let now = Env::system().now();
        let values = [heavy.tenant().into(), key().into(), "active".into(), false.into(), true.into(), now.into(), now.into()];
        bench.ask(subscribe, values).await;
        let weights = bench.store.system().job_weights(&[heavy.tenant(), bench.tenant()]).await.unwrap();
        assert_eq!(weights, [(heavy.tenant(), 4)]);

        let jobs: Vec<Scripted> = (0..600).map(|n| Scripted::new(n, &[Act::Take(5)])).collect();
        promise(&bench.store, &heavy, &jobs, Terms::now()).await;
        bench.promise(&jobs, Terms::now()).await;
        let engine = bench.start(|settings| settings.slots = Slots::each(8)).await;
        let served = async || runs(heavy.tenant()).len() >= 400;
        bench.until(Duration::from_secs(60), "the heavy one's jobs", served).await;
        let light = runs(bench.tenant()).len();
        // A quarter as many, give or take a window.
        assert!((40..=200).contains(&light), "{light} of the light one's jobs beside 400");
        bench.settled(Duration::from_secs(60)).await;
        engine.stop().await;
    })
    .await;
}
