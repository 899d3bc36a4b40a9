//! Guessing at passwords against the whole stack: limits, locks, and those who have nothing to do with it.

use std::net::SocketAddr;

use chrono::{DateTime, TimeDelta, Utc};
use http::Request;
use serde_json::{Value, json};
use switchboard::edge::Grpc;
use tonic::{Code, body::Body};
use tonic_types::StatusExt;
use tower::{ServiceExt, util::BoxCloneSyncService};

use crate::support::{
    app::{PASSWORD, TestApp},
    both,
    desk::Desk,
    rpc::{self, Refusal},
};

/// The stack as a client at `address` meets it.
fn from(app: &TestApp, address: &str) -> Grpc {
    let (stack, peer) = (app.grpc(), SocketAddr::new(address.parse().unwrap(), 4000));
    BoxCloneSyncService::new(tower::service_fn(move |mut request: Request<Body>| {
        request.extensions_mut().insert(peer);
        stack.clone().oneshot(request)
    }))
}

async fn sign_in(grpc: &Grpc, email: &str, password: &str) -> Result<Value, Refusal> {
    rpc::call(grpc.clone(), "AuthService.SignIn", None, json!({"email": email, "password": password})).await
}

/// How long to wait, as the refusal says.
fn wait(refusal: &Refusal) -> u64 {
    let details = refusal.status.get_error_details();
    let retry = details.retry_info().and_then(|info| info.retry_delay);
    retry.unwrap_or_else(|| panic!("no RetryInfo: {refusal:?}")).as_secs()
}

/// Acceptance cases 56 and 63: the fifth failure locks, the sixth call is not even looked at, and neither
/// bars the person from elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_guesses_is_limited_and_locks_nobody_out_elsewhere() {
    both(async |pair| {
        let app = TestApp::start(&pair).await;
        app.sign_up("ann@shop.example").await;
        app.sign_up("bob@shop.example").await;
        let (flooder, home) = (from(&app, "203.0.113.7"), from(&app, "198.51.100.1"));

        for attempt in 1..=5 {
            let refusal = sign_in(&flooder, "ann@shop.example", "Wrong1234").await.unwrap_err();
            let expected = if attempt < 5 { "INVALID_CREDENTIALS" } else { "ACCOUNT_LOCKED" };
            assert_eq!(
                (refusal.code, refusal.reason.as_str()),
                (Code::Unauthenticated, expected),
                "{attempt}"
            );
            if attempt == 5 {
                assert_eq!(wait(&refusal), 15 * 60);
            }
        }
        let sixth = sign_in(&flooder, "Ann@shop.example", PASSWORD).await.unwrap_err();
        assert_eq!((sixth.code, sixth.reason.as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
        assert!((1..=15 * 60).contains(&wait(&sixth)));
        sign_in(&home, "ann@shop.example", PASSWORD).await.expect("nobody guessed from home");

        // Whatever names are tried: so many calls of one address, and no more.
        let mut looked_at = 6;
        for number in 0..40 {
            let refusal =
                sign_in(&flooder, &format!("no{number}@shop.example"), "Wrong1234").await.unwrap_err();
            match refusal.reason.as_str() {
                "INVALID_CREDENTIALS" => looked_at += 1,
                "RATE_LIMITED" => assert!(wait(&refusal) > 0),
                other => panic!("{other}"),
            }
        }
        assert_eq!(looked_at, 30);
        let bob = sign_in(&flooder, "bob@shop.example", PASSWORD).await.unwrap_err();
        assert_eq!(bob.reason, "RATE_LIMITED");
        sign_in(&home, "bob@shop.example", PASSWORD).await.expect("bob is not the flooder");
        // One IPv6 household is one address; another is not.
        sign_in(&from(&app, "2001:db8::1"), "bob@shop.example", PASSWORD).await.expect("nor is this");
    })
    .await;
}

#[tokio::test]
async fn a_session_lasts_as_long_as_the_settings_say() {
    both(async |pair| {
        let app = TestApp::with(&pair, &[("SWITCHBOARD_SESSION_DAYS", "3")]).await;
        app.sign_up("ann@shop.example").await;
        let signed_in = sign_in(&app.grpc(), "ann@shop.example", PASSWORD).await.unwrap();
        let end: DateTime<Utc> = signed_in["expireTime"].as_str().unwrap().parse().unwrap();
        let left = end - app.store().env().now();
        assert!(left > TimeDelta::hours(71) && left <= TimeDelta::days(3), "{left}");
    })
    .await;
}

/// What is counted for an account is forgotten after a day, in the background: signing in does not wait for it.
#[tokio::test]
async fn old_attempts_are_swept_a_few_at_a_time() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let guess = async |name: &str| {
            let request = json!({"email": format!("{name}@shop.example"), "password": "Wrong1234"});
            assert!(desk.call("AuthService.SignIn", "", request).await.is_err());
        };
        for name in ["ann", "bob", "cy"] {
            guess(name).await;
        }
        desk.env.advance(TimeDelta::hours(25));
        guess("dee").await;
        assert_eq!(desk.number("select count(*) as n from sign_in_attempt").await, 4);
        assert!(desk.store.system().drop_outdated(2).await.unwrap());
        assert!(!desk.store.system().drop_outdated(2).await.unwrap());
        assert_eq!(desk.number("select count(*) as n from sign_in_attempt").await, 1);
    })
    .await;
}
