//! The log of before is there after the migration that divides it.

use sea_orm::{ConnectionTrait, Database, DbBackend, Statement, Value};
use switchboard::{
    auth::TenantScope,
    env::Env,
    id::EventId,
    store::{
        Settings, connect,
        events::{EventFilter, shard},
    },
};
use switchboard_migrations::{Migrator, MigratorTrait};

use super::{number, write};
use crate::{support::Cluster, transaction::tenant_at};

#[tokio::test]
async fn a_log_that_was_there_before_it_was_divided_goes_on() {
    let cluster = Cluster::shared();
    let admin = Database::connect(cluster.database_url("postgres")).await.unwrap();
    admin.execute_unprepared("create database of_before").await.unwrap();
    admin.close().await.unwrap();
    let file = cluster.scratch().join("of_before.db");
    for url in [format!("sqlite:{}?mode=rwc", file.display()), cluster.database_url("of_before")] {
        let database = Database::connect(&url).await.unwrap();
        let before = Migrator::migrations().iter().take_while(|m| m.name() < "m0012").count();
        Migrator::up(&database, Some(u32::try_from(before).unwrap())).await.unwrap();
        let env = Env::system();
        let tenant = tenant_at(&url, &env).await;
        let backend = database.get_database_backend();
        let run = async |sql: &str, values: Vec<Value>| {
            let sql = if backend == DbBackend::Sqlite { sql.replace('$', "?") } else { sql.to_owned() };
            database.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await.unwrap();
        };
        run("insert into event_head (tenant_id, seq) values ($1, 1)", vec![tenant.into()]).await;
        for seq in [Some(1_i64), None] {
            let sql = "insert into event (tenant_id, id, shard, seq, kind, subject, actor, payload, at) \
                 values ($1, $2, $3, $4, 'tenant.updated', 'a', 'platform', $5, $6)";
            let payload = serde_json::json!({"type": "tenant.updated", "subject": "a", "action": "b"});
            let (id, at) = (env.id::<EventId>(), env.now());
            let values =
                vec![tenant.into(), id.into(), shard(tenant).into(), seq.into(), payload.into(), at.into()];
            run(sql, values).await;
        }
        Migrator::up(&database, None).await.unwrap();
        database.close().await.unwrap();

        let store = connect(&Settings { url, pool: 2 }, env).await.unwrap();
        let scope = TenantScope::of_platform(tenant);
        store.system().trim_events(10).await.unwrap();
        write(&store, &scope, 3).await;
        number(&store).await;
        let (head, found) = store.of(scope).events().page(0, &EventFilter::default(), 10).await.unwrap();
        assert_eq!((head.oldest, head.newest), (1, 3));
        assert_eq!(found.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3].map(Some));
    }
}
