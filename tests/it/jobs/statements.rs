//! The engine's statements find their rows by the right index whatever the statistics say: on a table that was
//! analyzed while it was empty, and on one whose jobs all stood elsewhere when somebody last looked.
//!
//! With `state in (1, 2)` where a row is named by its key, PostgreSQL takes the small index of leases for the shorter
//! way when the statistics know of no running job, and reads all of it for each batch.
use switchboard::{
    jobs::Terms,
    store::jobs::{Ending, Outcome, Ticket},
};

use super::*;
use crate::plans::{logged, scanned};

const TTL: Duration = Duration::from_secs(600);

/// What a statement is known by, and the only indexes by which it may read jobs.
const STATEMENTS: [(&str, &str, &[&str]); 16] = [
    ("who has ready jobs", "with recursive t (shard", &["job_ready"]),
    ("in flight", "select queue, tenant_id, count(*)", &["job_lease"]),
    ("admit", "order by job.prio, job.run_at, job.id", &["job_ready", "job_pkey"]),
    ("give back", "update job set state = 0, lease_until = null from unnest", &["job_pkey"]),
    ("start", "update job set state = 2", &["job_pkey"]),
    ("heartbeat", "update job set lease_until = (now() + $4", &["job_pkey"]),
    ("done", "update job set state = $4, lease_until = null, finished_at = now() from", &["job_pkey"]),
    ("dead", "finished_at = now(), last_error = d.error", &["job_pkey"]),
    ("again", "tries = tries + $4", &["job_pkey"]),
    ("crashed", "crashes = crashes + 1,", &["job_pkey"]),
    ("cancel", "cancel = true", &["job_pkey"]),
    ("sweep", "its worker fell silent", &["job_lease", "job_pkey"]),
    ("readmit", "where state = 1 and queue =", &["job_lease"]),
    ("count tickets", "count(*) as n from job where state = 1", &["job_lease"]),
    (
        "open the gate",
        "update job set state = 0 from unnest($1::uuid[], $2::uuid[]) d (t, k)",
        &["job_order"],
    ),
    ("archive", "with old as materialized", &["job_ended", "job_pkey"]),
];

