//! Schedules fire once, at their times, whoever looks.
mod engine;
mod service;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement, TransactionTrait, Value};
use switchboard::{
    auth::TenantScope,
    domain::{cron::CatchUp, queue::Queue},
    env::Env,
    error::{Error, Result},
    id::TenantId,
    jobs,
    store::{Settings, Store, connect, jobs::Fired},
};

use crate::{
    jobs::Scripted,
    support::{Pair, both},
};

/// A database with a tenant, under a clock of the test's own.
pub struct Tower {
    pub store: Store,
    pub env: Env,
    pub scope: TenantScope,
    raw: DatabaseConnection,
    settings: Settings,
}

impl Tower {
    /// At a time such as `2026-11-21T10:00:00Z`.
    pub async fn at(pair: &Pair, time: &str) -> Self {
        let env = Env::manual(at(time), 5);
        let settings = Settings { url: pair.database_url.clone(), pool: 8 };
        let store = connect(&settings, env.clone()).await.unwrap();
        let scope = TenantScope::of_platform(crate::transaction::tenant(pair, &Env::system()).await);
        let raw = Database::connect(&pair.database_url).await.unwrap();
        Self { store, env, scope, raw, settings }
    }

    /// The same database, through the connections of another process.
    pub async fn beside(&self) -> Store {
        connect(&self.settings, self.env.clone()).await.unwrap()
    }

    pub async fn put(&self, name: &str, expression: &str, zone: &str, catch_up: CatchUp) -> Result<()> {
        let job = Scripted::new(name, &[]);
        let db = self.store.of(self.scope.clone());
        db.transaction(async |db| jobs::cron::schedule(db, name, expression, zone, catch_up, &job).await)
            .await
    }

    pub async fn every_minute(&self, name: &str) {
        self.put(name, "* * * * *", "UTC", CatchUp::Skip).await.unwrap();
    }

    pub fn wait(&self, minutes: i64) {
        self.env.advance(TimeDelta::minutes(minutes));
    }

    /// One look.
    pub async fn look(&self) -> Fired {
        self.store.system().fire_due(100).await.unwrap()
    }

    pub async fn ask<const N: usize>(&self, sql: &str, values: [Value; N]) -> Vec<sea_orm::QueryResult> {
        let backend = self.raw.get_database_backend();
        let sql = if backend == DbBackend::Sqlite { sql.replace('$', "?") } else { sql.to_owned() };
        self.raw.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await.unwrap()
    }

    /// The fires that have jobs, as `name 2026-11-21T10:00`, oldest job first.
    pub async fn fires(&self) -> Vec<String> {
        let rows = self.ask("select uniq_key from job where uniq_key is not null order by id", []).await;
        let name = |row: &sea_orm::QueryResult| {
            let key = String::from_utf8(row.try_get("", "uniq_key").unwrap()).unwrap();
            let parts: Vec<&str> = key.split(':').collect();
            let [word, name, time] = parts[..] else { panic!("{key}") };
            assert_eq!(word, "cron");
            let time = DateTime::from_timestamp(time.parse().unwrap(), 0).unwrap();
            format!("{name} {}", time.format("%FT%R"))
        };
        rows.iter().map(name).collect()
    }

    /// The next time of a schedule.
    pub async fn next(&self, name: &str) -> DateTime<Utc> {
        self.store.of(self.scope.clone()).crons().get(name).await.unwrap().next_at
    }

    pub async fn set_enabled(&self, name: &str, enabled: bool) {
        let db = self.store.of(self.scope.clone());
        let set = async |db: &switchboard::store::TenantDb<_>| {
            let seen = db.crons().lock(name).await?;
            db.crons().set_enabled(seen, enabled).await
        };
        db.transaction(set).await.unwrap();
    }
}

pub fn at(time: &str) -> DateTime<Utc> {
    time.parse().unwrap()
}

fn named(error: &Error) -> &str {
    match error {
        Error::Invalid(fields) => &fields[0].field,
        other => other.reason(),
    }
}

