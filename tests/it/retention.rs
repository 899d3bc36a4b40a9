//! What is of no use any more goes, and nothing else does.
use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement, Value};
use serde_json::json;
use switchboard::id::{ChannelId, TenantId};
use uuid::Uuid;

use crate::support::{app::TestApp, both};

async fn run(database: &DatabaseConnection, sql: &str, values: Vec<Value>) -> Vec<sea_orm::QueryResult> {
    let backend = database.get_database_backend();
    let sql = if backend == DbBackend::Sqlite { sql.replace('$', "?") } else { sql.to_owned() };
    database.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await.unwrap()
}

/// The names that are left in a column of a table.
async fn left(database: &DatabaseConnection, table: &str, column: &str) -> Vec<String> {
    let sql = format!("select {column} as name from {table} order by {column}");
    let rows = run(database, &sql, Vec::new()).await;
    rows.iter().map(|row| row.try_get("", "name").unwrap()).collect()
}

#[tokio::test]
async fn what_is_of_no_use_goes_and_nothing_else() {
    both(async |pair| {
        let app = TestApp::start(&pair).await;
        let ada = app.sign_up("ada@example.com").await;
        let database = Database::connect(&pair.database_url).await.unwrap();
        let tenant = ada.tenant.parse::<TenantId>().unwrap();
        let channel = json!({"name": "CRM", "webhook": {}});
        let channel = app.ok("CreateChannel", &ada, channel).await;
        let channel = channel["channel"]["id"].as_str().unwrap().parse::<ChannelId>().unwrap();
        let ago = |days: i64| Value::from(app.store().env().now() - TimeDelta::days(days));
        let id = |number: u128| Value::from(Uuid::from_u128(number));
        let own = |id: Value| vec![tenant.into(), id];

        for (number, days) in [(1, 29), (2, 31)] {
            let copy = "insert into session (id, user_id, token_hash, tenant_id, create_time, expires_at, last_seen_at) \
                 select $1, user_id, $2, tenant_id, create_time, $3, last_seen_at from session \
                 where token_hash not in ($4, $5)";
            let hash = |number: u8| Value::from(vec![number; 32]);
            run(&database, copy, vec![id(number.into()), hash(number), ago(days), hash(1), hash(2)]).await;
        }
        for (network, hours) in [("old", 25), ("new", 23)] {
            let sql = "insert into sign_in_attempt (account, network, failures, last_at) values ($1, $2, 1, $3)";
            let at = app.store().env().now() - TimeDelta::hours(hours);
            run(&database, sql, vec![vec![1u8; 32].into(), network.into(), at.into()]).await;
        }
        let body = || Value::from(json!({"as": "it came"}));
        let none = || Value::Json(None);
        for (number, (name, outcome, kind, body, days)) in [
            ("old", "taken", "message", none(), 31),
            ("old delivery", "taken", "delivery", body(), 31),
            ("old awaited", "expected", "message", body(), 31),
            ("kept aside", "quarantined", "message", body(), 31),
            ("young", "taken", "message", none(), 29),
        ]
        .into_iter()
        .enumerate()
        {
            let sql = "insert into inbox (tenant_id, id, channel_id, dedupe_key, outcome, kind, received_at, body) \
                 values ($1, $2, $3, $4, $5, $6, $7, $8)";
            let mut values = own(id(number as u128));
            values.extend([channel.into(), name.into(), outcome.into(), kind.into(), ago(days), body]);
            run(&database, sql, values).await;
        }
        for (name, state, days) in
            [("old done", 2, 31), ("old unknown", 3, 31), ("old intent", 1, 31), ("young", 2, 29)]
        {
            let sql = "insert into effect (tenant_id, key, state, provider_ref, created_at) values ($1, $2, $3, $4, $5)";
            let mut values = own(name.as_bytes().to_vec().into());
            values.extend([state.into(), name.into(), ago(days)]);
            run(&database, sql, values).await;
        }
        for (name, days) in [("old", 91), ("young", 89)] {
            let sql = "insert into delivery (tenant_id, channel_id, external_id, update_time) values ($1, $2, $3, $4)";
            run(&database, sql, vec![tenant.into(), channel.into(), name.into(), ago(days)]).await;
        }
        for (number, (kind, days)) in [("old", 31), ("young", 29)].into_iter().enumerate() {
            let sql = "insert into job_log (tenant_id, id, queue, kind, state, epoch, tries, crashes, created_at, finished_at) \
                 values ($1, $2, 0, $3, 3, 1, 0, 0, $4, $4)";
            let mut values = own(id(number as u128));
            values.extend([kind.into(), ago(days)]);
            run(&database, sql, values).await;
        }

        // A piece at a time: the inbox has more than two.
        let system = app.store().system();
        assert!(system.drop_outdated(2).await.unwrap());
        while system.drop_outdated(2).await.unwrap() {}
        while system.trim_job_log(TimeDelta::days(30), 2).await.unwrap() {}

        let sessions = run(&database, "select id from session", Vec::new()).await;
        let sessions: Vec<Uuid> = sessions.iter().map(|row| row.try_get("", "id").unwrap()).collect();
        assert_eq!(sessions.len(), 2, "hers, and the one that expired lately");
        assert!(sessions.contains(&Uuid::from_u128(1)), "{sessions:?}");
        assert!(left(&database, "sign_in_attempt", "network").await.contains(&"new".to_owned()));
        assert!(!left(&database, "sign_in_attempt", "network").await.contains(&"old".to_owned()));
        assert_eq!(left(&database, "inbox", "dedupe_key").await, ["kept aside", "young"]);
        assert_eq!(left(&database, "effect", "provider_ref").await, ["old intent", "young"]);
        assert_eq!(left(&database, "delivery", "external_id").await, ["young"]);
        assert_eq!(left(&database, "job_log", "kind").await, ["young"]);
    })
    .await;
}