/// PostgreSQL alone: SQLite has no such statistics until somebody asks for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hot_statements_use_their_index_with_stale_statistics() {
    let cluster = Cluster::start();
    let bench = Bench::over(Pair::of(&cluster).await, false).await;
    for table in ["job", "job_gate", "effect", "job_log_rest"] {
        bench.ask(&format!("alter table {table} set (autovacuum_enabled = false)"), []).await;
        // Nothing in it yet, and that is written down.
        bench.ask(&format!("analyze {table}"), []).await;
    }
    fill(&bench, 0).await;
    let mut plans = explained(&cluster, &bench).await;

    // Everything is over, and that is written down; then a third of it runs.
    bench.ask("update job set state = 3, finished_at = now(), lease_until = null", []).await;
    bench.ask("vacuum analyze job", []).await;
    let running = "update job set state = 2, finished_at = null, lease_until = now() + interval '1 hour' \
         where id in (select id from job limit 20000)";
    bench.ask(running, []).await;
    plans.extend(explained(&cluster, &bench).await);

    let mut wrong = Vec::new();
    for (name, words, indexes) in STATEMENTS {
        let of: Vec<&String> = plans.iter().filter(|plan| plan.contains(words)).collect();
        assert!(!of.is_empty(), "no plan of: {name}");
        for plan in of {
            let jobs = plan
                .lines()
                .filter_map(|line| line.trim_start_matches([' ', '-', '>']).split_once(" using "));
            let used = jobs.filter_map(|(_, rest)| rest.split_once(" on job ")).map(|(index, _)| index);
            let bitmap = plan
                .lines()
                .filter_map(|line| line.split_once("Bitmap Index Scan on "))
                .map(|(_, rest)| rest);
            let bitmap =
                bitmap.filter_map(|rest| rest.split(' ').next()).filter(|index| index.starts_with("job_"));
            let others: Vec<&str> = used.chain(bitmap).filter(|index| !indexes.contains(index)).collect();
            let whole = scanned(plan);
            let whole = whole.iter().any(|table| matches!(table.as_str(), "job" | "job_gate" | "effect"));
            if whole || !others.is_empty() {
                wrong.push(format!("--- {name} by {others:?}:\n{plan}"));
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{} plans, such as\n{}", wrong.len(), wrong[..wrong.len().min(4)].join("\n"));
}

/// Sixty thousand jobs of fifty tenants, nearly all of them over.
async fn fill(bench: &Bench, shard: i16) {
    let fill = "insert into job (tenant_id, id, shard, queue, kind, state, run_at, payload, created_at, finished_at, \
             lease_until, order_key, order_seq) \
         select md5('t' || n % 50)::uuid, gen_random_uuid(), $1, n % 7, 'x', \
             case when n % 300 = 0 then 0 when n % 300 = 1 then 2 else 3 end, now(), '', now(), \
             case when n % 300 > 1 then now() end, case when n % 300 = 1 then now() + interval '1 hour' end, \
             case when n % 3 = 0 then md5('k' || n / 6)::uuid end, case when n % 3 = 0 then n % 6 end \
         from generate_series(1, 60000) n";
    bench.ask(fill, [shard.into()]).await;
    let gates = "insert into job_gate select distinct tenant_id, order_key, 6, 6 from job where order_key is not null \
         on conflict do nothing";
    bench.ask(gates, []).await;
}

/// A day's work of the engine, and the plans that it made: once planned for its values, once for all values.
async fn explained(cluster: &Cluster, bench: &Bench) -> Vec<String> {
    let before = logged(cluster).len();
    for mode in ["force_custom_plan", "force_generic_plan"] {
        for setting in [
            "session_preload_libraries = 'auto_explain'",
            "auto_explain.log_min_duration = 0",
            &format!("plan_cache_mode = {mode}"),
        ] {
            bench.ask(&format!("alter database postgres set {setting}"), []).await;
        }
        let settings = switchboard::store::Settings { url: bench.pair.database_url.clone(), pool: 2 };
        let store = switchboard::store::connect(&settings, Env::system()).await.unwrap();
        day(&store, &bench.scope).await;
    }
    for setting in ["auto_explain.log_min_duration", "plan_cache_mode"] {
        bench.ask(&format!("alter database postgres reset {setting}"), []).await;
    }
    logged(cluster).split_off(before)
}

async fn day(store: &Store, scope: &TenantScope) {
    let system = store.system();
    let admit = async |count| system.admit(Queue::Send, &[(scope.tenant(), count)], TTL).await.unwrap();
    let jobs: Vec<Scripted> = (0..12).map(|n| Scripted::new(n, &[])).collect();
    promise(store, scope, &jobs, Terms::now()).await;
    let order = key();
    promise(store, scope, &jobs[..3], Terms::now().ordered(order)).await;
    promise(store, scope, &jobs[..1], Terms::now().unique(order.as_bytes().to_vec())).await;
    assert!(!system.ready_tenants().await.unwrap().is_empty());
    let tickets = admit(50).await;
    assert!(tickets.len() >= 13);
    assert_eq!(system.unadmit(&tickets).await.unwrap(), tickets.len() as u64);
    let tickets: Vec<Ticket> = admit(50).await;
    system.in_flight().await.unwrap();
    system.dispatched(Queue::Send).await.unwrap();
    assert_eq!(system.start(&tickets, TTL).await.unwrap().len(), tickets.len());
    system.heartbeat(&tickets, TTL).await.unwrap();
    let error = || "no".to_owned();
    let after = Duration::ZERO;
    let endings = [
        Ending::Done,
        Ending::Cancelled,
        Ending::Dead { error: error() },
        Ending::Retry { after, error: error() },
        Ending::Crashed { after, error: error() },
        Ending::Later { after },
    ];
    // The head of the ordered ones is among those that are done, however many there are.
    let outcomes = tickets.into_iter().enumerate().map(|(n, ticket)| {
        let ending = if n < 6 { endings[n].clone() } else { Ending::Done };
        Outcome { ticket, ending }
    });
    let outcomes: Vec<Outcome> = outcomes.collect();
    assert_eq!(system.finish(&outcomes).await.unwrap().recorded.len(), outcomes.len());
    let late = Env::system().now() + TTL;
    let late = promise(store, scope, &jobs[..1], Terms::now().at(late)).await[0];
    let db = store.of(scope.clone());
    assert!(db.transaction(async |db| db.cancel_job(late).await).await.unwrap());
    let effect = [order.into_bytes(), order.into_bytes()].concat().try_into().unwrap();
    db.begin_effect(effect).await.unwrap();
    db.transaction(async |db| db.effect_done(effect, None).await).await.unwrap();
    system.job_weights(&[scope.tenant()]).await.unwrap();
    admit(2).await;
    system.readmit_queue(Queue::Send).await.unwrap();
    system.sweep(100).await.unwrap();
    system.archive_jobs(Duration::ZERO).await.unwrap();
}
