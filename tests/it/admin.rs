//! The platform's owner and what staff do.
use chrono::{SecondsFormat, TimeDelta};
use serde_json::{Value, json};
use switchboard::{
    id::TenantId,
    service::admin::{Ensured, ensure_owner},
    store::admin::PlatformAction,
};
use tonic::Code;

use crate::support::{
    both,
    desk::{Desk, PASSWORD},
    rpc::Refusal,
};

const OWNER: &str = "root@platform.example";

fn reason(answer: Result<Value, Refusal>) -> String {
    answer.map_or_else(|refusal| refusal.reason, |_| "ok".to_owned())
}

async fn ensure(desk: &Desk, email: &str, password: &str) -> Ensured {
    desk.env.advance(TimeDelta::milliseconds(1));
    ensure_owner(&desk.store, &desk.passwords, email, password).await.unwrap()
}

/// The token of the platform's owner.
async fn owner(desk: &Desk) -> String {
    ensure(desk, OWNER, PASSWORD).await;
    let request = json!({"email": OWNER, "password": PASSWORD});
    let answer = desk.call("AuthService.SignIn", "", request).await.unwrap();
    answer["sessionToken"].as_str().unwrap().to_owned()
}

async fn actions(desk: &Desk, kind: &str, id: &str) -> Vec<PlatformAction> {
    desk.store.system().actions_on(kind, id).await.unwrap()
}

#[tokio::test]
async fn the_owner_is_there_from_the_first_start_on() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        assert_eq!(ensure(&desk, OWNER, PASSWORD).await, Ensured::Created);
        assert_eq!(ensure(&desk, "Root@Platform.example", PASSWORD).await, Ensured::Unchanged);
        assert_eq!(ensure(&desk, "other@platform.example", PASSWORD).await, Ensured::OtherOwner);
        assert_eq!(ensure(&desk, OWNER, "Changed1x").await, Ensured::Updated);
        let weak = ensure_owner(&desk.store, &desk.passwords, OWNER, "weak").await.unwrap_err();
        assert_eq!(weak.reason(), "WEAK_PASSWORD");

        let request = json!({"email": OWNER, "password": "Changed1x"});
        let answer = desk.call("AuthService.SignIn", "", request).await.unwrap();
        let token = answer["sessionToken"].as_str().unwrap();
        let me = desk.call("GetMe", token, json!({})).await.unwrap();
        assert_eq!((&me["platformRole"], &me["tenant"]), (&json!("PLATFORM_ROLE_OWNER"), &Value::Null));
        let id = me["user"]["id"].as_str().unwrap();
        assert_eq!(actions(&desk, "user", id).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_known_person_can_become_the_owner() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let ann = desk.sign_up(OWNER).await;
        assert_eq!(reason(desk.call("GetInfo", &ann.token, json!({})).await), "PLATFORM_ROLE_REQUIRED");
        assert_eq!(ensure(&desk, OWNER, PASSWORD).await, Ensured::Updated);
        let info = desk.call("GetInfo", &ann.token, json!({})).await.unwrap();
        let database = if pair.name == "sqlite" { "DATABASE_SQLITE" } else { "DATABASE_POSTGRESQL" };
        assert_eq!(info["database"], database);
        assert_eq!((&info["tenantCount"], &info["userCount"]), (&json!("1"), &json!("1")));
        assert_eq!(info["pendingMigrations"], 0);
    })
    .await;
}

/// Acceptance case 87.
#[tokio::test]
async fn a_repeated_restriction_is_recorded_and_changes_nothing() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let root = owner(&desk).await;
        let ann = desk.sign_up("ann@shop.example").await;
        let set = |method: &'static str, reason: &str| {
            desk.call(method, &root, json!({"tenantId": ann.tenant, "reason": reason}))
        };
        let first = set("RestrictTenant", "spam").await.unwrap();
        assert_eq!(
            (&first["alreadyInState"], &first["tenant"]["restrictedReason"]),
            (&json!(false), &json!("spam"))
        );
        let second = set("RestrictTenant", "more spam").await.unwrap();
        assert_eq!(second["alreadyInState"], true);
        assert_eq!(second["tenant"], first["tenant"]);

        let recorded = actions(&desk, "tenant", &ann.tenant).await;
        assert_eq!(recorded.len(), 2);
        assert_eq!(recorded[0].previous.as_ref().unwrap()["status"], "active");
        assert_eq!((recorded[0].reason.as_str(), recorded[1].reason.as_str()), ("spam", "more spam"));
        assert_eq!(recorded[1].previous, None);
        assert_eq!(recorded[1].note, json!({"idempotent": true, "noOp": true, "alreadyState": "restricted"}));

        let tenant: TenantId = ann.tenant.parse().unwrap();
        assert_eq!(desk.call("GetTenant", &ann.token, json!({})).await.unwrap()["restricted"], true);
        let lifted = set("UnrestrictTenant", "talked").await.unwrap();
        assert_eq!(lifted["tenant"]["restricted"], false);
        assert_eq!(set("UnrestrictTenant", "talked").await.unwrap()["alreadyInState"], true);
        let unknown = json!({"tenantId": desk.env.id::<TenantId>().to_string(), "reason": "spam"});
        assert_eq!(reason(desk.call("RestrictTenant", &root, unknown).await), "NOT_FOUND");
        assert_eq!(reason(set("RestrictTenant", "no").await), "INVALID_FIELD");
        assert_eq!(actions(&desk, "tenant", &tenant.to_string()).await.len(), 4);
        assert_eq!(
            reason(
                desk.call("RestrictTenant", &ann.token, json!({"tenantId": ann.tenant, "reason": "spam"}))
                    .await
            ),
            "PLATFORM_ROLE_REQUIRED"
        );
    })
    .await;
}

