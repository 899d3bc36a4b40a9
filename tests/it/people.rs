//! Signing up and in, sessions, the tenant's own row.
mod api_keys;
mod flood;
mod members;

use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use switchboard::wire::tenant::v1::{SignInRequest, SignOutRequest, auth_service_client::AuthServiceClient};
use tonic::{Code, Request};

use crate::support::{
    both,
    desk::{Desk, PASSWORD, noon},
    rpc::{self, Refusal},
};

async fn sign_in(desk: &Desk, email: &str, password: &str) -> Result<Value, Refusal> {
    desk.call("AuthService.SignIn", "", json!({"email": email, "password": password})).await
}

fn reason(answer: Result<Value, Refusal>) -> String {
    answer.map_or_else(|refusal| refusal.reason, |_| "ok".to_owned())
}

/// Acceptance case 60.
#[tokio::test]
async fn signing_up_makes_an_owner_with_a_tenant_in_its_trial() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let request = json!({"email": "Ann@Shop.example", "password": PASSWORD});
        let answer = desk.call("AuthService.SignUp", "", request).await.unwrap();
        assert_eq!(answer["success"], true);
        assert_eq!(answer["tenant"]["name"], "Ann's Business");
        assert_eq!(answer["role"], "ROLE_OWNER");
        assert_eq!(answer["user"]["email"], "Ann@Shop.example");

        let token = answer["sessionToken"].as_str().unwrap();
        let me = desk.call("GetMe", token, json!({})).await.unwrap();
        assert_eq!(me["permissions"].as_array().unwrap().len(), 16);
        assert_eq!(me["tenant"]["id"], answer["tenant"]["id"]);
        let trial = desk.call("GetSubscription", token, json!({})).await.unwrap();
        assert_eq!(trial["status"], "SUBSCRIPTION_STATUS_TRIALING");
        assert_eq!((&trial["access"], &trial["hadTrial"]), (&json!(true), &json!(true)));
        assert_eq!(trial["trialDaysRemaining"], 3);
        let end = noon() + TimeDelta::hours(72) + TimeDelta::milliseconds(1);
        assert_eq!(trial["trialEndTime"], end.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
    })
    .await;
}

/// Acceptance case 55.
#[tokio::test]
async fn a_known_address_gets_a_hint_and_changes_nothing() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        desk.sign_up("ann@shop.example").await;
        let request = json!({"email": "ANN@shop.EXAMPLE", "password": "Another1x", "name": "Eve"});
        let answer = desk.call("AuthService.SignUp", "", request).await.unwrap();
        assert_eq!((&answer["success"], &answer["hint"]), (&json!(false), &json!("login_or_reset")));
        assert_eq!((&answer["sessionToken"], &answer["user"]), (&json!(""), &Value::Null));
        assert_eq!(desk.number("select count(*) as n from \"user\"").await, 1);
        assert_eq!(desk.number("select count(*) as n from tenant").await, 1);
        assert_eq!(desk.number("select count(*) as n from session").await, 1);
        assert!(sign_in(&desk, "ann@shop.example", PASSWORD).await.is_ok());
    })
    .await;
}

/// Acceptance case 54; nothing is written for a request that is refused.
#[tokio::test]
async fn a_refused_sign_up_writes_nothing() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        for (request, expected) in [
            (json!({"email": "a@b.example", "password": "abcdefg1"}), "WEAK_PASSWORD"),
            (json!({"email": "a b", "password": PASSWORD}), "INVALID_FIELD"),
            (json!({"email": "a@b.example", "password": PASSWORD, "name": "x".repeat(101)}), "INVALID_FIELD"),
            (json!({"email": "a@b.example", "password": PASSWORD, "inviteToken": "sbi_x"}), "INVALID_INVITE"),
        ] {
            assert_eq!(
                reason(desk.call("AuthService.SignUp", "", request.clone()).await),
                expected,
                "{request}"
            );
        }
        assert_eq!(desk.number("select count(*) as n from \"user\"").await, 0);
    })
    .await;
}

