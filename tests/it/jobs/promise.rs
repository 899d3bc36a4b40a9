//! Promising: a job exists when, and only when, its cause committed.
use switchboard::{error::Error, jobs::{Terms, enqueue}};

use super::*;

#[tokio::test]
async fn a_promise_commits_and_rolls_back_with_its_transaction() {
    on_databases(async |bench| {
        let db = bench.store.of(bench.scope.clone());
        let refused: Result<(), Error> = db
            .transaction(async |db| {
                enqueue(db, &Scripted::new("lost", &[]), Terms::now()).await?;
                Err(Error::rejected("NO", "no"))
            })
            .await;
        assert!(refused.is_err());
        assert!(bench.rows().await.is_empty());

        let ids = bench.promise(&[Scripted::new("kept", &[])], Terms::now()).await;
        let rows = bench.rows().await;
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), ids);
        assert_eq!((rows[0].state, rows[0].epoch, rows[0].tries), (READY, 0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_commit_tells_the_relay_which_queue_to_look_at() {
    on_databases(async |bench| {
        let mut hints = bench.store.hints().listen();
        bench.promise(&[Scripted::new("a", &[])], Terms::now()).await;
        let hint = hints.try_recv().unwrap();
        assert_eq!((hint.tenant, hint.queues), (bench.tenant(), Queue::Send.bit()));
    })
    .await;
}

#[tokio::test]
async fn one_live_job_has_a_unique_key() {
    on_databases(async |bench| {
        let one = [Scripted::new("a", &[])];
        let first = bench.promise(&one, Terms::now().unique("key")).await;
        assert_eq!(first.len(), 1);
        assert!(bench.promise(&one, Terms::now().unique("key")).await.is_empty());
        assert_eq!(bench.promise(&one, Terms::now().unique("other")).await.len(), 1);
        // Another tenant's key is its own.
        let other = bench.newcomer().await;
        assert_eq!(promise(&bench.store, &other, &one, Terms::now().unique("key")).await.len(), 1);

        let engine = bench.start(|_| {}).await;
        bench.settled(Duration::from_secs(20)).await;
        engine.stop().await;
        assert_eq!(bench.promise(&one, Terms::now().unique("key")).await.len(), 1, "the first one is over");
    })
    .await;
}

/// An ordered job that turns out to exist must not use up a number: the gap would block its key for good.
#[tokio::test]
async fn a_refused_ordered_job_leaves_no_gap() {
    on_databases(async |bench| {
        let key = key();
        let terms = || Terms::now().ordered(key);
        bench.promise(&[Scripted::new("0", &[])], terms().unique("same")).await;
        assert!(bench.promise(&[Scripted::new("x", &[])], terms().unique("same")).await.is_empty());
        bench.promise(&[Scripted::new("1", &[])], terms()).await;
        bench.promise(&[Scripted::new("2", &[])], terms().unique("new")).await;
        let seqs = bench.ask("select order_seq from job order by id", []).await;
        let seqs: Vec<i64> = seqs.iter().map(|row| row.try_get("", "order_seq").unwrap()).collect();
        assert_eq!(seqs, [0, 1, 2]);
        assert_eq!(bench.states().await, [READY, BLOCKED, BLOCKED]);
    })
    .await;
}

#[tokio::test]
async fn a_payload_over_8_kib_is_refused() {
    on_databases(async |bench| {
        let big = Scripted::new("x".repeat(8 * 1024), &[]);
        let refused: Result<_, Error> = bench
            .store
            .of(bench.scope.clone())
            .transaction(async |db| enqueue(db, &big, Terms::now()).await)
            .await;
        assert_eq!(refused.unwrap_err().reason(), "JOB_TOO_LARGE");
        assert!(bench.rows().await.is_empty());
    })
    .await;
}