/// Acceptance case 91, as far as lists go: addresses are masked, sizes bounded.
#[tokio::test]
async fn staff_see_tenants_and_not_their_people() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let root = owner(&desk).await;
        let ann = desk.sign_up("ann@shop.example").await;
        let bob = desk.sign_up("bob@shop.example").await;
        desk.call("RestrictTenant", &root, json!({"tenantId": ann.tenant, "reason": "spam"})).await.unwrap();

        let page = desk.call("ListTenants", &root, json!({"pageSize": 1})).await.unwrap();
        assert_eq!(page["tenants"][0]["id"], bob.tenant.as_str());
        assert_eq!(page["tenants"][0]["ownerEmail"], "b***@shop.example");
        let next = json!({"pageSize": 1, "pageToken": page["nextPageToken"]});
        let next = desk.call("ListTenants", &root, next).await.unwrap();
        assert_eq!((&next["tenants"][0]["id"], &next["nextPageToken"]), (&json!(ann.tenant), &json!("")));
        for (restricted, expected) in [(true, &ann.tenant), (false, &bob.tenant)] {
            let list = desk.call("ListTenants", &root, json!({"restricted": restricted})).await.unwrap();
            assert_eq!(list["tenants"].as_array().unwrap().len(), 1);
            assert_eq!(list["tenants"][0]["id"], expected.as_str());
        }
        let other = json!({"restricted": true, "pageToken": page["nextPageToken"]});
        assert_eq!(reason(desk.call("ListTenants", &root, other).await), "INVALID_FIELD");
    })
    .await;
}

/// Acceptance cases 78 and 87.
#[tokio::test]
async fn a_grant_gives_access_until_it_ends_or_is_revoked() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let ann = desk.sign_up("ann@shop.example").await;
        desk.env.advance(TimeDelta::days(4));
        let root = owner(&desk).await;
        let at = |days| (desk.env.now() + TimeDelta::days(days)).to_rfc3339_opts(SecondsFormat::Micros, true);
        let grant = |start: i64, end: i64| {
            let times = json!({"tenantId": ann.tenant, "startTime": at(start), "endTime": at(end), "reason": "pilot"});
            desk.call("CreateGrant", &root, times)
        };
        for (start, end) in [(0, 366), (2, 2), (3, 2), (-3, -1)] {
            let refused = grant(start, end).await.unwrap_err();
            assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["end_time".to_owned()]));
        }
        let unknown = json!({"tenantId": desk.env.id::<TenantId>().to_string(), "endTime": at(2), "reason": "pilot"});
        assert_eq!(reason(desk.call("CreateGrant", &root, unknown).await), "NOT_FOUND");

        let tenant: TenantId = ann.tenant.parse().unwrap();
        let access = || async { desk.store.system().can_access(tenant, desk.env.now()).await.unwrap() };
        assert!(!access().await);
        grant(1, 2).await.unwrap();
        assert!(!access().await, "it begins tomorrow");
        let made = grant(0, 30).await.unwrap();
        assert!(access().await);
        let shown = desk.call("GetSubscription", &ann.token, json!({})).await.unwrap();
        assert_eq!((&shown["status"], &shown["granted"]), (&json!("SUBSCRIPTION_STATUS_ACTIVE"), &json!(true)));

        let revoke = json!({"tenantId": ann.tenant, "grantId": made["id"], "reason": "over"});
        let revoked = desk.call("RevokeGrant", &root, revoke.clone()).await.unwrap();
        assert_eq!((&revoked["alreadyInState"], &revoked["grant"]["revokeReason"]), (&json!(false), &json!("over")));
        assert!(!access().await);
        assert_eq!(desk.call("RevokeGrant", &root, revoke).await.unwrap()["alreadyInState"], true);
        let recorded = actions(&desk, "grant", made["id"].as_str().unwrap()).await;
        let done: Vec<_> = recorded.iter().map(|action| action.action.as_str()).collect();
        assert_eq!(done, ["grant.create", "grant.revoke", "grant.revoke"]);
        assert_eq!(recorded[2].note["alreadyState"], "revoked");

        let list = desk.call("ListGrants", &root, json!({"tenantId": ann.tenant})).await.unwrap();
        assert_eq!(list["grants"].as_array().unwrap().len(), 2);
        assert_eq!(list["grants"][0]["id"], made["id"]);
        let other = desk.sign_up("eve@other.example").await;
        let foreign = json!({"tenantId": other.tenant, "grantId": made["id"], "reason": "over"});
        assert_eq!(reason(desk.call("RevokeGrant", &root, foreign).await), "NOT_FOUND");
    })
    .await;
}