#[tokio::test]
async fn a_schedule_makes_its_job_when_it_is_due_and_not_again() {
    both(async |pair| {
        let tower = Tower::at(&pair, "2026-11-21T07:30:00Z").await;
        tower.put("report", "0 9 * * *", "Europe/Berlin", CatchUp::One).await.unwrap();
        assert_eq!(tower.look().await, Fired::default());
        assert_eq!(tower.store.system().next_fire().await.unwrap(), Some(at("2026-11-21T08:00:00Z")));

        tower.wait(30);
        let fired = tower.look().await;
        assert_eq!((fired.jobs.len(), fired.more), (1, false));
        assert_eq!(fired.jobs[0].0, tower.scope.tenant());
        assert_eq!(tower.look().await, Fired::default());
        assert_eq!(tower.fires().await, ["report 2026-11-21T08:00"]);
        assert_eq!(tower.next("report").await, at("2026-11-22T08:00:00Z"));

        let made = tower.ask("select queue, kind, payload, max_tries, state from job", []).await;
        let text: String = made[0].try_get("", "kind").unwrap();
        let payload: Vec<u8> = made[0].try_get("", "payload").unwrap();
        let numbers = ["queue", "max_tries", "state"].map(|name| made[0].try_get::<i16>("", name).unwrap());
        assert_eq!((text.as_str(), numbers), ("scripted", [Queue::Send.number(), 3, 0]));
        assert_eq!(serde_json::from_slice::<Scripted>(&payload).unwrap().name, "report");
    })
    .await;
}

