//! The record alone: fences, leases, gates, effects, as each database keeps them.
use std::slice::from_ref;

use switchboard::{
    jobs::Terms,
    store::jobs::{Ending, Held, Outcome, Recorded, Ticket},
};

use super::*;

const TTL: Duration = Duration::from_secs(60);

async fn admit(bench: &Bench, quota: i32) -> Vec<Ticket> {
    bench.store.system().admit(Queue::Send, &[(bench.tenant(), quota)], TTL).await.unwrap()
}

async fn finish(bench: &Bench, ticket: &Ticket, ending: Ending) -> usize {
    let outcome = Outcome { ticket: ticket.clone(), ending };
    bench.store.system().finish(&[outcome]).await.unwrap().recorded.len()
}

#[tokio::test]
async fn due_jobs_are_dispatched_once_and_others_are_not() {
    on_databases(async |bench| {
        let jobs: Vec<Scripted> = (0..5).map(|n| Scripted::new(n, &[])).collect();
        bench.promise(&jobs, Terms::now()).await;
        bench.promise(&jobs[..1], Terms::now().at(Env::system().now() + TTL)).await;
        let ready = bench.store.system().ready_tenants().await.unwrap();
        assert_eq!(ready.len(), 1);
        assert!(ready[0].wait.is_zero());

        let first = admit(&bench, 3).await;
        assert_eq!(first.len(), 3);
        assert!(first.iter().all(|ticket| ticket.epoch == 1 && ticket.kind == "scripted"));
        assert_eq!(admit(&bench, 10).await.len(), 2);
        assert!(admit(&bench, 10).await.is_empty());
        assert_eq!(bench.store.system().in_flight().await.unwrap(), [(Queue::Send, bench.tenant(), 5)]);
        let ready = bench.store.system().ready_tenants().await.unwrap();
        assert!(ready[0].wait > TTL / 2 && ready[0].wait <= TTL, "{ready:?}");
    })
    .await;
}

#[tokio::test]
async fn a_stale_ticket_starts_nothing_and_its_result_changes_nothing() {
    on_databases(async |bench| {
        let id = bench.promise(&[Scripted::new("a", &[])], Terms::now()).await[0];
        let old = admit(&bench, 1).await.remove(0);
        assert_eq!(bench.store.system().unadmit(from_ref(&old)).await.unwrap(), 1);
        let new = admit(&bench, 1).await.remove(0);
        assert_eq!((old.epoch, new.epoch), (1, 2));

        assert!(bench.store.system().start(from_ref(&old), TTL).await.unwrap().is_empty());
        assert_eq!(bench.store.system().start(&[new.clone(), old.clone()], TTL).await.unwrap().len(), 1);
        assert!(bench.store.system().start(from_ref(&new), TTL).await.unwrap().is_empty(), "started already");

        let before = bench.row(id).await;
        let retry = Ending::Retry { after: TTL, error: "late".to_owned() };
        let crash = Ending::Crashed { after: TTL, error: "late".to_owned() };
        let dead = Ending::Dead { error: "late".to_owned() };
        for ending in [Ending::Done, retry, crash, dead, Ending::Cancelled, Ending::Later { after: TTL }] {
            assert_eq!(finish(&bench, &old, ending).await, 0);
        }
        assert_eq!(bench.store.system().unadmit(from_ref(&old)).await.unwrap(), 0);
        assert_eq!(bench.store.system().heartbeat(&[old], TTL).await.unwrap(), [Held::Lost]);
        assert_eq!(bench.row(id).await, before);
        assert_eq!(finish(&bench, &new, Ending::Done).await, 1);
        assert_eq!(finish(&bench, &new, Ending::Dead { error: "late".to_owned() }).await, 0);
        assert_eq!(bench.row(id).await.state, DONE);
    })
    .await;
}

