//! "Only if it is still as I saw it": on every method that can say so, and the version that each change makes.

use prost::Message as _;
use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};
use switchboard::{auth::TenantScope, domain::cron::CatchUp, jobs::cron::schedule};
use tonic::Code;

use super::stage::{Stage, Who};
use crate::{
    jobs::Scripted,
    support::{
        both,
        rpc::{Refusal, method, methods, path},
    },
};

/// What these change is on its way to the messenger then: their own tests follow it.
const IN_FLIGHT: [&str; 2] = ["RetryMessage", "ResolveUnknownMessage"];

/// One change, and where its row can be read.
struct Change {
    method: &'static str,
    who: Who,
    request: Value,
    /// How to read the row, and where it stands in the answer; `None` where nothing is left to be read.
    read: Option<(&'static str, Value, &'static str)>,
    /// The version before, where the row cannot be asked for one.
    version: i64,
}

/// The request, based on a version.
fn based_on(change: &Change, version: i64) -> Value {
    let mut request = change.request.clone();
    if method(change.method).input().get_field_by_name("expected_version").is_some() {
        request["expectedVersion"] = version.into();
    } else {
        request["precondition"] = json!({"expectedVersion": version});
    }
    request
}

async fn version(stage: &Stage, change: &Change) -> i64 {
    let Some((read, request, pointer)) = &change.read else { return change.version };
    let answer = stage.ok(change.who, read, request.clone()).await;
    let found = answer.pointer(&format!("{pointer}/version")).unwrap_or_else(|| panic!("{read}: {answer}"));
    found.as_str().unwrap().parse().unwrap()
}