/// Acceptance cases 56 and 57.
#[tokio::test]
async fn five_failures_lock_for_fifteen_minutes() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        desk.sign_up("ann@shop.example").await;
        for attempt in 1..=5 {
            let known = sign_in(&desk, "ann@shop.example", "Wrong1234").await.unwrap_err();
            let unknown = sign_in(&desk, "nobody@shop.example", "Wrong1234").await.unwrap_err();
            let expected = if attempt < 5 { "INVALID_CREDENTIALS" } else { "ACCOUNT_LOCKED" };
            assert_eq!((known.code, known.reason.as_str()), (Code::Unauthenticated, expected), "{attempt}");
            assert_eq!(known.status.details(), unknown.status.details());
            assert_eq!(known.message, unknown.message);
        }
        desk.env.advance(TimeDelta::minutes(14));
        assert_eq!(reason(sign_in(&desk, "ann@shop.example", PASSWORD).await), "ACCOUNT_LOCKED");
        // That attempt started the pause again.
        desk.env.advance(TimeDelta::minutes(14));
        assert_eq!(reason(sign_in(&desk, "Ann@shop.example", PASSWORD).await), "ACCOUNT_LOCKED");
        let elsewhere = json!({"email": "ann@shop.example", "password": PASSWORD});
        let elsewhere = rpc::call(desk.grpc_from("198.51.100.7"), "SignIn", None, elsewhere).await;
        assert_eq!(reason(elsewhere), "ok", "a stranger's guesses lock nobody out elsewhere");

        desk.env.advance(TimeDelta::minutes(15));
        assert_eq!(reason(sign_in(&desk, "ann@shop.example", PASSWORD).await), "ok");
        for _ in 0..4 {
            assert_eq!(reason(sign_in(&desk, "ann@shop.example", "Wrong1234").await), "INVALID_CREDENTIALS");
        }
        assert_eq!(reason(sign_in(&desk, "ann@shop.example", PASSWORD).await), "ok");
    })
    .await;
}

/// Guesses at the same moment are not more guesses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_in_parallel_count_one_by_one() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        desk.sign_up("ann@shop.example").await;
        let guesses = (0..20).map(|_| sign_in(&desk, "ann@shop.example", "Wrong1234"));
        let answers: Vec<_> = join_all(guesses).await.into_iter().map(reason).collect();
        assert_eq!(
            answers.iter().filter(|reason| *reason == "INVALID_CREDENTIALS").count(),
            4,
            "{answers:?}"
        );
        assert_eq!(answers.iter().filter(|reason| *reason == "ACCOUNT_LOCKED").count(), 16, "{answers:?}");
        assert_eq!(reason(sign_in(&desk, "ann@shop.example", PASSWORD).await), "ACCOUNT_LOCKED");
    })
    .await;
}

/// The same address at the same moment signs up once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_signs_up_once() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let request = || json!({"email": "ann@shop.example", "password": PASSWORD});
        let answers = join_all((0..8).map(|_| desk.call("AuthService.SignUp", "", request()))).await;
        let successes = answers.into_iter().filter(|answer| answer.as_ref().unwrap()["success"] == true);
        assert_eq!(successes.count(), 1);
        assert_eq!(desk.number("select count(*) as n from tenant").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_by_signing_out_or_after_seven_days() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let ann = desk.sign_up("ann@shop.example").await;
        let second = sign_in(&desk, "ann@shop.example", PASSWORD).await.unwrap();
        let second = second["sessionToken"].as_str().unwrap().to_owned();
        desk.call("AuthService.SignOut", &ann.token, json!({})).await.unwrap();
        assert_eq!(reason(desk.call("GetMe", &ann.token, json!({})).await), "UNAUTHENTICATED");
        desk.env.advance(TimeDelta::days(7) - TimeDelta::minutes(1));
        assert_eq!(reason(desk.call("GetMe", &second, json!({})).await), "ok");
        desk.env.advance(TimeDelta::minutes(1));
        assert_eq!(reason(desk.call("GetMe", &second, json!({})).await), "UNAUTHENTICATED");
    })
    .await;
}

