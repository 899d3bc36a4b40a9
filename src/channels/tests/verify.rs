use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::*;
use crate::{
    channels::{InvalidAccount, RawRequest},
    domain::signature::{SignatureError, StandardKey, meta},
};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_789_990_000, 0).unwrap()
}

fn post(headers: &[(&'static str, &str)], body: &str) -> RawRequest {
    let named = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter().map(named) {
        map.append(name, value);
    }
    let body = Bytes::copy_from_slice(body.as_bytes());
    RawRequest { method: Method::POST, query: String::new(), headers: map, body }
}

fn said(account: &Account, request: &RawRequest) -> String {
    account.verify(request, now()).err().map_or("ok".to_owned(), |error| error.to_string())
}

#[test]
fn whatsapp_is_proven_by_the_signature_of_the_raw_body() {
    const HEADER: &str = "x-hub-signature-256";
    let body = r#"{"text":"\u041f"}"#;
    let signed = meta("s3cret", body.as_bytes());
    let account = whatsapp();
    assert_eq!(said(&account, &post(&[(HEADER, &signed)], body)), "ok");
    assert_eq!(said(&account, &post(&[(HEADER, &signed)], r#"{"text":"П"}"#)), "Invalid signature");
    assert_eq!(said(&account, &post(&[], body)), "Missing X-Hub-Signature-256 header");
    let twice = [(HEADER, signed.as_str()), (HEADER, "sha256=00")];
    assert_eq!(said(&account, &post(&twice, body)), "Repeated X-Hub-Signature-256 header");
}

/// Acceptance case 72: without a secret, nothing is let in, on any channel.
#[test]
fn nothing_is_accepted_without_a_secret() {
    let unset = "Webhook secret not configured";
    let account = open(ChannelKind::Whatsapp, json!({"phone_number_id": "1"}), json!({}));
    assert_eq!(said(&account, &post(&[("x-hub-signature-256", &meta("", b"{}"))], "{}")), unset);
    let account = open(ChannelKind::Telegram, json!({}), json!({"bot_token": "1:a", "webhook_secret": null}));
    assert_eq!(said(&account, &post(&[("x-telegram-bot-api-secret-token", "")], "{}")), unset);
    let account = open(ChannelKind::Webhook, json!({}), json!({}));
    let headers = [("webhook-id", "e"), ("webhook-timestamp", "1789990000"), ("webhook-signature", "v1,")];
    assert_eq!(said(&account, &post(&headers, "{}")), unset);
}

/// Acceptance case 69.
#[test]
fn whatsapp_asks_whether_the_address_is_ours() {
    let ask = |query: &str| {
        let mut request = post(&[], "");
        request.method = Method::GET;
        request.query = query.to_owned();
        whatsapp().challenge(&request).map_err(|error| error.to_string())
    };
    let asked = "hub.mode=subscribe&hub.verify_token=v3rify&hub.challenge=challenge_12345";
    assert_eq!(ask(asked), Ok("challenge_12345".to_owned()));
    assert_eq!(ask(&asked.replace("subscribe", "unsubscribe")), Err("Invalid hub.mode".to_owned()));
    assert_eq!(ask(&asked.replace("v3rify", "v3rif")), Err("Verify token mismatch".to_owned()));
    assert_eq!(ask(""), Err("Invalid hub.mode".to_owned()));
    let unset = open(ChannelKind::Whatsapp, json!({"phone_number_id": "1"}), json!({}));
    let mut request = post(&[], "");
    request.query = "hub.mode=subscribe&hub.verify_token=&hub.challenge=x".to_owned();
    assert_eq!(unset.challenge(&request), Err(SignatureError::NotConfigured));
}

#[test]
fn telegram_is_proven_by_its_secret() {
    const HEADER: &str = "x-telegram-bot-api-secret-token";
    let account = telegram();
    assert_eq!(said(&account, &post(&[(HEADER, "tg-secret_42")], "{}")), "ok");
    assert_eq!(said(&account, &post(&[(HEADER, "tg-secret_43")], "{}")), "Invalid secret");
    assert_eq!(said(&account, &post(&[], "{}")), "Missing secret header");
    let twice = [(HEADER, "tg-secret_42"), (HEADER, "tg-secret_42")];
    assert_eq!(said(&account, &post(&twice, "{}")), "Repeated secret header");
}

#[test]
fn an_integrator_is_proven_by_a_fresh_signature() {
    let body = r#"{"event_id":"evt-1"}"#;
    let signed_at = |at: DateTime<Utc>, body: &str| {
        let key = StandardKey::parse(SIGNING).unwrap();
        let signature = key.sign("evt-1", at, body.as_bytes());
        let time = at.timestamp().to_string();
        post(
            &[("webhook-id", "evt-1"), ("webhook-timestamp", &time), ("webhook-signature", &signature)],
            body,
        )
    };
    let account = webhook();
    assert_eq!(said(&account, &signed_at(now(), body)), "ok");
    let stale = said(&account, &signed_at(now() - TimeDelta::seconds(301), body));
    assert_eq!(stale, "Timestamp outside tolerance");
    let mut changed = signed_at(now(), body);
    changed.body = Bytes::from_static(br#"{"event_id":"evt-2"}"#);
    assert_eq!(said(&account, &changed), "Invalid signature");
    assert_eq!(said(&account, &post(&[], body)), "Missing webhook-id header");
}

#[test]
fn both_secrets_count_during_a_rotation() {
    let secrets = json!({"app_secret": "next", "previous_app_secret": "s3cret"});
    let account = open(ChannelKind::Whatsapp, json!({"phone_number_id": "1"}), secrets);
    for secret in ["next", "s3cret"] {
        assert_eq!(said(&account, &post(&[("x-hub-signature-256", &meta(secret, b"{}"))], "{}")), "ok");
    }
}

#[test]
fn an_account_that_cannot_work_is_refused_by_field() {
    let field = |kind, settings, secrets| {
        Account::open(kind, settings, secrets).err().map(|InvalidAccount { field, .. }| field)
    };
    use ChannelKind::*;
    for (kind, settings, secrets, expected) in [
        (Whatsapp, json!({}), json!({}), "settings"),
        (Whatsapp, json!({"phone_number_id": "../1"}), json!({}), "phone_number_id"),
        (Whatsapp, json!({"phone_number_id": "1", "api_version": "23/.."}), json!({}), "api_version"),
        (Whatsapp, json!({"phone_number_id": "1", "api_base_url": "ftp://x"}), json!({}), "api_base_url"),
        (Whatsapp, json!({"phone_number_id": "1"}), json!({"app_secret": 3}), "secrets"),
        (Telegram, json!({}), json!({"bot_token": "111:AA/../x"}), "bot_token"),
        (Telegram, json!({}), json!({"bot_token": "111"}), "bot_token"),
        (Telegram, json!({}), json!({"webhook_secret": "a b"}), "webhook_secret"),
        (Webhook, json!({"url": "nowhere"}), json!({}), "url"),
        (Webhook, json!({}), json!({"signing_secret": "whsec_short"}), "signing_secret"),
    ] {
        assert_eq!(field(kind, settings.clone(), secrets).as_deref(), Some(expected), "{settings}");
    }
}

#[test]
fn a_secret_never_shows() {
    for account in [whatsapp(), telegram(), webhook()] {
        let shown = format!("{account:?}");
        for secret in ["t0ken", "s3cret", "v3rify", "AAbb_c", "tg-secret_42", SIGNING] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    let refused =
        Account::open(ChannelKind::Whatsapp, json!({"phone_number_id": "1"}), json!({"app_secret": [7777]}));
    assert!(!refused.unwrap_err().to_string().contains("7777"));
}
