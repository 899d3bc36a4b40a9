//! Ended jobs move into the log, each once, and out of it by age.
use std::time::Duration;

use chrono::{Days, TimeDelta};
use sea_orm::Value;
use switchboard::{env::Env, jobs::Terms};

use crate::jobs::{Bench, DEAD, DONE, Scripted, on_databases};

async fn ended(bench: &Bench, count: usize, state: i16) {
    let jobs: Vec<Scripted> = (0..count).map(|n| Scripted::new(n, &[])).collect();
    bench.promise(&jobs, Terms::now()).await;
    let past = Env::system().now() - TimeDelta::hours(1);
    bench
        .ask("update job set state = $1, finished_at = $2 where state = 0", [state.into(), past.into()])
        .await;
}

async fn count(bench: &Bench, sql: &str) -> i64 {
    bench.ask(sql, []).await[0].try_get("", "n").unwrap()
}

const EVERYWHERE: &str =
    "select count(*) as n from (select tenant_id, id from job union all select tenant_id, id from job_log) j";
const DISTINCT: &str =
    "select count(*) as n from (select tenant_id, id from job union select tenant_id, id from job_log) j";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_archive_at_once_move_each_job_once() {
    on_databases(async |bench| {
        ended(&bench, 2_300, DONE).await;
        let drain = async || {
            let mut moved = 0;
            loop {
                match bench.store.system().archive_jobs(Duration::ZERO).await.unwrap() {
                    0 => return moved,
                    some => moved += some,
                }
            }
        };
        let (one, two) = tokio::join!(drain(), drain());
        // Whoever found everything locked by the other may have given up early.
        assert_eq!(one + two + drain().await, 2_300);
        assert_eq!(count(&bench, "select count(*) as n from job").await, 0);
        assert_eq!((count(&bench, EVERYWHERE).await, count(&bench, DISTINCT).await), (2_300, 2_300));
    })
    .await;
}

/// What cannot be written into the log stays where it was.
#[tokio::test]
async fn a_move_that_fails_leaves_the_jobs_where_they_are() {
    on_databases(async |bench| {
        ended(&bench, 3, DONE).await;
        let copy = "insert into job_log (tenant_id, id, queue, kind, state, epoch, tries, crashes, created_at, finished_at) \
             select tenant_id, id, queue, kind, state, epoch, tries, crashes, created_at, finished_at from job \
             order by id limit 1";
        bench.ask(copy, []).await;
        assert!(bench.store.system().archive_jobs(Duration::ZERO).await.is_err());
        assert_eq!(count(&bench, "select count(*) as n from job").await, 3);
        bench.ask("delete from job_log", []).await;
        assert_eq!(bench.store.system().archive_jobs(Duration::ZERO).await.unwrap(), 3);
        assert_eq!((count(&bench, EVERYWHERE).await, count(&bench, DISTINCT).await), (3, 3));
    })
    .await;
}

#[tokio::test]
async fn dead_jobs_stay_for_as_long_as_they_may_be_redriven() {
    on_databases(async |bench| {
        ended(&bench, 2, DEAD).await;
        let system = bench.store.system();
        assert_eq!(system.archive_jobs(Duration::ZERO).await.unwrap(), 0);
        assert_eq!(system.archive_dead().await.unwrap(), 0);
        let id = bench.rows().await[0].id;
        let old = Env::system().now() - TimeDelta::days(15);
        bench.ask("update job set created_at = $1 where id = $2", [old.into(), id.into()]).await;
        assert_eq!(system.archive_dead().await.unwrap(), 1);
        assert_eq!(bench.rows().await.len(), 1);
        assert_eq!(count(&bench, "select count(*) as n from job_log where state = 4").await, 1);
    })
    .await;
}

/// An entry of the log, `days` old.
async fn logged(bench: &Bench, days: i64) {
    let sql = "insert into job_log (tenant_id, id, queue, kind, state, epoch, tries, crashes, created_at, finished_at) \
         values ($1, $2, 0, 'x', 3, 1, 0, 0, $3, $3)";
    let at = Env::system().now() - TimeDelta::days(days);
    let values: [Value; 3] = [bench.tenant().into(), crate::jobs::key().into(), at.into()];
    bench.ask(sql, values).await;
}

#[tokio::test]
async fn the_log_is_trimmed_by_age_a_piece_at_a_time() {
    on_databases(async |bench| {
        let system = bench.store.system();
        for days in [40, 35, 31, 29, 0] {
            logged(&bench, days).await;
        }
        let kept = TimeDelta::days(30);
        assert!(system.trim_job_log(kept, 2).await.unwrap(), "there is more");
        assert_eq!(count(&bench, "select count(*) as n from job_log").await, 3);
        assert!(!system.trim_job_log(kept, 2).await.unwrap());
        assert_eq!(count(&bench, "select count(*) as n from job_log").await, 2);
    })
    .await;
}

/// On PostgreSQL each day has a partition, made ahead and dropped whole. SQLite has one table.
#[tokio::test]
async fn days_of_the_log_come_and_go_whole() {
    on_databases(async |bench| {
        let system = bench.store.system();
        let made = system.make_log_partitions().await.unwrap();
        if bench.store.backend() != sea_orm::DbBackend::Postgres {
            assert_eq!(made, 0);
            return;
        }
        assert_eq!(made, 4);
        assert_eq!(system.make_log_partitions().await.unwrap(), 0, "they are there");
        let today = Env::system().now().date_naive();
        let name = |days: u64| today.checked_sub_days(Days::new(days)).unwrap().format("job_log_%Y%m%d").to_string();
        ended(&bench, 2, DONE).await;
        system.archive_jobs(Duration::ZERO).await.unwrap();
        logged(&bench, 0).await;
        let rest = count(&bench, "select count(*) as n from job_log_rest").await;
        let whole = count(&bench, &format!("select count(*) as n from {}", name(0))).await;
        // An hour ago may have been yesterday.
        assert_eq!(rest + whole, 3);
        assert!(whole >= 1);

        for days in [31, 30] {
            let (from, to) = (today - Days::new(days), today - Days::new(days - 1));
            let partition = name(days);
            let create = format!(
                "create table {partition} partition of job_log for values from ('{from} 00:00:00+00') to ('{to} 00:00:00+00')"
            );
            bench.ask(&create, []).await;
            logged(&bench, i64::try_from(days).unwrap()).await;
        }
        system.trim_job_log(TimeDelta::days(30), 100).await.unwrap();
        let left = bench.ask("select to_regclass($1) is null as gone", [name(31).into()]).await;
        assert!(left[0].try_get::<bool>("", "gone").unwrap());
        assert_eq!(count(&bench, &format!("select count(*) as n from {}", name(30))).await, 1);
        assert_eq!(count(&bench, "select count(*) as n from job_log").await, 4);

        // A day whose entries are in the rest gets no partition, and nothing breaks.
        bench.ask(&format!("drop table {}", name(0)), []).await;
        logged(&bench, 0).await;
        assert_eq!(system.make_log_partitions().await.unwrap(), 0);
    })
    .await;
}
