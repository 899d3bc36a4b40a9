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
