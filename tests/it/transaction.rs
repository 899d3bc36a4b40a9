//! The one write path under cancelled requests, failures and contention.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use switchboard::{
    auth::TenantScope,
    domain::event::Event,
    env::Env,
    error::{Error, Result},
    id::TenantId,
    store::{Settings, Store, connect, events::EventFilter},
};

use crate::support::{Pair, both};

/// A store over the pair, and the scope of a tenant in it.
pub async fn store(pair: &Pair) -> (Store, TenantScope) {
    let env = Env::system();
    let settings = Settings { url: pair.database_url.clone(), pool: 8 };
    let store = connect(&settings, env.clone()).await.unwrap();
    let tenant = tenant(pair, &env).await;
    (store, TenantScope::of_platform(tenant))
}

/// A tenant's row, written past the store.
pub async fn tenant(pair: &Pair, env: &Env) -> TenantId {
    tenant_at(&pair.database_url, env).await
}

/// As [`tenant`], for a database of one's own.
pub async fn tenant_at(database_url: &str, env: &Env) -> TenantId {
    let tenant: TenantId = env.id();
    let raw = Database::connect(database_url).await.unwrap();
    let backend = raw.get_database_backend();
    let mark = if backend == DbBackend::Sqlite { "?" } else { "$" };
    let sql = format!(
        "insert into tenant (id, name, language, currency, time_zone, restricted, version, create_time, update_time)
         values ({mark}1, 'a', 'en', 'EUR', 'UTC', {mark}2, 1, {mark}3, {mark}3)"
    );
    let values = [tenant.into(), false.into(), env.now().into()];
    raw.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await.unwrap();
    tenant
}

fn noted(number: usize) -> Event {
    Event::TenantUpdated { subject: number.to_string(), action: "test".to_owned() }
}

pub async fn write(store: &Store, scope: &TenantScope, number: usize) -> Result<()> {
    store
        .of(scope.clone())
        .transaction(async |db| {
            db.emit(noted(number));
            Ok(())
        })
        .await
}

pub async fn written(store: &Store, scope: &TenantScope) -> Vec<String> {
    for shard in 0..8 {
        while !store.system().number_events(shard, 1_000).await.unwrap().is_empty() {}
    }
    let all = store.of(scope.clone()).events().after(0, &EventFilter::default(), 100_000).await.unwrap();
    all.into_iter().map(|event| event.subject).collect()
}

/// sqlx 0.9.0 hands out connections with an open transaction after a cancelled `begin`; the next
/// acknowledged write on one is lost. 1,200 requests are cancelled at random moments, each beside one
/// that is not: every acknowledged row is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_request_loses_nobody_elses_write() {
    both(async |pair| {
        let (store, scope) = store(&pair).await;
        let acknowledged = Arc::new(std::sync::Mutex::new(Vec::new()));
        for round in 0..60 {
            let commands = (0..40).map(|number| {
                let (store, scope, acknowledged) = (store.clone(), scope.clone(), acknowledged.clone());
                let number = round * 40 + number;
                async move {
                    if number % 2 == 0 {
                        let patience = Duration::from_micros(u64::try_from(number * 37 % 900).unwrap());
                        drop(tokio::time::timeout(patience, write(&store, &scope, number)).await);
                    } else {
                        write(&store, &scope, number).await.unwrap();
                        acknowledged.lock().unwrap().push(number.to_string());
                    }
                }
            });
            join_all(commands).await;
        }
        let written: std::collections::HashSet<String> = written(&store, &scope).await.into_iter().collect();
        let acknowledged = acknowledged.lock().unwrap();
        assert_eq!(acknowledged.len(), 1_200);
        let lost: Vec<&String> = acknowledged.iter().filter(|number| !written.contains(*number)).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
    })
    .await;
}