/// The message among the details that is one of ours: what the row is now.
fn state(refusal: &Refusal) -> Option<String> {
    let details = tonic_types::pb::Status::decode(refusal.status.details()).unwrap().details;
    let ours = details.into_iter().find(|any| any.type_url.contains("/switchboard."));
    ours.map(|any| any.type_url.rsplit('.').next().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_based_on_another_version_is_refused_and_each_change_makes_a_new_one() {
    both(async |pair| {
        let stage = Stage::start(&pair).await;
        let changes = changes(&stage).await;
        for change in &changes {
            let name = change.method;
            let before = version(&stage, change).await;
            assert!(before > 0, "{name}");
            let refusal = stage.call(change.who, name, based_on(change, before + 7)).await;
            let refusal = refusal.err().unwrap_or_else(|| panic!("{name} takes any version"));
            assert_eq!(refusal.code, Code::Aborted, "{name}: {refusal:?}");
            assert!(
                ["VERSION_MISMATCH", "CONVERSATION_CHANGED"].contains(&refusal.reason.as_str()),
                "{name}"
            );
            assert!(state(&refusal).is_some(), "{name} does not tell what is now");
            assert_eq!(version(&stage, change).await, before, "{name} changed something");
            let negative = stage.call(change.who, name, based_on(change, -1)).await.unwrap_err();
            assert_eq!(negative.code, Code::InvalidArgument, "{name}");
            assert!(negative.fields[0].ends_with("expected_version"), "{name}: {negative:?}");

            if IN_FLIGHT.contains(&name) {
                continue;
            }
            // Sent twice under one key: done once, and answered alike.
            let send = async || stage.keyed(change.who, name, name, based_on(change, before)).await;
            let (first, again) = (send().await.unwrap(), send().await.unwrap());
            assert_eq!(first, again, "{name}");
            if change.read.is_some() {
                assert_eq!(version(&stage, change).await, before + 1, "{name}");
            }
        }
        // What the policy calls it stands in the audit log; what was refused does not.
        let database = Database::connect(&pair.database_url).await.unwrap();
        for change in changes.iter().filter(|change| !IN_FLIGHT.contains(&change.method)) {
            let policy = stage.app.app.policies().of(&path(&method(change.method))).unwrap().clone();
            let Some(action) = policy.audit.clone() else { continue };
            let sql = format!("select count(*) as n from audit_event where action = '{action}'");
            let asked = Statement::from_string(database.get_database_backend(), sql);
            let row = database.query_one_raw(asked).await.unwrap().unwrap();
            let times = changes.iter().filter(|other| other.method == change.method).count();
            // One more where the scene was set with the same method.
            let times = i64::try_from(times).unwrap() + i64::from(change.method == "Escalate");
            assert_eq!(row.try_get::<i64>("", "n").unwrap(), times, "{action}");
        }
        database.close().await.unwrap();

        let covered = |name: &str| changes.iter().any(|change| change.method == name);
        let missed: Vec<_> = methods()
            .filter(|method| method.input().get_field_by_name("expected_version").is_some())
            .filter(|method| !covered(method.name()))
            .map(|method| method.full_name().to_owned())
            .collect();
        assert_eq!(missed, Vec::<String>::new());
        stage.stop().await;
    })
    .await;
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn changes(stage: &Stage) -> Vec<Change> {
    let owner = Who::Owner;
    let ok = async |method, request| stage.ok(owner, method, request).await;
    let channel = json!({"channelId": stage.channel()});
    let (first, second) = (stage.writes("15550000001").await, stage.writes("15550000002").await);
    let (escalated, rejected) = (stage.draft(&first).await, stage.draft(&second).await);
    let third = stage.writes("15550000003").await;
    let open = stage.draft(&third).await;
    let escalation = ok("Escalate", json!({"suggestionId": open["id"]})).await["escalationId"].clone();
    let conversation = json!({"conversationId": first["id"]});
    let customer = json!({"customerId": first["customerId"]});
    let message = json!({"messageId": first["lastMessageId"]});
    let document =
        json!({"title": "Delivery", "content": "One day.", "documentType": "DOCUMENT_TYPE_DELIVERY"});
    let document = json!({"documentId": ok("CreateDocument", document).await["id"]});
    let product = json!({"productId": ok("CreateProduct", json!({"name": "Bike", "sku": "B1"})).await["id"]});
    let key = json!({"name": "sync", "permissions": ["PERMISSION_VIEW_CONVERSATIONS"]});
    let key = json!({"apiKeyId": ok("CreateApiKey", key).await["apiKey"]["id"]});
    stage.app.join(&stage.owner, "second@shop.example", "ROLE_VIEWER").await;
    let members = ok("ListMembers", json!({})).await;
    let member = json!({"memberId": members["members"][1]["id"]});
    let tenant = json!({"tenantId": stage.owner.tenant});
    let until = (stage.now() + chrono::TimeDelta::days(3)).to_rfc3339();
    let grant = json!({"tenantId": stage.owner.tenant, "endTime": until, "reason": "a test"});
    let grant = stage.ok(Who::Staff, "CreateGrant", grant).await;
    let scope = TenantScope::of_platform(stage.owner.tenant.parse().unwrap());
    let shop = stage.app.store().of(scope);
    let job = Scripted::new("tick", &[]);
    let put = shop.transaction(async |db| schedule(db, "tick", "0 0 1 1 *", "UTC", CatchUp::One, &job).await);
    put.await.unwrap();
    let switched = json!({"tenantId": stage.owner.tenant, "name": "tick", "reason": "a test"});
    let granted = json!({"tenantId": stage.owner.tenant, "grantId": grant["id"], "reason": "a test"});

    let with = |base: &Value, more: Value| {
        let mut all = base.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let row = |method, request: Value, read, by: &Value, at| Change {
        method,
        who: owner,
        request,
        read: Some((read, by.clone(), at)),
        version: 0,
    };
    let gone = |method, request: &Value, version| Change {
        method,
        who: owner,
        request: request.clone(),
        read: None,
        version,
    };
    let staff = |method, request: Value, read, by: &Value, at| Change {
        who: Who::Staff,
        ..row(method, request, read, by, at)
    };
    let why = json!({"reason": "a test"});
    let none = json!({});

    vec![
        row("UpdateTenant", json!({"tenant": {"name": "Heron"}}), "GetTenant", &none, ""),
        row("UpdateChannel", with(&channel, json!({"name": "Phone"})), "GetChannel", &channel, ""),
        row("SetChannelEnabled", with(&channel, json!({"enabled": false})), "GetChannel", &channel, ""),
        row("UpdateCustomer", with(&customer, json!({"language": "de"})), "GetCustomer", &customer, ""),
        row("BlockCustomer", with(&customer, json!({"blocked": true})), "GetCustomer", &customer, ""),
        row("UpdateDocument", with(&document, json!({"title": "Shipping"})), "GetDocument", &document, ""),
        row("UpdateProduct", with(&product, json!({"name": "Bicycle"})), "GetProduct", &product, ""),
        row("UpdateDecisionSettings", json!({"tAutoBp": 9_000}), "GetDecisionSettings", &none, ""),
        row("AssignConversation", conversation.clone(), "GetConversation", &conversation, ""),
        row("ReleaseConversation", conversation.clone(), "GetConversation", &conversation, ""),
        row("ResolveConversation", conversation.clone(), "GetConversation", &conversation, ""),
        row("CloseConversation", conversation.clone(), "GetConversation", &conversation, ""),
        row("ReopenConversation", conversation.clone(), "GetConversation", &conversation, ""),
        row("RetryMessage", message.clone(), "GetMessage", &message, ""),
        row(
            "ResolveUnknownMessage",
            with(&message, json!({"outcome": "UNKNOWN_OUTCOME_LOST"})),
            "GetMessage",
            &message,
            "",
        ),
        row(
            "Escalate",
            json!({"suggestionId": escalated["id"]}),
            "GetSuggestion",
            &json!({"suggestionId": escalated["id"]}),
            "",
        ),
        row(
            "Reject",
            json!({"suggestionId": rejected["id"]}),
            "GetSuggestion",
            &json!({"suggestionId": rejected["id"]}),
            "",
        ),
        row(
            "ResolveEscalation",
            json!({"escalationId": escalation, "state": "ESCALATION_STATE_HANDLED"}),
            "GetEscalation",
            &json!({"escalationId": escalation}),
            "",
        ),
        row(
            "UpdateMemberRole",
            with(&member, json!({"role": "ROLE_ADMIN"})),
            "ListMembers",
            &none,
            "/members/1",
        ),
        gone("RemoveMember", &member, 2),
        row("RevokeApiKey", key, "ListApiKeys", &none, "/apiKeys/0"),
        gone("DeleteProduct", &product, 2),
        gone("DeleteDocument", &document, 2),
        row("CancelSubscription", json!({}), "GetSubscription", &none, ""),
        staff("RestrictTenant", with(&tenant, why.clone()), "ListTenants", &none, "/tenants/0"),
        staff("UnrestrictTenant", with(&tenant, why), "ListTenants", &none, "/tenants/0"),
        staff("RevokeGrant", granted, "ListGrants", &tenant, "/grants/0"),
        staff("SetEnabled", switched, "ListSchedules", &tenant, "/schedules/0"),
    ]
}
