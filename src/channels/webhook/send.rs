//! Signed posts to an integrator's system.

use ::http::{HeaderMap, HeaderValue, StatusCode};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::Webhook;
use crate::{
    channels::{
        Http, Outbound, Refusal, Retry, Sent,
        exchange::{Came, came, json_headers},
        json::text,
    },
    domain::delivery::Reason,
};

/// Posts one message. The receiver is told to ignore an id it has seen, so that a lost answer is a reason
/// to try again: nothing is ever unknown here.
pub(super) async fn send(account: &Webhook, http: &Http, outbound: &Outbound, now: DateTime<Utc>) -> Sent {
    let Some(url) = &account.settings.url else { return no_url().into() };
    if !account.has_key() {
        return no_key().into();
    }
    let Some(body) = body(outbound) else {
        return Refusal::lasting(Reason::RecipientUnreachable, "the customer has no identity").into();
    };
    let Some(headers) = headers(account, &outbound.correlation(), now, body.as_bytes()) else {
        return Refusal::lasting(Reason::InvalidMessage, "the message id cannot stand in a header").into();
    };
    match came(http.post(url, headers, body.into_bytes()).await) {
        Ok(answer) => outcome(&answer, outbound),
        Err(Sent::Unknown { detail }) => Refusal::after(Reason::ProviderUnreachable, &detail, 5).into(),
        Err(sent) => sent,
    }
}

fn body(outbound: &Outbound) -> Option<String> {
    let recipient = outbound.to.first()?;
    let body = json!({
        "event_id": outbound.correlation(),
        "type": "message",
        "message_id": outbound.message_id,
        "attempt": outbound.attempt,
        "conversation_id": outbound.conversation_id,
        "external_conversation_id": outbound.chat,
        "recipient": {"scheme": recipient.scheme, "value": recipient.value},
        "reply_to": outbound.reply_to,
        "content": {"text": outbound.text},
    });
    Some(body.to_string())
}

fn headers(account: &Webhook, id: &str, now: DateTime<Utc>, body: &[u8]) -> Option<HeaderMap> {
    let signatures: Vec<_> = account.keys().iter().map(|key| key.sign(id, now, body)).collect();
    let mut headers = json_headers();
    headers.insert("webhook-id", HeaderValue::from_str(id).ok()?);
    headers.insert("webhook-timestamp", HeaderValue::from(now.timestamp()));
    headers.insert("webhook-signature", HeaderValue::from_str(&signatures.join(" ")).ok()?);
    Some(headers)
}

fn outcome(answer: &Came, outbound: &Outbound) -> Sent {
    if answer.status.is_success() {
        let given: Value = answer.json().unwrap_or_default();
        let own = || outbound.correlation();
        return Sent::Accepted { external_id: text(&given, "provider_message_id").unwrap_or_else(own) };
    }
    let detail = &format!("HTTP status {}", answer.status.as_u16());
    match answer.status {
        StatusCode::GONE => Refusal::broken(Reason::AccountDisabled, detail),
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            Refusal::lasting(Reason::InvalidMessage, detail)
        }
        // Never followed: a redirect could lead inside.
        status if status.is_redirection() => Refusal::lasting(Reason::AddressNotAllowed, detail),
        StatusCode::TOO_MANY_REQUESTS => waiting(Reason::RateLimited, detail, answer, 60),
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            waiting(Reason::ProviderError, detail, answer, 60)
        }
        _ => waiting(Reason::ProviderError, detail, answer, 5),
    }
    .into()
}

fn waiting(reason: Reason, detail: &str, answer: &Came, seconds: u64) -> Refusal {
    let wait = answer.retry_after.unwrap_or(std::time::Duration::from_secs(seconds));
    Refusal::new(reason, detail, Retry::After(wait))
}

pub(super) fn no_url() -> Refusal {
    Refusal::broken(Reason::AddressNotAllowed, "the channel has no address to send to")
}

pub(super) fn no_key() -> Refusal {
    Refusal::broken(Reason::TokenInvalid, "the channel has no signing secret")
}