#[tokio::test]
async fn a_batch_records_every_kind_of_ending() {
    on_databases(async |bench| {
        let jobs: Vec<Scripted> = (0..6).map(|n| Scripted::new(n, &[])).collect();
        let ids = bench.promise(&jobs, Terms::now()).await;
        let mut tickets = admit(&bench, 10).await;
        tickets.sort_by_key(|ticket| ids.iter().position(|id| *id == ticket.job));
        bench.store.system().start(&tickets, TTL).await.unwrap();
        let error = || "it said \"no\", {and \\ more\0}".to_owned();
        let endings = [
            Ending::Done,
            Ending::Retry { after: TTL, error: error() },
            Ending::Crashed { after: TTL, error: error() },
            Ending::Later { after: TTL },
            Ending::Dead { error: error() },
            Ending::Cancelled,
        ];
        let outcomes: Vec<Outcome> =
            tickets.into_iter().zip(endings).map(|(ticket, ending)| Outcome { ticket, ending }).collect();
        assert_eq!(bench.store.system().finish(&outcomes).await.unwrap().recorded.len(), 6);
        let kept = Some("it said \"no\", {and \\ more}".to_owned());
        let of = |n: usize, state, tries, crashes, error| Row {
            id: ids[n],
            state,
            epoch: 1,
            tries,
            crashes,
            error,
        };
        let expected = [
            of(0, DONE, 0, 0, None),
            of(1, READY, 1, 0, kept.clone()),
            of(2, READY, 0, 1, kept.clone()),
            of(3, READY, 0, 0, None),
            of(4, DEAD, 0, 0, kept),
            of(5, CANCELLED, 0, 0, None),
        ];
        for row in expected {
            assert_eq!(bench.row(row.id).await, row);
        }
        assert!(admit(&bench, 10).await.is_empty(), "all of them wait a minute");
    })
    .await;
}

#[tokio::test]
async fn leases_that_ran_out_come_back_and_a_job_that_never_ends_well_is_dead() {
    on_databases(async |bench| {
        let id = bench.promise(&[Scripted::new("a", &[])], Terms::now()).await[0];
        // Never started: no crash.
        let system = bench.store.system();
        system.admit(Queue::Send, &[(bench.tenant(), 1)], Duration::ZERO).await.unwrap();
        assert_eq!(system.sweep(10).await.unwrap().undelivered, 1);
        for crashes in 1..=4 {
            let tickets = admit(&bench, 1).await;
            assert_eq!(tickets.len(), 1, "{:?}", bench.rows().await);
            system.start(&tickets, TTL).await.unwrap();
            assert_eq!(system.sweep(10).await.unwrap(), Default::default(), "the lease holds");
            assert_eq!(system.heartbeat(&tickets, Duration::ZERO).await.unwrap(), [Held::Ours]);
            let swept = system.sweep(10).await.unwrap();
            let dead = if crashes < 4 { Vec::new() } else { vec![(bench.tenant(), id)] };
            assert_eq!((swept.abandoned, swept.quarantined), (u64::from(dead.is_empty()), dead));
            assert_eq!(bench.row(id).await.crashes, crashes);
        }
        assert_eq!(bench.row(id).await.state, DEAD);
        assert_eq!(bench.row(id).await.tries, 0);
    })
    .await;
}

/// Blocked, cancelled, dead: whatever ends lets the next one go, and a halted key stays shut.
#[tokio::test]
async fn the_gate_passes_what_ended() {
    on_databases(async |bench| {
        let key = key();
        let jobs: Vec<Scripted> = (0..5).map(|n| Scripted::new(n, &[])).collect();
        let ids = bench.promise(&jobs, Terms::now().ordered(key)).await;
        assert_eq!(bench.states().await, [READY, BLOCKED, BLOCKED, BLOCKED, BLOCKED]);
        // 1 and 2 are cancelled while they wait for their turn.
        for id in &ids[1..3] {
            let db = bench.store.of(bench.scope.clone());
            assert!(db.transaction(async |db| db.cancel_job(*id).await).await.unwrap());
        }
        assert_eq!(bench.states().await, [READY, CANCELLED, CANCELLED, BLOCKED, BLOCKED]);
        let head = admit(&bench, 10).await;
        assert_eq!(head.len(), 1);
        let outcome = Outcome { ticket: head[0].clone(), ending: Ending::Done };
        let finished = bench.store.system().finish(&[outcome]).await.unwrap();
        assert_eq!(finished.opened, [(bench.tenant(), Queue::Send)]);
        assert_eq!(bench.states().await, [DONE, CANCELLED, CANCELLED, READY, BLOCKED]);
        // A head that is retried keeps the others waiting.
        let head = admit(&bench, 10).await.remove(0);
        finish(&bench, &head, Ending::Retry { after: Duration::ZERO, error: "again".to_owned() }).await;
        assert_eq!(bench.states().await, [DONE, CANCELLED, CANCELLED, READY, BLOCKED]);
        let head = admit(&bench, 10).await.remove(0);
        finish(&bench, &head, Ending::Dead { error: "no".to_owned() }).await;
        assert_eq!(bench.states().await, [DONE, CANCELLED, CANCELLED, DEAD, READY]);
        let head = admit(&bench, 10).await.remove(0);
        finish(&bench, &head, Ending::Done).await;
        // The key is free again.
        bench.promise(&jobs[..1], Terms::now().ordered(key)).await;
        assert_eq!(bench.states().await.last(), Some(&READY));
    })
    .await;
}

