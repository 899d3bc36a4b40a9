//! CronService: what staff see of schedules and do with them.
use serde_json::{Value, json};
use switchboard::{id::JobId, jobs::cron::schedule};
use tonic::Code;

use super::*;
use crate::conventions::stage::{Stage, Who};

async fn staff(stage: &Stage, method: &str, request: Value) -> Value {
    stage.ok(Who::Staff, method, request).await
}

async fn list(stage: &Stage, request: Value) -> Vec<Value> {
    staff(stage, "ListSchedules", request).await["schedules"].as_array().cloned().unwrap_or_default()
}

/// Gives the shop schedules that fire at New Year.
async fn shop_has(stage: &Stage, names: &[&str]) {
    let scope = TenantScope::of_platform(stage.owner.tenant.parse().unwrap());
    let db = stage.app.store().of(scope);
    for name in names {
        let job = Scripted::new(name, &[]);
        let zone = "Europe/Berlin";
        db.transaction(async |db| schedule(db, name, "0 0 1 1 *", zone, CatchUp::All, &job).await)
            .await
            .unwrap();
    }
}

async fn rows(pair: &Pair, sql: &str) -> Vec<sea_orm::QueryResult> {
    let raw = Database::connect(&pair.database_url).await.unwrap();
    let rows = raw.query_all_raw(Statement::from_string(raw.get_database_backend(), sql)).await.unwrap();
    raw.close().await.unwrap();
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_are_listed_by_owner_and_name() {
    both(async |pair| {
        let stage = Stage::start(&pair).await;
        shop_has(&stage, &["c", "a", "b"]).await;
        let all = list(&stage, json!({})).await;
        assert_eq!(all[0]["name"], "drop-outdated");
        assert_eq!((&all[0]["tenantId"], &all[0]["timeZone"]), (&json!(""), &json!("UTC")));
        let own = list(&stage, json!({"tenantId": stage.owner.tenant})).await;
        assert_eq!(all[1..], own);
        assert_eq!(own.iter().map(|row| row["name"].as_str().unwrap()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(own[0]["tenantId"], stage.owner.tenant);
        assert_eq!(
            (&own[0]["expression"], &own[0]["catchUp"]),
            (&json!("0 0 1 1 *"), &json!("CATCH_UP_ALL"))
        );
        assert_eq!((&own[0]["kind"], &own[0]["enabled"]), (&json!("scripted"), &json!(true)));
        // Midnight in Berlin, in winter.
        assert!(own[0]["nextTime"].as_str().unwrap().ends_with("-12-31T23:00:00Z"), "{}", own[0]["nextTime"]);
        assert_eq!(own[0].get("lastTime").filter(|time| !time.is_null()), None);

        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = staff(&stage, "ListSchedules", json!({"pageSize": 1, "pageToken": token})).await;
            seen.extend(page["schedules"].as_array().unwrap().clone());
            token = page["nextPageToken"].as_str().unwrap().to_owned();
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, all);
        let unknown = json!({"tenantId": "ten_01h2xcejqtf2nbrexx3vqjhp41"});
        let refused = stage.call(Who::Staff, "ListSchedules", unknown).await.unwrap_err();
        assert_eq!(refused.code, Code::NotFound);
        let refused = stage.call(Who::Owner, "ListSchedules", json!({})).await.unwrap_err();
        assert_eq!(refused.code, Code::PermissionDenied);
        stage.stop().await;
    })
    .await;
}

/// What the platform keeps for a while goes with the job of a schedule; one key makes one job.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_runs_when_it_is_told_to() {
    both(async |pair| {
        let stage = Stage::start(&pair).await;
        let old = "insert into sign_in_attempt (account, network, failures, last_at) \
             values ({account}, 'old', 1, '2020-01-01 00:00:00+00:00')";
        let account = if pair.name == "sqlite" { "x'01'" } else { "'\\x01'" };
        rows(&pair, &old.replace("{account}", account)).await;
        let outdated =
            async || !rows(&pair, "select 1 from sign_in_attempt where network = 'old'").await.is_empty();
        assert!(outdated().await);

        let run = json!({"name": "drop-outdated", "reason": "a test"});
        let first = stage.keyed(Who::Staff, "k", "RunNow", run.clone()).await.unwrap();
        let again = stage.keyed(Who::Staff, "k", "RunNow", run.clone()).await.unwrap();
        assert_eq!(first, again);
        let job = staff(&stage, "RunNow", run).await["jobId"].as_str().unwrap().parse::<JobId>().unwrap();
        let made =
            rows(&pair, "select id, tenant_id from job where kind = 'drop_outdated' and uniq_key is null");
        let made: Vec<JobId> = made.await.iter().map(|row| row.try_get("", "id").unwrap()).collect();
        assert_eq!((made.len(), made.contains(&job)), (2, true));
        let begin = std::time::Instant::now();
        while outdated().await {
            assert!(begin.elapsed() < Duration::from_secs(40), "nobody dropped it");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }

        shop_has(&stage, &["yearly"]).await;
        let tenant = &stage.owner.tenant;
        let run = json!({"tenantId": tenant, "name": "yearly", "reason": "a test"});
        let before = list(&stage, json!({"tenantId": tenant})).await;
        let job = staff(&stage, "RunNow", run).await["jobId"].as_str().unwrap().parse::<JobId>().unwrap();
        assert_eq!(list(&stage, json!({"tenantId": tenant})).await, before, "its times stay what they are");
        let made = rows(&pair, "select id, tenant_id from job where kind = 'scripted'").await;
        assert_eq!(made.len(), 1);
        let owner: TenantId = made[0].try_get("", "tenant_id").unwrap();
        assert_eq!((made[0].try_get::<JobId>("", "id").unwrap(), owner.to_string()), (job, tenant.clone()));

        for (name, tenant) in [("nobody", json!("")), ("yearly", json!("")), ("drop-outdated", json!(tenant))]
        {
            let run = json!({"tenantId": tenant, "name": name, "reason": "a test"});
            let refused = stage.call(Who::Staff, "RunNow", run).await.unwrap_err();
            assert_eq!(refused.code, Code::NotFound, "{name} of {tenant}");
        }
        let actions = stage.app.store().system().actions_on("schedule", "drop-outdated").await.unwrap();
        assert_eq!(actions.len(), 2, "what was answered again is not recorded again");
        assert_eq!((actions[0].action.as_str(), actions[0].reason.as_str()), ("schedule.run", "a test"));
        let audited = rows(&pair, "select action from audit_event where action = 'schedule.run'").await;
        assert_eq!(audited.len(), 1, "the tenant's own log has the tenant's own");
        stage.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_stays_as_it_was_turned_over_a_restart() {
    both(async |pair| {
        let stage = Stage::start(&pair).await;
        let set = |enabled: bool| json!({"name": "drop-outdated", "enabled": enabled, "reason": "a test"});
        let off = staff(&stage, "CronService.SetEnabled", set(false)).await;
        assert_eq!((&off["alreadyInState"], &off["schedule"]["enabled"]), (&json!(false), &json!(false)));
        assert_eq!(off["schedule"].get("nextTime").filter(|time| !time.is_null()), None);
        assert_eq!(off["schedule"]["version"], "2");
        let again = staff(&stage, "CronService.SetEnabled", set(false)).await;
        assert_eq!((&again["alreadyInState"], &again["schedule"]), (&json!(true), &off["schedule"]));
        let run = json!({"name": "drop-outdated", "reason": "a test"});
        staff(&stage, "RunNow", run).await;

        let (_, second) = stage.app.serve().await;
        assert_eq!(list(&stage, json!({})).await, [off["schedule"].clone()]);
        second.stop().await;

        let mut stale = set(true);
        stale["expectedVersion"] = 7.into();
        let refused = stage.call(Who::Staff, "CronService.SetEnabled", stale).await.unwrap_err();
        assert_eq!((refused.code, refused.reason.as_str()), (Code::Aborted, "VERSION_MISMATCH"));
        let on = staff(&stage, "CronService.SetEnabled", set(true)).await;
        assert_eq!((&on["schedule"]["enabled"], &on["schedule"]["version"]), (&json!(true), &json!("3")));
        let next = at(on["schedule"]["nextTime"].as_str().unwrap());
        assert!(next > at(on["schedule"]["updateTime"].as_str().unwrap()));
        let actions = stage.app.store().system().actions_on("schedule", "drop-outdated").await.unwrap();
        let told: Vec<_> = actions.iter().map(|action| action.previous.clone()).collect();
        let run = actions[2].previous.clone();
        let was = |status: &str| Some(json!({"status": status}));
        assert_eq!(told, [was("enabled"), None, run, was("disabled")]);
        stage.stop().await;
    })
    .await;
}
