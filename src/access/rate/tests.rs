use chrono::{DateTime, TimeDelta};

use super::*;
use crate::{
    config::Config,
    id::{ApiKeyId, UserId},
};

fn limits(settings: &[(&'static str, &'static str)]) -> (Limits, Env) {
    let env = Env::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap(), 1);
    let named = |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let rates = Config::read(named, None).unwrap().rates;
    (Limits::new(rates, None, env.clone()), env)
}

fn address(last: u8) -> Option<IpAddr> {
    Some(IpAddr::from([203, 0, 113, last]))
}

fn machine(tenant: u128, key: u128) -> Identity {
    Identity::Machine {
        key: ApiKeyId(uuid::Uuid::from_u128(key)),
        tenant: TenantId(uuid::Uuid::from_u128(tenant)),
        permissions: [].into(),
    }
}

/// Acceptance cases 64 and 66.
#[tokio::test]
async fn ten_at_once_then_one_every_six_seconds() {
    let (limits, env) = limits(&[("SWITCHBOARD_RATE_PUBLIC", "10/60s")]);
    let call = async || limits.call(RateClass::Public, None, address(1)).await.unwrap();
    let first = call().await;
    assert_eq!((first.limit, first.remaining, first.reset.as_secs()), (10, 9, 6));
    for left in (0..9).rev() {
        assert_eq!(call().await.remaining, left);
    }
    let refused = call().await;
    assert_eq!((refused.remaining, refused.wait), (0, Some(Duration::from_secs(6))));
    env.advance(TimeDelta::seconds(6));
    assert_eq!(call().await.wait, None);
    assert!(call().await.wait.is_some());
}

/// Acceptance case 66.
#[tokio::test]
async fn a_short_wait_is_told_as_a_second() {
    let (limits, _) = limits(&[("SWITCHBOARD_RATE_PUBLIC", "300/60s")]);
    for _ in 0..300 {
        assert!(limits.call(RateClass::Public, None, address(1)).await.unwrap().verdict().is_ok());
    }
    let refused = limits.call(RateClass::Public, None, address(1)).await.unwrap().verdict();
    assert!(matches!(refused, Err(Error::Limited { retry }) if retry == Duration::from_secs(1)));
}

/// Acceptance cases 64 and 65.
#[tokio::test]
async fn classes_tenants_and_callers_are_counted_apart() {
    let (limits, _) = limits(&[
        ("SWITCHBOARD_RATE_READ", "2/1m"),
        ("SWITCHBOARD_RATE_AI", "1/1m"),
        ("SWITCHBOARD_RATE_TENANT_FACTOR", "2"),
    ]);
    let fits = async |class, identity: &Identity| {
        limits.call(class, Some(identity), None).await.unwrap().wait.is_none()
    };
    let (one, two, three) = (machine(1, 11), machine(1, 12), machine(1, 13));
    let elsewhere = machine(2, 21);
    assert!(fits(RateClass::Read, &one).await && fits(RateClass::Read, &one).await);
    assert!(!fits(RateClass::Read, &one).await);
    assert!(fits(RateClass::Read, &two).await && fits(RateClass::Read, &two).await);
    assert!(!fits(RateClass::Read, &three).await, "the tenant as a whole has had its share");
    assert!(fits(RateClass::Read, &elsewhere).await);

    assert!(fits(RateClass::Ai, &one).await);
    assert!(!fits(RateClass::Ai, &two).await, "AI is counted per tenant");
    assert!(fits(RateClass::Ai, &elsewhere).await);
}

/// Acceptance case 63, and the contract's numbers.
#[tokio::test]
async fn sign_in_is_counted_per_account_and_per_address() {
    let (limits, _) = limits(&[]);
    for _ in 0..5 {
        assert_eq!(limits.attempt("A@example.com", address(1)).await.unwrap().wait, None);
    }
    assert!(limits.attempt("a@example.com ", address(1)).await.unwrap().wait.is_some());
    assert_eq!(limits.attempt("a@example.com", address(2)).await.unwrap().wait, None);
    assert_eq!(limits.attempt("b@example.com", address(1)).await.unwrap().wait, None);

    for _ in 0..30 {
        assert_eq!(limits.call(RateClass::Auth, None, address(1)).await.unwrap().wait, None);
    }
    assert!(limits.call(RateClass::Auth, None, address(1)).await.unwrap().wait.is_some());
}

#[tokio::test]
async fn an_ipv6_network_is_one_caller_and_off_is_off() {
    let (limits, _) = limits(&[("SWITCHBOARD_RATE_PUBLIC", "1/1m"), ("SWITCHBOARD_RATE_READ", "off")]);
    let call = async |text: &str| limits.call(RateClass::Public, None, text.parse().ok()).await.unwrap().wait;
    assert_eq!(call("2001:db8::1").await, None);
    assert!(call("2001:db8::ffff").await.is_some());
    assert_eq!(call("2001:db8:0:1::1").await, None);

    let person = Identity::Person {
        user: UserId(uuid::Uuid::nil()),
        session: crate::id::SessionId(uuid::Uuid::nil()),
        tenant: None,
        platform: None,
    };
    assert_eq!(limits.call(RateClass::Read, Some(&person), None).await, None);
}