#[tokio::test]
async fn a_running_job_learns_of_its_cancellation_by_heartbeat() {
    on_databases(async |bench| {
        let id = bench.promise(&[Scripted::new("a", &[])], Terms::now()).await[0];
        let tickets = admit(&bench, 1).await;
        bench.store.system().start(&tickets, TTL).await.unwrap();
        let stranger = bench.store.of(bench.newcomer().await);
        assert!(!stranger.transaction(async |db| db.cancel_job(id).await).await.unwrap());
        let db = bench.store.of(bench.scope.clone());
        assert!(db.transaction(async |db| db.cancel_job(id).await).await.unwrap());
        assert_eq!(bench.row(id).await.state, RUNNING);
        assert_eq!(bench.store.system().heartbeat(&tickets, TTL).await.unwrap(), [Held::Cancelled]);
    })
    .await;
}

#[tokio::test]
async fn a_lease_has_one_holder_and_a_new_term_for_each() {
    on_databases(async |bench| {
        let (ours, theirs) = (key(), key());
        let system = bench.store.system();
        let names = ["a".to_owned(), "b".to_owned()];
        assert_eq!(system.take_leases(&names, ours, TTL).await.unwrap(), [Some(1), Some(1)]);
        assert_eq!(system.take_leases(&names[..1], theirs, TTL).await.unwrap(), [None]);
        assert_eq!(system.take_leases(&names, ours, TTL).await.unwrap(), [Some(1), Some(1)], "renewed");
        system.release_leases(&names[..1], ours).await.unwrap();
        assert_eq!(system.take_leases(&names, theirs, TTL).await.unwrap(), [Some(2), None]);
        // Late for its own: what it knew may be outdated.
        system.take_leases(&["c".to_owned()], ours, Duration::ZERO).await.unwrap();
        assert_eq!(system.take_leases(&["c".to_owned()], ours, TTL).await.unwrap(), [Some(2)]);
    })
    .await;
}

#[tokio::test]
async fn ended_jobs_move_to_the_log_once_their_gate_is_past_them() {
    on_databases(async |bench| {
        let ordered = Terms::now().ordered(key());
        let ids = bench.promise(&[Scripted::new("0", &[]), Scripted::new("1", &[])], ordered).await;
        let db = bench.store.of(bench.scope.clone());
        db.transaction(async |db| db.cancel_job(ids[1]).await).await.unwrap();
        let plain = bench.promise(&[Scripted::new("2", &[])], Terms::now()).await[0];
        let tickets = admit(&bench, 10).await;
        let of = |id| tickets.iter().find(|ticket| ticket.job == id).unwrap();
        finish(&bench, of(plain), Ending::Done).await;
        assert_eq!(bench.store.system().archive_jobs(TTL).await.unwrap(), 0, "too fresh");
        assert_eq!(bench.store.system().archive_jobs(Duration::ZERO).await.unwrap(), 1);
        assert_eq!(bench.rows().await.len(), 2);
        finish(&bench, of(ids[0]), Ending::Done).await;
        assert_eq!(bench.store.system().archive_jobs(Duration::ZERO).await.unwrap(), 2);
        assert!(bench.rows().await.is_empty());
        let logged = bench.ask("select kind, state from job_log order by id", []).await;
        let logged: Vec<i16> = logged.iter().map(|row| row.try_get("", "state").unwrap()).collect();
        assert_eq!(logged, [DONE, CANCELLED, DONE]);
    })
    .await;
}

#[tokio::test]
async fn the_ledger_remembers_intent_result_and_doubt() {
    on_databases(async |bench| {
        let db = bench.store.of(bench.scope.clone());
        let (key, other) = ([1; 32], [2; 32]);
        assert_eq!(db.begin_effect(key).await.unwrap(), Recorded::Fresh);
        assert_eq!(db.begin_effect(key).await.unwrap(), Recorded::Intended);
        // Another tenant's ledger is its own.
        let stranger = bench.store.of(bench.newcomer().await);
        assert_eq!(stranger.begin_effect(key).await.unwrap(), Recorded::Fresh);
        // The result rolls back with what it belongs to.
        let refused: Result<(), _> = db
            .transaction(async |db| {
                db.effect_done(key, Some("wamid.1")).await?;
                Err(switchboard::error::Error::rejected("NO", "no"))
            })
            .await;
        assert!(refused.is_err());
        assert_eq!(db.begin_effect(key).await.unwrap(), Recorded::Intended);
        db.transaction(async |db| db.effect_done(key, Some("wamid.1")).await).await.unwrap();
        assert_eq!(db.begin_effect(key).await.unwrap(), Recorded::Done(Some("wamid.1".to_owned())));
        db.transaction(async |db| db.effect_undone(key).await).await.unwrap();
        assert_eq!(db.begin_effect(key).await.unwrap(), Recorded::Done(Some("wamid.1".to_owned())));

        assert_eq!(db.begin_effect(other).await.unwrap(), Recorded::Fresh);
        db.transaction(async |db| db.effect_unknown(other).await).await.unwrap();
        assert_eq!(db.begin_effect(other).await.unwrap(), Recorded::Unknown);
        db.transaction(async |db| db.effect_undone(other).await).await.unwrap();
        assert_eq!(db.begin_effect(other).await.unwrap(), Recorded::Fresh);
    })
    .await;
}