/// A command that fails ends with a rollback, and its caller may be gone before that ran: the writer must not
/// be free meanwhile. What was acknowledged beside 4,000 of them is read through a connection of its own, so
/// that an open transaction cannot show it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_command_whose_caller_is_gone_undoes_nobody_elses_write() {
    both(async |pair| {
        let (store, scope) = store(&pair).await;
        let fail = async |number: usize| {
            let patience = Duration::from_micros(u64::try_from(number * 131 % 6_000).unwrap());
            let db = store.of(scope.clone());
            let failing = db.transaction(async |db| {
                db.tenants().get().await?;
                db.emit(noted(1_000_000 + number));
                db.tenants().get().await?;
                Err::<(), _>(Error::rejected("NO", "no"))
            });
            drop(tokio::time::timeout(patience, failing).await);
        };
        let mut acknowledged = Vec::new();
        for round in 0..100 {
            let writes = (0..10).map(async |number| {
                let number = round * 10 + number;
                write(&store, &scope, number).await.unwrap();
                number
            });
            let failures = join_all((0..40).map(|number| fail(round * 40 + number)));
            acknowledged.extend(futures::join!(join_all(writes), failures).0);
        }

        let other = Database::connect(&pair.database_url).await.unwrap();
        let subjects = "select subject from event";
        let rows = other.query_all_raw(Statement::from_string(other.get_database_backend(), subjects)).await;
        let rows = rows.unwrap().into_iter().map(|row| row.try_get::<String>("", "subject").unwrap());
        let found: std::collections::BTreeSet<usize> = rows.map(|subject| subject.parse().unwrap()).collect();
        assert_eq!(found, acknowledged.into_iter().collect());
    })
    .await;
}

#[tokio::test]
async fn a_command_that_fails_leaves_nothing() {
    both(async |pair| {
        let (store, scope) = store(&pair).await;
        let refused: Result<()> = store
            .of(scope.clone())
            .transaction(async |db| {
                db.emit(noted(1));
                Err(Error::rejected("NO", "no"))
            })
            .await;
        assert_eq!(refused.unwrap_err().reason(), "NO");
        write(&store, &scope, 2).await.unwrap();
        assert_eq!(written(&store, &scope).await, ["2"]);
    })
    .await;
}

/// Many at once: each runs once, and numbers have no gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_at_the_same_moment_all_commit_once() {
    both(async |pair| {
        let (store, scope) = store(&pair).await;
        let runs = AtomicUsize::new(0);
        let commands = (0..300).map(|number| {
            let (store, scope, runs) = (&store, &scope, &runs);
            async move {
                runs.fetch_add(1, Ordering::Relaxed);
                write(store, scope, number).await.unwrap();
            }
        });
        join_all(commands).await;
        let mut subjects: Vec<usize> =
            written(&store, &scope).await.into_iter().map(|text| text.parse().unwrap()).collect();
        subjects.sort_unstable();
        assert_eq!(subjects, (0..300).collect::<Vec<_>>());
        let all = store.of(scope.clone()).events().after(0, &EventFilter::default(), 1_000).await.unwrap();
        let numbers: Vec<i64> = all.iter().filter_map(|event| event.seq).collect();
        assert_eq!(numbers, (1..=300).collect::<Vec<_>>());
    })
    .await;
}

/// Several sequencers at once number each event once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequencers_at_the_same_moment_number_each_event_once() {
    both(async |pair| {
        let (store, scope) = store(&pair).await;
        join_all((0..200).map(|number| write(&store, &scope, number))).await;
        let shard = switchboard::store::events::shard(scope.tenant());
        let racers = (0..4).map(|_| {
            let store = store.clone();
            async move {
                let mut numbered = 0;
                for _ in 0..40 {
                    numbered += store.system().number_events(shard, 16).await.unwrap().len();
                }
                numbered
            }
        });
        let numbered: usize = join_all(racers).await.into_iter().sum();
        let rest = written(&store, &scope).await;
        assert_eq!(rest.len(), 200);
        assert!(numbered <= 200, "{numbered} were numbered");
        let all = store.of(scope.clone()).events().after(0, &EventFilter::default(), 1_000).await.unwrap();
        assert_eq!(
            all.iter().filter_map(|event| event.seq).collect::<Vec<_>>(),
            (1..=200).collect::<Vec<_>>()
        );
    })
    .await;
}