#[tokio::test]
async fn a_browser_gets_a_cookie_in_place_of_the_token() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        desk.sign_up("ann@shop.example").await;
        let mut client = AuthServiceClient::new(desk.grpc());
        let sign_in = SignInRequest {
            email: "ann@shop.example".into(),
            password: PASSWORD.into(),
            tenant_id: String::new(),
        };
        let mut request = Request::new(sign_in);
        request.metadata_mut().insert("x-session", "cookie".parse().unwrap());
        let answer = client.sign_in(request).await.unwrap();
        let cookie = answer.metadata().get("set-cookie").unwrap().to_str().unwrap().to_owned();
        assert!(cookie.starts_with("__Host-session=sbs_"), "{cookie}");
        assert!(cookie.ends_with("; Max-Age=604800; Path=/; Secure; HttpOnly; SameSite=Lax"), "{cookie}");
        assert_eq!(answer.get_ref().session_token, "");

        let token = cookie.split(['=', ';']).nth(1).unwrap();
        let mut request = Request::new(SignOutRequest {});
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request.metadata_mut().insert("cookie", format!("__Host-session={token}").parse().unwrap());
        let answer = client.sign_out(request).await.unwrap();
        let cookie = answer.metadata().get("set-cookie").unwrap().to_str().unwrap();
        assert!(cookie.starts_with("__Host-session=; Max-Age=0;"), "{cookie}");
    })
    .await;
}

#[tokio::test]
async fn an_owner_changes_the_tenant_as_they_saw_it() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let ann = desk.sign_up("ann@shop.example").await;
        let change = |tenant: Value, more: Value| {
            let mut request = json!({"tenant": tenant});
            request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            desk.call("UpdateTenant", &ann.token, request)
        };

        let tried = change(json!({"name": "Tried"}), json!({"validateOnly": true})).await.unwrap();
        assert_eq!((&tried["name"], &tried["version"]), (&json!("Tried"), &json!("1")));
        let zone = json!({"name": "Parts & Co", "timeZone": "Europe/Berlin"});
        let changed = change(zone, json!({"expectedVersion": "1"})).await.unwrap();
        assert_eq!((&changed["name"], &changed["version"]), (&json!("Parts & Co"), &json!("2")));
        assert_eq!((&changed["timeZone"], &changed["currency"]), (&json!("Europe/Berlin"), &json!("USD")));

        let stale = change(json!({"name": "Late"}), json!({"expectedVersion": "1"})).await.unwrap_err();
        assert_eq!((stale.code, stale.reason.as_str()), (Code::Aborted, "VERSION_MISMATCH"));
        let details = String::from_utf8_lossy(stale.status.details()).into_owned();
        assert!(details.contains("switchboard.tenant.v1.Tenant") && details.contains("Parts & Co"));

        for (tenant, mask) in [
            (json!({"timeZone": "Mars/Olympus"}), ""),
            (json!({"name": " "}), "name"),
            (json!({"name": "x"}), "restricted"),
        ] {
            let more = if mask.is_empty() { json!({}) } else { json!({"updateMask": mask}) };
            assert_eq!(reason(change(tenant, more).await), "INVALID_FIELD", "{mask}");
        }
        let now = desk.call("GetTenant", &ann.token, json!({})).await.unwrap();
        assert_eq!(now, changed);
        let audited = "select count(*) as n from audit_event where action = 'tenant.update'";
        assert_eq!(desk.number(audited).await, 1);
        let told = "select count(*) as n from event where kind = 'tenant.updated'";
        assert_eq!(desk.number(told).await, 2);
    })
    .await;
}
