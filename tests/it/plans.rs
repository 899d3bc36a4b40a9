//! Every statement of a day's work finds its rows by an index: PostgreSQL writes down the plan of each one,
//! with sequential scans so dear that a plan has one only where nothing else is possible.
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    time::Duration,
};

use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use switchboard::{
    auth::TenantScope,
    domain::{cron::CatchUp, signature},
    id::ProductId,
    jobs::cron::schedule,
};

use crate::{
    conventions::stage::{self, Stage, Who},
    conversation::{payload, shop},
    jobs::Scripted,
    support::{Cluster, Pair, server::KEYS},
};

/// Tables that are read whole, each with its reason.
const WHOLE: [(&str, &str); 2] = [
    ("seaql_migrations", "at the start and for readiness: one row a migration"),
    ("lease", "one row a part of the program that one process leads"),
];

const SETTINGS: [&str; 5] = [
    "session_preload_libraries = 'auto_explain'",
    "auto_explain.log_min_duration = 0",
    // The checks of references are statements too.
    "auto_explain.log_nested_statements = on",
    "enable_seqscan = off",
    // A plan that is made once and for all must be good for every value.
    "plan_cache_mode = force_generic_plan",
];

/// On PostgreSQL alone: SQLite keeps no such log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_statement_of_a_days_work_finds_its_rows_by_an_index() {
    let cluster = Cluster::start();
    let pair = Pair::of(&cluster).await;
    let database = Database::connect(&pair.database_url).await.unwrap();
    for setting in SETTINGS {
        database.execute_unprepared(&format!("alter database postgres set {setting}")).await.unwrap();
    }
    database.close().await.unwrap();

    work(&pair).await;
    demo(&pair).await;

    let plans = logged(&cluster);
    for needed in [
        "webhook's channel",
        "number's channels",
        "numbering",
        "changes",
        "admission",
        "schedules",
        "passages",
    ] {
        let words = match needed {
            "webhook's channel" => "\"channel\"",
            "number's channels" => "channel_of_account",
            "numbering" => "update event set seq",
            "changes" => "waiting",
            "admission" => "update job",
            "schedules" => "from cron where enabled and next_at <=",
            _ => "passage_term",
        };
        assert!(plans.iter().any(|plan| plan.contains(words)), "no plan of {needed}");
    }
    assert!(plans.len() > 1_000, "only {} plans", plans.len());

    let mut found: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for plan in &plans {
        for table in scanned(plan) {
            if !WHOLE.iter().any(|(whole, _)| *whole == table) {
                found.entry(table).or_default().insert(plan);
            }
        }
    }
    let shown = found.iter().flat_map(|(table, plans)| plans.iter().take(3).map(move |plan| (table, plan)));
    let shown: Vec<String> =
        shown.map(|(table, plan)| format!("--- {table} is read whole:\n{plan}")).collect();
    assert!(found.is_empty(), "{}", shown.join("\n"));
}

/// The plans in the log of a cluster's PostgreSQL, where `auto_explain` is on.
pub fn logged(cluster: &Cluster) -> Vec<String> {
    let log = cluster.scratch().parent().expect("the servers' folder").join("postgres/log");
    plans(&std::fs::read_to_string(log).unwrap())
}

/// The plans in a log: an entry's lines after the first one begin with a tab.
fn plans(log: &str) -> Vec<String> {
    let mut plans = Vec::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.contains("  plan:") {
            continue;
        }
        let mut plan = String::new();
        while let Some(line) = lines.next_if(|line| line.starts_with('\t')) {
            plan.push_str(line.trim_start_matches('\t'));
            plan.push('\n');
        }
        plans.push(plan);
    }
    plans
}

/// The tables that a plan reads from end to end.
pub fn scanned(plan: &str) -> Vec<String> {
    let scans = plan.lines().filter_map(|line| line.split_once("Seq Scan on ").map(|(_, rest)| rest));
    scans.map(|rest| rest.split(' ').next().unwrap_or_default().to_owned()).collect()
}

