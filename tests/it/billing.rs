//! Plans, trials, subscriptions.
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use switchboard::id::TenantId;
use tonic::Code;

use crate::support::{
    both,
    desk::{Desk, Person},
    rpc::Refusal,
};

fn reason(answer: Result<Value, Refusal>) -> String {
    answer.map_or_else(|refusal| refusal.reason, |_| "ok".to_owned())
}

async fn access(desk: &Desk, person: &Person) -> bool {
    let shown = desk.call("GetSubscription", &person.token, json!({})).await.unwrap();
    let tenant: TenantId = person.tenant.parse().unwrap();
    let gate = desk.store.system().can_access(tenant, desk.env.now()).await.unwrap();
    assert_eq!(shown["access"], gate, "what is shown and what the gate says");
    gate
}

#[tokio::test]
async fn plans_are_for_everyone_to_see() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let list = desk.call("ListPlans", "", json!({})).await.unwrap();
        assert_eq!(list["plans"][0]["price"], json!({"currencyCode": "USD", "units": "50", "nanos": 0}));
        assert_eq!(list["plans"][0]["interval"], "BILLING_INTERVAL_MONTH");

        desk.sql(
            "insert into plan select 'pro-yearly', name, 'EUR', 49050, 'year', true, 1, create_time, update_time, 1 from plan",
            vec![],
        )
        .await;
        let first = desk.call("ListPlans", "", json!({"pageSize": 1})).await.unwrap();
        assert_eq!(first["plans"][0]["id"], "pro-yearly");
        assert_eq!(first["plans"][0]["price"]["nanos"], 500_000_000);
        let rest = json!({"pageSize": 1, "pageToken": first["nextPageToken"]});
        let rest = desk.call("ListPlans", "", rest).await.unwrap();
        assert_eq!((&rest["plans"][0]["id"], &rest["nextPageToken"]), (&json!("pro-monthly"), &json!("")));
        let euro = desk.call("ListPlans", "", json!({"currencyCode": "EUR"})).await.unwrap();
        assert_eq!(euro["plans"].as_array().unwrap().len(), 1);
    })
    .await;
}

/// Acceptance case 76, through the services.
#[tokio::test]
async fn a_trial_runs_out_by_itself() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let ann = desk.sign_up("ann@shop.example").await;
        desk.env.advance(TimeDelta::hours(71));
        assert!(access(&desk, &ann).await);
        desk.env.advance(TimeDelta::hours(1));
        assert!(!access(&desk, &ann).await);
        let over = desk.call("GetSubscription", &ann.token, json!({})).await.unwrap();
        assert_eq!(
            (&over["status"], &over["trialDaysRemaining"]),
            (&json!("SUBSCRIPTION_STATUS_EXPIRED"), &json!(0))
        );
    })
    .await;
}

/// Acceptance case 82.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_has_one_trial() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let ann = desk.sign_up("ann@shop.example").await;
        let start = || desk.call("StartTrial", &ann.token, json!({}));
        assert_eq!(reason(start().await), "TRIAL_USED");
        desk.sql("update subscription set status = 'incomplete', had_trial = false", vec![]).await;
        assert_eq!(reason(start().await), "TRIAL_USED");

        desk.sql("delete from subscription", vec![]).await;
        let none = desk.call("GetSubscription", &ann.token, json!({})).await.unwrap();
        assert_eq!(
            (&none["status"], &none["access"]),
            (&json!("SUBSCRIPTION_STATUS_UNSPECIFIED"), &json!(false))
        );
        assert!(!access(&desk, &ann).await);
        let answers: Vec<_> = join_all((0..8).map(|_| start())).await.into_iter().map(reason).collect();
        assert_eq!(answers.iter().filter(|answer| *answer == "ok").count(), 1, "{answers:?}");
        assert_eq!(answers.iter().filter(|answer| *answer == "TRIAL_USED").count(), 7, "{answers:?}");
        assert!(access(&desk, &ann).await);
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_subscription_keeps_what_was_paid() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let ann = desk.sign_up("ann@shop.example").await;
        let cancel =
            |version: &str| desk.call("CancelSubscription", &ann.token, json!({"expectedVersion": version}));
        let month = desk.env.now() + TimeDelta::days(30);
        let mark = if pair.name == "sqlite" { "?1" } else { "$1" };
        let paid = format!(
            "update subscription set status = 'active', plan_id = 'pro-monthly', period_end = {mark}"
        );
        desk.sql(&paid, vec![month.into()]).await;

        let stale = cancel("7").await.unwrap_err();
        assert_eq!((stale.code, stale.reason.as_str()), (Code::Aborted, "VERSION_MISMATCH"));
        let cancelled = cancel("1").await.unwrap();
        assert_eq!(cancelled["status"], "SUBSCRIPTION_STATUS_ACTIVE");
        assert_eq!((&cancelled["cancelAtPeriodEnd"], &cancelled["access"]), (&json!(true), &json!(true)));
        assert_eq!(cancel("0").await.unwrap(), cancelled);
        desk.env.advance(TimeDelta::days(31));
        let tenant: TenantId = ann.tenant.parse().unwrap();
        assert!(!desk.store.system().can_access(tenant, desk.env.now()).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_trial_ends_at_once() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let ann = desk.sign_up("ann@shop.example").await;
        let ended = desk.call("CancelSubscription", &ann.token, json!({})).await.unwrap();
        assert_eq!(
            (&ended["status"], &ended["access"]),
            (&json!("SUBSCRIPTION_STATUS_EXPIRED"), &json!(false))
        );
        assert!(!access(&desk, &ann).await);
        let none = desk.call("CancelSubscription", &ann.token, json!({})).await;
        assert_eq!(reason(none), "NO_SUBSCRIPTION");
        let audited = "select count(*) as n from audit_event where action = 'subscription.cancel'";
        assert_eq!(desk.number(audited).await, 1);
    })
    .await;
}
