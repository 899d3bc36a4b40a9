//! Tenants that may not: restricted by the platform, or without a trial, a subscription or a grant.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};
use tonic::Code;

use crate::{
    conventions::stage::{Stage, Who},
    support::{Pair, both},
};

async fn rows(pair: &Pair) -> BTreeMap<&'static str, i64> {
    let database = Database::connect(&pair.database_url).await.unwrap();
    let mut counts = BTreeMap::new();
    for table in ["message", "conversation", "event", "job", "inbox", "channel", "audit_event"] {
        let sql = format!("select count(*) as n from {table}");
        let asked = Statement::from_string(database.get_database_backend(), sql);
        counts.insert(table, database.query_one_raw(asked).await.unwrap().unwrap().try_get("", "n").unwrap());
    }
    database.close().await.unwrap();
    counts
}

/// What a tenant in good standing may do, and what it gets when it is not.
async fn refused(pair: &Pair, stage: &Stage, conversation: &Value, code: Code, reason: &str) {
    let before = rows(pair).await;
    for (method, request) in [
        ("CreateChannel", json!({"name": "CRM", "webhook": {}})),
        ("SendMessage", json!({"conversationId": conversation["id"], "text": "hello"})),
        ("GenerateSuggestion", json!({"conversationId": conversation["id"]})),
        ("CreateProduct", json!({"name": "Bike"})),
    ] {
        let refusal = stage.call(Who::Owner, method, request).await;
        let refusal = refusal.err().unwrap_or_else(|| panic!("{method} is not refused: {reason}"));
        assert_eq!((refusal.code, refusal.reason.as_str()), (code, reason), "{method}");
    }
    assert_eq!(rows(pair).await, before);
    let mine = stage.ok(Who::Owner, "ListConversations", json!({})).await;
    assert_eq!(mine["conversations"][0]["id"], conversation["id"], "reading goes on");
}

/// Acceptance cases 77, 78 and the last part of 84.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_without_standing_reads_and_does_nothing_else() {
    both(async |pair| {
        let stage = Stage::start(&pair).await;
        let conversation = stage.writes("15550000001").await;
        stage.draft(&conversation).await;
        let why = json!({"tenantId": stage.owner.tenant, "reason": "a test"});
        stage.ok(Who::Staff, "RestrictTenant", why.clone()).await;
        refused(&pair, &stage, &conversation, Code::PermissionDenied, "TENANT_RESTRICTED").await;
        stage.ok(Who::Staff, "UnrestrictTenant", why).await;

        // A trial that is cancelled ends at once.
        stage.ok(Who::Owner, "CancelSubscription", json!({})).await;
        refused(&pair, &stage, &conversation, Code::FailedPrecondition, "SUBSCRIPTION_REQUIRED").await;
        let until = (stage.now() + chrono::TimeDelta::days(3)).to_rfc3339();
        let grant = json!({"tenantId": stage.owner.tenant, "endTime": until, "reason": "a test"});
        stage.ok(Who::Staff, "CreateGrant", grant).await;
        stage.ok(Who::Owner, "CreateChannel", json!({"name": "CRM", "webhook": {}})).await;
        stage.stop().await;
    })
    .await;
}