/// Everything that people do: lists with every filter, pages, verbs on what there is.
async fn work(pair: &Pair) {
    let stage = Stage::start(pair).await;
    stage.app.join(&stage.owner, "second@shop.example", "ROLE_VIEWER").await;
    let sign_in = json!({"email": "second@shop.example", "password": crate::support::app::PASSWORD});
    stage.app.call("AuthService.SignIn", None, sign_in).await.unwrap();
    for sku in ["A", "B"] {
        let product = json!({"name": format!("Bike {sku}"), "sku": sku, "category": "bikes"});
        let product = stage.ok(Who::Owner, "CreateProduct", product).await;
        let document = json!({"title": "Delivery", "content": "We deliver within two days.",
            "documentType": "DOCUMENT_TYPE_DELIVERY"});
        let document = stage.ok(Who::Owner, "CreateDocument", document).await;
        let renamed = json!({"documentId": document["id"], "title": "Deliveries"});
        stage.ok(Who::Owner, "UpdateDocument", renamed).await;
        if sku == "B" {
            stage.ok(Who::Owner, "DeleteDocument", json!({"documentId": document["id"]})).await;
            stage.ok(Who::Owner, "DeleteProduct", json!({"productId": product["id"]})).await;
        }
    }
    let key = json!({"name": "sync", "permissions": ["PERMISSION_VIEW_CONVERSATIONS"]});
    let key = stage.ok(Who::Owner, "CreateApiKey", key).await;
    stage.app.call("ListConversations", key["secret"].as_str(), json!({})).await.unwrap();
    stage.keyed(Who::Owner, "once", "CreateProduct", json!({"name": "Pump", "sku": "P"})).await.unwrap();
    let end = (switchboard::env::Env::system().now() + chrono::TimeDelta::days(9)).to_rfc3339();
    let grant = json!({"tenantId": stage.owner.tenant, "endTime": end, "reason": "a gift"});
    stage.ok(Who::Staff, "CreateGrant", grant).await;

    let mut drafts = Vec::new();
    let mut talks = Vec::new();
    for from in ["15550000001", "15550000002", "15550000003", "15550000004"] {
        let talk = stage.writes(from).await;
        drafts.push(stage.draft(&talk).await["id"].clone());
        talks.push(talk);
    }
    let shared = payload::written("15550000009", "wamid.shared", 0, "To the address of all").to_string();
    let signature = signature::meta(stage::SECRET, shared.as_bytes());
    let shared = shop::raw(&shared, "x-hub-signature-256", &signature);
    stage.app.app.ingress().receive_shared(&shared).await.unwrap();
    let of = |id: &Value| json!({"suggestionId": id});
    stage.ok(Who::Owner, "Approve", of(&drafts[0])).await;
    stage.ok(Who::Owner, "ExplainSuggestion", of(&drafts[0])).await;
    let edited = json!({"suggestionId": drafts[1], "text": "Yes, we do."});
    stage.call(Who::Owner, "SuggestionService.Edit", edited).await.unwrap();
    stage.call(Who::Owner, "Reject", json!({"suggestionId": drafts[2], "reason": "no"})).await.unwrap();
    stage.call(Who::Owner, "Escalate", json!({"suggestionId": drafts[3], "reason": "hard"})).await.unwrap();
    let talk = json!({"conversationId": talks[0]["id"]});
    for verb in [
        "GetConversation",
        "GetSendability",
        "MarkConversationRead",
        "AssignConversation",
        "ReleaseConversation",
        "ResolveConversation",
        "ReopenConversation",
        "ListMessages",
    ] {
        stage.ok(Who::Owner, verb, talk.clone()).await;
    }
    let sent = json!({"conversationId": talks[0]["id"], "text": "Hello"});
    stage.ok(Who::Owner, "SendMessage", sent).await;

    for (list, filters) in [
        ("ListMembers", vec![]),
        ("ListInvites", vec![]),
        ("ListApiKeys", vec![]),
        ("ListChannels", vec![]),
        ("ListCustomers", vec![]),
        ("ListPlans", vec![]),
        ("GetSubscription", vec![]),
        ("ListProducts", vec![json!({"category": "bikes"})]),
        ("ListDocuments", vec![json!({"documentType": "DOCUMENT_TYPE_DELIVERY"})]),
        ("ListEscalations", vec![json!({"conversationId": talks[3]["id"]})]),
        (
            "ListSuggestions",
            vec![
                json!({"conversationId": talks[0]["id"]}),
                json!({"state": "SUGGESTION_STATE_PENDING"}),
                json!({"conversationId": talks[0]["id"], "state": "SUGGESTION_STATE_PENDING"}),
            ],
        ),
        (
            "ListConversations",
            vec![
                json!({"channelId": stage.channel()}),
                json!({"state": "CONVERSATION_STATE_OPEN"}),
                json!({"assigneeId": "me"}),
                json!({"customerId": talks[0]["customerId"]}),
                json!({"channelId": stage.channel(), "state": "CONVERSATION_STATE_OPEN"}),
            ],
        ),
        ("PullEvents", vec![json!({"afterSeq": "3"}), json!({"conversationId": talks[0]["id"]})]),
    ] {
        for mut filter in filters.into_iter().chain([json!({})]) {
            let first = stage.ok(Who::Owner, list, filter.clone()).await;
            if first.get("nextPageToken").is_none() {
                continue;
            }
            filter["pageSize"] = 1.into();
            let page = stage.ok(Who::Owner, list, filter.clone()).await;
            filter["pageToken"] = page["nextPageToken"].clone();
            if page["nextPageToken"] != "" {
                stage.ok(Who::Owner, list, filter).await;
            }
        }
    }
    for collection in ["CUSTOMERS", "CONVERSATIONS", "MESSAGES", "PRODUCTS", "DOCUMENTS"] {
        let mut request = json!({"collection": format!("COLLECTION_{collection}"), "pageSize": 1});
        for to in ["1", "2"] {
            let page = stage.ok(Who::Owner, "PullChanges", request.clone()).await;
            request["cursor"] = page["cursor"].clone();
            request["cursor"]["toSeq"] = to.into();
        }
        stage.ok(Who::Owner, "PullChanges", request).await;
    }
    let pushed = json!({"changes": [{"createProduct": {"id": stage.app.store().env().id::<ProductId>().to_string(), "name": "Bell"}}]});
    stage.ok(Who::Owner, "PushChanges", pushed).await;
    let tenants = stage.ok(Who::Staff, "ListTenants", json!({"pageSize": 1})).await;
    assert!(!tenants["tenants"].as_array().unwrap().is_empty());
    stage.ok(Who::Staff, "ListGrants", json!({"tenantId": stage.owner.tenant})).await;
    let scope = TenantScope::of_platform(stage.owner.tenant.parse().unwrap());
    let (shop, tick_job) = (stage.app.store().of(scope), Scripted::new("tick", &[]));
    let put =
        shop.transaction(async |db| schedule(db, "tick", "* * * * *", "UTC", CatchUp::All, &tick_job).await);
    put.await.unwrap();
    let schedules = stage.ok(Who::Staff, "ListSchedules", json!({"pageSize": 1})).await;
    let next = json!({"pageSize": 1, "pageToken": schedules["nextPageToken"]});
    stage.ok(Who::Staff, "ListSchedules", next).await;
    let tick = json!({"tenantId": stage.owner.tenant, "name": "tick", "reason": "a test"});
    stage.ok(Who::Staff, "ListSchedules", json!({"tenantId": stage.owner.tenant})).await;
    stage.ok(Who::Staff, "RunNow", tick.clone()).await;
    stage.ok(Who::Staff, "SetEnabled", tick).await;
    for filter in [
        json!({}),
        json!({"tenantId": stage.owner.tenant}),
        json!({"state": "JOB_STATE_DEAD"}),
        json!({"state": "JOB_STATE_BLOCKED", "queue": "JOB_QUEUE_SEND"}),
        json!({"state": "JOB_STATE_RUNNING", "kind": "send_message"}),
        json!({"state": "JOB_STATE_DEAD", "tenantId": stage.owner.tenant}),
    ] {
        stage.ok(Who::Staff, "ListJobs", filter).await;
    }
    let job = stage.ok(Who::Staff, "ListJobs", json!({"pageSize": 1})).await["jobs"][0].clone();
    let job = json!({"tenantId": job["tenantId"], "jobId": job["id"]});
    stage.ok(Who::Staff, "GetJob", job.clone()).await;
    stage.ok(Who::Staff, "GetQueueStats", json!({})).await;
    for filter in [json!({}), json!({"tenantId": stage.owner.tenant})] {
        stage.ok(Who::Staff, "ListJobLog", filter).await;
    }
    for method in ["PauseQueue", "ResumeQueue"] {
        let queue = json!({"queue": "JOB_QUEUE_BILL", "reason": "a test"});
        stage.keyed(Who::Staff, method, method, queue).await.unwrap();
    }
    stage.ok(Who::Staff, "RedriveJobs", json!({"reason": "a test"})).await;
    let store = stage.app.store().system();
    store.tenant_of_job(job["jobId"].as_str().unwrap().parse().unwrap()).await.unwrap();
    store.trim_job_log(chrono::TimeDelta::days(30), 10).await.unwrap();
    store.archive_dead().await.unwrap();
    store.archive_jobs(Duration::ZERO).await.unwrap();
    store.drop_outdated(10).await.unwrap();
    store.trim_events(10).await.unwrap();
    store.sweep(10).await.unwrap();
    stage.stop().await;
}

/// The scripted day: webhooks, drafts, sends, reports about them, an outage.
async fn demo(pair: &Pair) {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    demo.args(["demo", "--once"]).env("DATABASE_URL", &pair.database_url);
    demo.envs(KEYS.iter().copied()).envs(pair.redis_url.iter().map(|url| ("REDIS_URL", url)));
    let output = tokio::task::spawn_blocking(move || demo.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