/// The planner trap: with `state in (1, 2)` in these updates PostgreSQL may scan the small lease index once a
/// batch. They must find their rows by primary key, also while the statistics are stale.
#[tokio::test]
async fn updates_by_epoch_use_the_primary_key() {
    let bench = Bench::over(Pair::postgres().await, false).await;
    bench.ask("insert into job (tenant_id, id, shard, queue, kind, state, run_at, payload, created_at)
         select gen_random_uuid(), gen_random_uuid(), 0, 0, 'x', case when n % 500 = 0 then 2 else 3 end, now(), '', now()
         from generate_series(1, 200000) n", []).await;
    let statements = [
        "update job set state = 2 from unnest($1::uuid[], $2::uuid[], $3::int[]) d (t, i, e)
         where job.tenant_id = d.t and job.id = d.i and job.epoch = d.e and (job.state + 0) = 1 and not job.cancel",
        "update job set state = 3 from unnest($1::uuid[], $2::uuid[], $3::int[]) d (t, i, e)
         where job.tenant_id = d.t and job.id = d.i and job.epoch = d.e and (job.state + 0) in (1, 2)",
    ];
    for analyzed in [false, true] {
        if analyzed {
            bench.ask("analyze job", []).await;
        }
        for statement in statements {
            let ids: Vec<Uuid> = (0..100).map(|_| key()).collect();
            let values: [Value; 3] = [ids.clone().into(), ids.into(), vec![1_i32; 100].into()];
            let plan = bench.ask(&format!("explain {statement}"), values).await;
            let plan: String =
                plan.iter().map(|row| row.try_get_by_index::<String>(0).unwrap() + "\n").collect();
            assert!(plan.contains("job_pkey") && !plan.contains("job_lease"), "{plan}");
        }
    }
}

/// What a provider asks for cannot keep an ending from being recorded, nor those of the same batch.
#[tokio::test]
async fn a_pause_without_end_is_recorded_like_any_other() {
    on_databases(async |bench| {
        let jobs: Vec<Scripted> = (0..4).map(|n| Scripted::new(n, &[])).collect();
        let ids = bench.promise(&jobs, Terms::now()).await;
        let tickets = admit(&bench, 4).await;
        assert_eq!(bench.store.system().start(&tickets, TTL).await.unwrap().len(), 4);
        let (after, error) = (Duration::from_secs(9_223_372_036_854_775), String::new());
        let endings = [
            Ending::Done,
            Ending::Retry { after, error: error.clone() },
            Ending::Crashed { after: Duration::MAX, error },
            Ending::Later { after: Duration::MAX },
        ];
        let outcomes: Vec<_> =
            tickets.into_iter().zip(endings).map(|(ticket, ending)| Outcome { ticket, ending }).collect();
        let recorded = bench.store.system().finish(&outcomes).await.unwrap().recorded;
        assert_eq!(recorded.len(), ids.len());
        assert_eq!((bench.count(DONE).await, bench.count(READY).await), (1, 3));
        assert!(admit(&bench, 10).await.is_empty(), "none of them is due");
    })
    .await;
}

/// A backlog moves a thousand at a time, each job once.
#[tokio::test]
async fn a_backlog_of_ended_jobs_moves_in_pieces() {
    on_databases(async |bench| {
        let jobs: Vec<Scripted> = (0..2_300).map(|n| Scripted::new(n, &[])).collect();
        bench.promise(&jobs, Terms::now()).await;
        let past = Env::system().now() - chrono::TimeDelta::hours(1);
        let end = format!("update job set state = {DONE}, finished_at = $1");
        bench.ask(&end, [past.into()]).await;
        let mut pieces = Vec::new();
        loop {
            match bench.store.system().archive_jobs(TTL).await.unwrap() {
                0 => break,
                moved => pieces.push(moved),
            }
        }
        assert_eq!(pieces, [1_000, 1_000, 300]);
        assert!(bench.rows().await.is_empty());
        let logged = bench.ask("select count(distinct id) as ids, count(*) as n from job_log", []).await;
        let count = |name: &str| logged[0].try_get::<i64>("", name).unwrap();
        assert_eq!((count("ids"), count("n")), (2_300, 2_300));
    })
    .await;
}
