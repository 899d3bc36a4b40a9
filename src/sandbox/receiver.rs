//! An integrator's system: checks who sends, ignores what it has seen, reports back.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Fate, Provider, SentMessage, State, Subscription, lock, payload::webhook_status, routes::Call};
use crate::domain::signature::{StandardHeaders, StandardKey, check_standard};

pub(super) async fn receive(state: &Arc<State>, name: &str, call: &Call) -> Response {
    let subscription = state.subscription(Provider::Webhook, name);
    if let Some(subscription) = &subscription
        && !signed(state, subscription, call)
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let fate = state.fate();
    match fate {
        Fate::Fail(code) => {
            let status = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
            return status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
        }
        Fate::FailInside => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Fate::Limit(seconds) => {
            return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", seconds.to_string())]).into_response();
        }
        Fate::Outage => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Fate::Serve | Fate::LoseAnswer | Fate::Lie => {}
    }
    let event = call.json();
    let (Some(event_id), Some(text)) = (event["event_id"].as_str(), event["content"]["text"].as_str()) else {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    };
    let (external_id, is_new) = take(state, name, &event, event_id, text, fate == Fate::Serve);
    if let Some(to) = subscription.filter(|_| is_new) {
        let message_id = event["message_id"].as_str().unwrap_or_default().to_owned();
        report(state, to, message_id, event["attempt"].as_u64().unwrap_or(1));
    }
    if fate == Fate::LoseAnswer {
        return state.hang().await;
    }
    if fate == Fate::Lie {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    Json(json!({"provider_message_id": external_id})).into_response()
}

/// The receiver's own id, and whether this is the first time it sees the event.
fn take(
    state: &State,
    name: &str,
    event: &Value,
    event_id: &str,
    text: &str,
    answered: bool,
) -> (String, bool) {
    let mut ledger = lock(&state.ledger);
    let same = |message: &&SentMessage| {
        message.channel == Provider::Webhook && message.correlation.as_deref() == Some(event_id)
    };
    if let Some(seen) = ledger.sent.iter().find(same) {
        let external_id = seen.external_id.clone();
        ledger.repeats_ignored += 1;
        return (external_id, false);
    }
    let message = ledger.enter(|number| SentMessage {
        channel: Provider::Webhook,
        account: name.to_owned(),
        recipient: event["recipient"]["value"].as_str().unwrap_or_default().to_owned(),
        text: text.to_owned(),
        correlation: Some(event_id.to_owned()),
        external_id: format!("hook-{number}"),
        at: state.env.now(),
        answered,
    });
    (message.external_id, true)
}

fn signed(state: &State, subscription: &Subscription, call: &Call) -> bool {
    let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok());
    let headers = StandardHeaders {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
    };
    let keys: Vec<_> = StandardKey::parse(&subscription.secret).into_iter().collect();
    check_standard(&keys, headers, &call.body, state.env.now()).is_ok()
}

fn report(state: &Arc<State>, to: Subscription, message_id: String, attempt: u64) {
    let behaviour = state.behaviour();
    if behaviour.silent {
        return;
    }
    let mut words = ["delivered", "read"];
    if behaviour.reorder {
        words.reverse();
    }
    let (reporting, copies) = (state.clone(), 1 + behaviour.duplicates);
    state.spawn(async move {
        for word in words {
            tokio::time::sleep(Duration::from_millis(behaviour.status_delay_ms)).await;
            let id = format!("evt-{message_id}-{attempt}-{word}");
            let body = webhook_status(&id, &message_id, attempt, reporting.env.now(), word);
            reporting.deliver(&to, &id, &body, copies).await;
        }
    });
}