/// The platform's and two tenants' schedules of one name are three.
#[tokio::test]
async fn a_name_is_its_owners_own() {
    both(async |pair| {
        let mut tower = Tower::at(&pair, "2026-11-21T07:30:00Z").await;
        let other = TenantScope::of_platform(crate::transaction::tenant(&pair, &Env::system()).await);
        let owners = [tower.scope.clone(), other, TenantScope::of_platform(TenantId::PLATFORM)];
        for owner in owners.clone() {
            tower.scope = owner;
            tower.every_minute("tick").await;
        }
        tower.wait(1);
        let mut fired: Vec<TenantId> =
            tower.look().await.jobs.into_iter().map(|(tenant, _)| tenant).collect();
        fired.sort();
        let mut expected = owners.map(|owner| owner.tenant());
        expected.sort();
        assert_eq!(fired, expected);

        let remove = async |db: &switchboard::store::TenantDb<_>| db.crons().remove("tick").await;
        let platform = tower.store.of(tower.scope.clone());
        assert!(platform.transaction(remove).await.unwrap());
        assert!(!platform.transaction(remove).await.unwrap());
        tower.wait(1);
        assert_eq!(tower.look().await.jobs.len(), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_number_of_processes_fire_each_time_once() {
    both(async |pair| {
        let tower = Tower::at(&pair, "2026-11-21T10:00:30Z").await;
        for n in 0..40 {
            tower.every_minute(&format!("s{n}")).await;
        }
        // A file has one process; its commands stand in line at its one writer.
        let beside = if pair.name == "sqlite" { tower.store.clone() } else { tower.beside().await };
        for minute in 1..=5 {
            tower.wait(1);
            let looks = (0..8).map(|n| {
                let store = if n % 2 == 0 { tower.store.clone() } else { beside.clone() };
                async move {
                    let mut made = 0;
                    for _ in 0..100 {
                        let fired = store.system().fire_due(7).await.unwrap();
                        made += fired.jobs.len();
                        if !fired.more {
                            break;
                        }
                    }
                    made
                }
            });
            let made: usize = futures::future::join_all(looks).await.into_iter().sum();
            // Rows that another one holds are skipped: what is left is for the next look.
            let late = tower.look().await.jobs.len();
            assert_eq!(made + late, 40, "minute {minute}");
            // A job that is over does not hold its key any more: the schedule's row alone keeps the fire from
            // coming again.
            tower.ask("update job set state = 3", []).await;
            assert_eq!(tower.look().await, Fired::default(), "minute {minute}");
        }
        let mut fires = tower.fires().await;
        assert_eq!(fires.len(), 200);
        fires.sort();
        fires.dedup();
        assert_eq!(fires.len(), 200);
    })
    .await;
}

/// On PostgreSQL alone: SQLite has no rows to lock.
#[tokio::test]
async fn a_schedule_that_somebody_else_is_firing_is_passed_over() {
    let pair = Pair::postgres().await;
    let tower = Tower::at(&pair, "2026-11-21T10:00:30Z").await;
    tower.every_minute("held").await;
    tower.every_minute("free").await;
    tower.wait(1);
    #[expect(clippy::disallowed_methods, reason = "a transaction of somebody else's")]
    let held = tower.raw.begin().await.unwrap();
    held.execute_unprepared("select 1 from cron where name = 'held' for update").await.unwrap();
    let patience = Duration::from_secs(20);
    let fired = tokio::time::timeout(patience, tower.look()).await.expect("it does not wait for the lock");
    assert_eq!((fired.jobs.len(), tower.fires().await), (1, vec!["free 2026-11-21T10:01".to_owned()]));
    held.rollback().await.unwrap();
    assert_eq!(tower.look().await.jobs.len(), 1);
}

#[tokio::test]
async fn what_was_missed_comes_not_at_all_or_once_or_each() {
    both(async |pair| {
        let tower = Tower::at(&pair, "2026-11-21T02:30:00Z").await;
        for (name, catch_up) in [("skip", CatchUp::Skip), ("one", CatchUp::One), ("all", CatchUp::All)] {
            tower.put(name, "0 * * * *", "UTC", catch_up).await.unwrap();
        }
        tower.wait(5 * 60);
        let fired = tower.look().await;
        assert!(!fired.more);
        let mut fires = tower.fires().await;
        fires.sort();
        let all = (3..=7).map(|hour| format!("all 2026-11-21T{hour:02}:00"));
        assert_eq!(fires, all.chain(["one 2026-11-21T03:00".to_owned()]).collect::<Vec<_>>());
        for name in ["skip", "one", "all"] {
            assert_eq!(tower.next(name).await, at("2026-11-21T08:00:00Z"), "{name}");
        }
        // In time, all are alike.
        tower.wait(30);
        assert_eq!(tower.look().await.jobs.len(), 3);
    })
    .await;
}

/// A schedule that has much to catch up with does it a piece at a time, and holds nobody else up.
#[tokio::test]
async fn catching_up_is_bounded_a_look() {
    both(async |pair| {
        let tower = Tower::at(&pair, "2026-11-21T10:00:30Z").await;
        tower.put("all", "* * * * *", "UTC", CatchUp::All).await.unwrap();
        tower.put("other", "30 10 * * *", "UTC", CatchUp::Skip).await.unwrap();
        tower.wait(30);
        let first = tower.look().await;
        assert_eq!((first.jobs.len(), first.more), (11, true));
        assert!(tower.fires().await.contains(&"other 2026-11-21T10:30".to_owned()));
        let mut looks = 1;
        while tower.look().await.more {
            looks += 1;
        }
        assert_eq!((looks, tower.fires().await.len()), (2, 31));
    })
    .await;
}

/// Berlin leaves out 02:30 on 29 March 2026, and has it twice on 25 October.
#[tokio::test]
async fn a_daily_schedule_fires_once_a_day_also_when_clocks_change() {
    both(async |pair| {
        for (from, expected) in [
            ("2026-03-27T23:10:00Z", ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]),
            ("2026-10-23T22:10:00Z", ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]),
        ] {
            let tower = Tower::at(&pair, from).await;
            tower.put("night", "30 2 * * *", "Europe/Berlin", CatchUp::One).await.unwrap();
            for _ in 0..3 * 24 {
                tower.wait(60);
                tower.look().await;
            }
            assert_eq!(tower.fires().await, expected.map(|time| format!("night {time}")));
            tower.ask("delete from job", []).await;
            tower.ask("delete from cron", []).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_never_fires_or_cannot_be_read_is_refused_by_name() {
    both(async |pair| {
        let tower = Tower::at(&pair, "2026-11-21T10:00:00Z").await;
        let put = async |name: &str, expression: &str, zone: &str| {
            named(&tower.put(name, expression, zone, CatchUp::One).await.unwrap_err()).to_owned()
        };
        for (name, expression, zone, field) in [
            ("a", "0 0 30 2 *", "UTC", "expression"),
            ("a", "0 0 * *", "UTC", "expression"),
            ("a", "61 * * * *", "UTC", "expression"),
            ("a", "0 0 * * *", "Europe/Atlantis", "time_zone"),
            ("", "0 0 * * *", "UTC", "name"),
            ("A b", "0 0 * * *", "UTC", "name"),
            (&"a".repeat(65), "0 0 * * *", "UTC", "name"),
        ] {
            assert_eq!(put(name, expression, zone).await, field, "{name:?} {expression:?} {zone:?}");
        }
        assert_eq!(put(&"a".repeat(64), "0 0 30 2 *", "UTC").await, "expression");
        let job = Scripted::new("x".repeat(9_000), &[]);
        let db = tower.store.of(tower.scope.clone());
        let large = db.transaction(async |db| {
            jobs::cron::schedule(db, "large", "0 0 * * *", "UTC", CatchUp::One, &job).await
        });
        assert_eq!(large.await.unwrap_err().reason(), "JOB_TOO_LARGE");
        assert!(tower.ask("select name from cron", []).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_schedule_that_is_put_again_changes_only_where_it_differs() {
    both(async |pair| {
        let tower = Tower::at(&pair, "2026-11-21T10:00:30Z").await;
        tower.every_minute("tick").await;
        tower.set_enabled("tick", false).await;
        let get = async || tower.store.of(tower.scope.clone()).crons().get("tick").await.unwrap();
        let before = get().await;
        assert_eq!((before.version, before.enabled), (2, false));

        tower.wait(10);
        tower.every_minute("tick").await;
        assert_eq!(get().await, before);
        tower.put("tick", "0 12 * * *", "UTC", CatchUp::Skip).await.unwrap();
        let after = get().await;
        assert_eq!((after.version, after.enabled, after.create_time), (3, false, before.create_time));
        assert_eq!(after.next_at, at("2026-11-21T12:00:00Z"));
    })
    .await;
}

#[tokio::test]
async fn a_schedule_that_is_off_fires_nothing_and_makes_up_for_nothing() {
    both(async |pair| {
        let tower = Tower::at(&pair, "2026-11-21T10:30:00Z").await;
        tower.put("all", "0 * * * *", "UTC", CatchUp::All).await.unwrap();
        tower.set_enabled("all", false).await;
        tower.wait(5 * 60);
        assert_eq!(tower.look().await, Fired::default());
        assert_eq!(tower.store.system().next_fire().await.unwrap(), None);
        tower.set_enabled("all", true).await;
        assert_eq!(tower.next("all").await, at("2026-11-21T16:00:00Z"));
        assert_eq!(tower.look().await, Fired::default());
        tower.wait(30);
        assert_eq!(tower.look().await.jobs.len(), 1);

        // Switched off and on by a process whose clock is behind: what was fired does not come again.
        tower.env.advance(TimeDelta::seconds(-20));
        tower.set_enabled("all", false).await;
        tower.set_enabled("all", true).await;
        assert_eq!(tower.next("all").await, at("2026-11-21T17:00:00Z"));
    })
    .await;
}

/// A row that this version cannot read must not hold up the others, nor be asked for again and again.
#[tokio::test]
async fn a_schedule_of_another_version_is_passed_over() {
    both(async |pair| {
        let tower = Tower::at(&pair, "2026-11-21T10:00:30Z").await;
        for name in ["fine", "expression", "zone", "queue"] {
            tower.every_minute(name).await;
        }
        for change in [
            "update cron set expr = 'when the moon is full' where name = 'expression'",
            "update cron set tz = 'Mars/Olympus_Mons' where name = 'zone'",
            "update cron set queue = 99 where name = 'queue'",
        ] {
            tower.ask(change, []).await;
        }
        tower.wait(1);
        let fired = tower.look().await;
        assert_eq!((fired.jobs.len(), fired.unreadable.len(), fired.more), (1, 3, false));
        assert_eq!(tower.fires().await, ["fine 2026-11-21T10:01"]);
        assert_eq!(tower.look().await, Fired::default());
        assert_eq!(tower.next("zone").await, at("2026-11-21T11:01:30Z"));
    })
    .await;
}
